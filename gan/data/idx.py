"""MNIST and its relatives: four idx files each, 28 x 28 grey images, labels of one byte.

The format is LeCun's (big-endian header: two zero bytes, the type, the number of dimensions, then
their lengths). A file is read as it was published, packed by gzip, or unpacked beside that; nothing
is written to the folder, which may be read-only and serve many users.
"""

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan.config import DataConfig
from gan.data import official
from gan.data.images import DataError, DataInfo, ImageSet, resize, to_array

SIDE = 28
_UNSIGNED_BYTES = 8  # the code of the type in the header


@dataclass(frozen=True)
class Part:
    """The training or the test half: names of its two files, unpacked, and how many images."""

    images: str
    labels: str
    count: int


@dataclass(frozen=True)
class IdxSet:
    """One published set."""

    name: str
    title: str  # torchvision's class, and the set's folder below data.root
    classes: tuple[str, ...]
    counts: tuple[int, int] = (60_000, 10_000)  # training and test images
    prefixes: tuple[str, str] = ("train", "t10k")  # of the names of their files
    md5: Mapping[str, str] = field(default_factory=dict)  # by file name, packed and unpacked
    first_label: int = 0  # of the first class
    transposed: bool = False  # the files hold columns first
    options: Mapping[str, Any] = field(default_factory=dict)  # torchvision's further arguments

    @property
    def parts(self) -> list[Part]:
        """Training and test part."""
        return [
            Part(f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte", count)
            for prefix, count in zip(self.prefixes, self.counts, strict=True)
        ]


def inspect(files: IdxSet, config: DataConfig) -> DataInfo:
    """Everything is read and verified, so that damage is found before a job is queued."""
    return _info(files, _read(files, config))


def load(files: IdxSet, config: DataConfig) -> ImageSet:
    arrays = _read(files, config)
    sized = [(_at_size(images, config.image_size), labels) for images, labels in arrays]
    return ImageSet(_info(files, arrays), *sized[0], *sized[1])


_Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]  # (N, 28, 28), (N,)


def _info(files: IdxSet, arrays: list[_Arrays]) -> DataInfo:
    if files.md5:
        fingerprint = "official"
    else:
        digest = hashlib.sha256()
        for images, labels in arrays:
            digest.update(images.tobytes())
            digest.update(labels.tobytes())
        fingerprint = digest.hexdigest()
    counts = [len(labels) for _, labels in arrays]
    return DataInfo(files.name, counts[0], counts[1], 1, files.classes, fingerprint)


def _at_size(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if size == SIDE:
        return np.array(images, order="C")[:, None]  # of its own: the file's bytes are read-only
    return to_array([resize(Image.fromarray(image), size) for image in images])


def _read(files: IdxSet, config: DataConfig) -> list[_Arrays]:
    """Training and test part, upright, the labels counted from 0."""
    folder = Path(config.root) / files.title / "raw"
    names = [name for part in files.parts for name in (part.images, part.labels)]
    if config.download and not all(_find(folder, name) for name in names):
        official.fetch(files.title, config, **files.options)
    found = {}
    for name in names:
        path = _find(folder, name)
        if path is None:
            raise official.absent(files.title, folder / f"{name}.gz", config)
        found[name] = path
    return [_read_part(files, found[p.images], found[p.labels], p.count) for p in files.parts]


def _find(folder: Path, name: str) -> Path | None:
    """The packed file, which has a published checksum, before the unpacked one."""
    return next((p for p in (folder / f"{name}.gz", folder / name) if p.is_file()), None)


def _read_part(files: IdxSet, images_at: Path, labels_at: Path, count: int) -> _Arrays:
    for path in (images_at, labels_at):
        if files.md5:
            official.verify(path, files.md5[path.name])
    images = read(images_at, (count, SIDE, SIDE))
    labels = read(labels_at, (count,)).astype(np.int64)
    last = files.first_label + len(files.classes) - 1
    official.check_labels(labels_at, labels, files.first_label, last)
    return images.swapaxes(1, 2) if files.transposed else images, labels - files.first_label


def read(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An idx file of unsigned bytes in this shape. Raises DataError for any other content."""
    wanted = bytes((0, 0, _UNSIGNED_BYTES, len(shape))) + np.array(shape, dtype=">u4").tobytes()
    size = int(np.prod(shape))
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(len(wanted) + size + 1)  # no more, however much there may be
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    header = content[: len(wanted)]
    if header != wanted or len(content) != len(wanted) + size:
        raise DataError(
            f"{path} holds {len(content)} bytes that begin with {header.hex()}; allowed: "
            f"{len(wanted) + size} that begin with {wanted.hex()}, an idx file of {shape} bytes"
        )
    values = np.frombuffer(content, dtype=np.uint8, offset=len(wanted)).reshape(shape)
    return values.copy()  # torch warns of an array that cannot be written to
