"""A data set in one HDF5 file, as `ganymede data pack` writes it.

Inside are `train/images` and `test/images` (N, C, S, S) uint8 in chunks of a few images, each with
HDF5's checksum, and `train/labels`, `test/labels` (N,) int64. Two attributes tell the rest: `about`
(JSON: `About`) and `sha256`, of all contents. The contents are verified before anything is queued
and whenever they are read whole; the checksum of its chunk whenever an image is read alone.
"""

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from checkpoints import files
from gan import hdf5
from gan.config import ConfigError, DataConfig
from gan.data import node_copy
from gan.data.images import DataError, DataInfo, ImageSet, fits, resize, to_array
from gan.data.sources import Images, ImageSource, Rows

FORMAT = "ganymede images 1"
PARTS = ("train", "test")
_BLOCK = 1 << 24  # bytes that are read, hashed or written at once
# What h5py raises for damaged files, depending on where the damage is.
_DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError)


@dataclass(frozen=True)
class About:
    """What a packed set is, beside its arrays."""

    set: str  # name of the set that was packed
    classes: tuple[str, ...]
    counts: tuple[int, int]  # training and test images
    channels: int
    image_size: int
    fingerprint: str  # of the set that was packed
    settings: dict[str, Any] = field(default_factory=dict)  # data.* with which it was read
    format: str = FORMAT

    def shape(self, part: int) -> tuple[int, ...]:
        return self.counts[part], self.channels, self.image_size, self.image_size


def inspect(config: DataConfig) -> DataInfo:
    """Presence and contents; these are read whole unless that was done since the file changed."""
    path, about, digest = _find(config)
    _verify_once(path, digest)
    return _info(about, digest)


def load(config: DataConfig) -> ImageSet:
    """In memory if they fit; if not, the training images are read when they are asked for."""
    path, about, digest = _find(config)
    if config.copy_to:
        path = node_copy.fetch(path, config.copy_to, digest, _verify_once)
    train_labels, test_labels = (read_labels(path, part) for part in PARTS)
    train, test = (PackedImages(path, part, config.image_size) for part in PARTS)
    if not fits(config, (sum(about.counts), *about.shape(0)[1:])):
        _verify_once(path, digest)
        return ImageSet(_info(about, digest), train, train_labels, test[:], test_labels)
    held = train.stored(slice(None)), test.stored(slice(None))
    found = contents_digest(about, (train_labels, test_labels), held)
    _compare(path, found, digest)
    images = [resized(part, config.image_size) for part in held]
    return ImageSet(_info(about, digest), images[0], train_labels, images[1], test_labels)


def natural_size(config: DataConfig) -> int:
    return _find(config)[1].image_size


def read_about(path: Path) -> tuple[About, str]:
    """What the file holds, and the SHA-256 that was written. Raises DataError."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            about = msgspec.json.decode(file.attrs["about"], type=About)
            digest = str(file.attrs["sha256"])
    except _DAMAGE as error:
        raise DataError(f"{path} is no packed data set, or damaged: {error}") from error
    if about.format != FORMAT:
        raise DataError(f"{path} has format {about.format!r}; this version reads {FORMAT!r}")
    return about, digest


def read_labels(path: Path, part: str) -> NDArray[np.int64]:
    try:
        with h5py.File(path, "r", locking=False) as file:
            labels: NDArray[np.int64] = hdf5.dataset(file, f"{part}/labels")[:]
    except _DAMAGE as error:
        raise DataError(f"{path}: {part}/labels cannot be read: {error}") from error
    return labels


class PackedImages:
    """The images of one part, read from the file when they are asked for, at another size resized.

    Several threads may read: HDF5 lets one at a time.
    """

    def __init__(self, path: Path, part: str, size: int) -> None:
        self.path, self.part, self.size = path, part, size
        try:
            file = h5py.File(path, "r", locking=False)
            self._images = hdf5.dataset(file, f"{part}/images")
            _check_shape(path, part, self._images)
        except _DAMAGE as error:
            raise DataError(f"{path} is no packed data set, or damaged: {error}") from error

    @property
    def shape(self) -> tuple[int, ...]:
        return *self._images.shape[:2], self.size, self.size

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, rows: Rows, /) -> Images:
        return resized(self.stored(rows), self.size)

    def stored(self, rows: Rows) -> Images:
        """Images at the size that they have in the file. Raises DataError, naming the image."""
        if isinstance(rows, slice):
            return self._read(rows, f"images {rows.start or 0} and after")
        # In the file's order, each once; one by one, since HDF5 takes far longer over a list.
        wanted, places = np.unique(rows, return_inverse=True)
        found = np.empty((len(wanted), *self._images.shape[1:]), dtype=np.uint8)
        for place, row in enumerate(wanted):
            found[place] = self._read(int(row), f"image {row}")
        return found[places]

    def _read(self, rows: slice | int, what: str) -> Images:
        try:
            images: Images = self._images[rows]
        except _DAMAGE as error:
            raise DataError(f"{self.path}: {self.part} {what} cannot be read: {error}") from error
        return images


def _check_shape(path: Path, part: str, images: Any) -> None:
    """Raise DataError unless the images are as many, and as large, as the file says of itself."""
    said = read_about(path)[0].shape(PARTS.index(part))
    if images.shape != said or images.dtype != np.uint8:
        raise DataError(
            f"{path}: {part}/images are {images.dtype} {images.shape}; the file says uint8 {said}"
        )


def resized(images: Images, size: int) -> Images:
    """Images (N, C, S, S) of one or three channels at another size, as everywhere else."""
    if images.shape[2] == size:
        return images
    pictures = (Image.fromarray(x[0] if len(x) == 1 else np.moveaxis(x, 0, 2)) for x in images)
    return to_array([resize(picture, size) for picture in pictures])


def contents_digest(
    about: About, labels: Sequence[NDArray[np.int64]], images: Sequence[ImageSource]
) -> str:
    """SHA-256 (hexadecimal) of what a file tells and holds, training part first."""
    digest = hashlib.sha256(msgspec.json.encode(about))
    for part in labels:
        digest.update(part.astype("<i8").tobytes())
    for source in images:
        for rows in blocks(source.shape):
            digest.update(np.ascontiguousarray(source[rows]).data)
    return digest.hexdigest()


def blocks(shape: Sequence[int]) -> list[slice]:
    """Rows of images (N, C, S, S) in portions of a size that is easily held."""
    many = max(1, _BLOCK // int(np.prod(shape[1:])))
    return [slice(first, first + many) for first in range(0, shape[0], many)]


def verify(path: Path) -> str:
    """Read everything; returns the SHA-256. Raises DataError if it is not as it was written."""
    about, digest = read_about(path)
    labels = [read_labels(path, part) for part in PARTS]
    images = [PackedImages(path, part, about.image_size) for part in PARTS]
    _compare(path, contents_digest(about, labels, images), digest)
    return digest


def _find(config: DataConfig) -> tuple[Path, About, str]:
    path = Path(config.root)
    if not path.is_file():
        raise DataError(
            f"data.root is {config.root!r}; no such file. `ganymede data pack` makes packed sets"
        )
    about, digest = read_about(path)
    if config.image_size != about.image_size and about.channels not in (1, 3):
        raise ConfigError(
            f"data.image_size is {config.image_size}; {path} allows: {about.image_size}, since "
            f"images of {about.channels} channels are not resized"
        )
    return path, about, digest


def _info(about: About, digest: str) -> DataInfo:
    return DataInfo(about.set, *about.counts, about.channels, about.classes, digest)


def _compare(path: Path, found: str, written: str) -> None:
    if found != written:
        raise DataError(
            f"{path} is damaged: the SHA-256 of its contents is {found}, written was {written}; "
            "pack the set again, or copy the file anew"
        )


def _verify_once(path: Path, digest: str) -> None:
    """Verify the contents, unless a note beside the file says that this was done.

    The note counts while the file has the size and the time of change that it had then. Where none
    can be written, the file is read whole each time.
    """
    note, before = path.with_name(f".{path.name}.verified"), path.stat()
    present = {"size": before.st_size, "mtime_ns": before.st_mtime_ns, "sha256": digest}
    with contextlib.suppress(OSError, ValueError):
        if files.read_json(note) == present:
            return
    verify(path)
    with contextlib.suppress(OSError):
        files.write_json(note, present)
