"""Generated images in HDF5: one small file a snapshot, one virtual data set over all of them.

A snapshot is built in memory and committed by rename, so no crash corrupts it and a step that is
played again writes the same bytes: nothing in it depends on time, host or job. `samples.h5` shows
all snapshots as one data set while training runs; the finished run is packed into one plain file.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from checkpoints import files
from gan import hdf5

_SNAPSHOTS = "samples"  # the folder's name
_PACKED_TOGETHER = 1 << 15  # bytes of images; what gzip looks back on
_SNAPSHOT = re.compile(r"step-(\d{8,})\.h5")
# What h5py raises for damaged files, depending on where the damage is.
_DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError)
Attributes = Mapping[str, str | int | float]


class SamplesError(Exception):
    """Samples that cannot be read whole; the message names the file."""


@dataclass(frozen=True)
class Samples:
    """What a samples file holds."""

    images: NDArray[np.uint8]  # (T, N, H, W, C)
    labels: NDArray[np.int64]  # (N,) the class asked for
    steps: NDArray[np.int64]  # (T,) training steps, ascending
    attributes: dict[str, str | int | float]


class SampleStore:
    """The snapshots of one run, in `folder`/samples, shown together as `folder`/samples.h5.

    `guard` is called before anything is written, and raises if this process may no longer write.
    """

    def __init__(
        self, folder: Path, attributes: Attributes, guard: Callable[[], None] = lambda: None
    ) -> None:
        self.folder, self.attributes, self.guard = folder, attributes, guard
        self.file = folder / "samples.h5"
        self.snapshots = folder / _SNAPSHOTS

    def steps(self) -> list[int]:
        """Steps of the snapshots, ascending."""
        names = (_SNAPSHOT.fullmatch(path.name) for path in self.snapshots.glob("step-*.h5"))
        return sorted(int(match[1]) for match in names if match)

    def path(self, step: int) -> Path:
        return self.snapshots / f"step-{step:08d}.h5"

    def add(self, step: int, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        """Commit one snapshot, images (N, H, W, C) uint8 with labels (N,), and show it.

        A finished run that is trained again from an earlier checkpoint finds its snapshots packed:
        they are taken apart first, so that none is lost.
        """
        self.guard()
        if self.file.exists() and not self.snapshots.is_dir():
            self._unpack()
        files.write_bytes(
            self.path(step), pack_bytes(images[None], labels, np.array([step]), self.attributes)
        )
        self._write_view()

    def _unpack(self) -> None:
        packed = read(self.file)
        for images, step in zip(packed.images, packed.steps, strict=True):
            snapshot = pack_bytes(images[None], packed.labels, step[None], self.attributes)
            files.write_bytes(self.path(int(step)), snapshot)

    def _write_view(self) -> None:
        """Rewrite `samples.h5` as a virtual data set over the snapshots (paths are relative)."""
        steps = self.steps()
        with h5py.File(self.path(steps[-1]), "r", locking=False) as newest:
            shape, labels = newest["images"].shape[1:], newest["labels"][:]
        sources = [f"{self.snapshots.name}/{self.path(step).name}" for step in steps]
        with _in_memory() as file:
            _create_virtual(file, sources, shape)
            _fill(file, labels, np.array(steps), self.attributes)
            data = _image_of(file)
        files.write_bytes(self.file, data)

    def pack(self) -> Samples:
        """Turn `samples.h5` into one plain file, verify it, and remove the snapshots.

        Does nothing but read if that has been done before. Raises SamplesError.
        """
        self.guard()
        samples = read(self.file)
        if self.snapshots.is_dir():
            packed = pack_bytes(samples.images, samples.labels, samples.steps, self.attributes)
            files.write_bytes(self.file, packed)
            if not np.array_equal(read(self.file).images, samples.images):
                raise SamplesError(f"{self.file}: packed images differ from the snapshots'")
            files.remove_folder(self.snapshots)
        return samples


def pack_bytes(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    steps: NDArray[np.int64],
    attributes: Attributes,
) -> bytes:
    """A whole samples file: images (T, N, H, W, C), labels (N,), steps (T,)."""
    with _in_memory() as file:
        chunks = _chunks(images.shape)
        file.create_dataset("images", data=images, chunks=chunks, compression="gzip", shuffle=True)
        _fill(file, labels, steps, attributes)
        return _image_of(file)


def _chunks(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """How images (T, N, H, W, C) are packed: some whole ones of one step together.

    By itself h5py takes parts of images of many steps, which packs worse and takes longer, and a
    grid cannot be read without the others. None leaves it to h5py: nothing is to be packed.
    """
    _, images, *one = shape
    together = min(images, max(1, _PACKED_TOGETHER // max(1, math.prod(one))))
    return (1, together, *one) if math.prod(shape) else None


def read(path: Path) -> Samples:
    """Read a samples file, packed or virtual, without file locks.

    Raises SamplesError if it, or a snapshot that it shows, is missing or damaged. (HDF5 itself
    would give zeros for a missing snapshot.)
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            images = hdf5.dataset(file, "images", hdf5.DEFLATE, virtual=True)
            if images.is_virtual:
                stack = [_read_snapshot(source) for source in _sources(path, images)]
                content = np.stack(stack) if stack else images[:]
            else:
                content = images[:]
            attributes = {key: getattr(v, "item", lambda v=v: v)() for key, v in file.attrs.items()}
            return Samples(content, *_numbers(file), attributes)
    except FileNotFoundError as error:
        raise SamplesError(f"{error.filename or path} is missing") from None
    except _DAMAGE as error:
        raise SamplesError(f"{path} cannot be read: {error}") from error


def _sources(path: Path, images: Any) -> list[Path]:
    """The snapshots of a virtual data set. Raises SamplesError for any other file's name."""
    names = [source.file_name for source in images.virtual_sources()]
    for name in names:
        folder, _, file = name.rpartition("/")
        if folder != _SNAPSHOTS or not _SNAPSHOT.fullmatch(file):
            raise SamplesError(f"{path} shows {name!r}; allowed: snapshots in {_SNAPSHOTS}/")
    return [path.parent / name for name in names]


def _numbers(file: h5py.File) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels and steps."""
    return hdf5.dataset(file, "labels")[:], hdf5.dataset(file, "steps")[:]


def _read_snapshot(path: Path) -> NDArray[np.uint8]:
    if not path.is_file():
        raise SamplesError(f"{path} is missing: the snapshot that samples.h5 shows")
    try:
        with h5py.File(path, "r", locking=False) as file:
            snapshot: NDArray[np.uint8] = hdf5.dataset(file, "images", hdf5.DEFLATE)[0]
            return snapshot
    except _DAMAGE as error:
        raise SamplesError(f"{path} cannot be read: {error}") from error


def _in_memory() -> h5py.File:
    return h5py.File("memory", "w", driver="core", backing_store=False)


def _create_virtual(file: h5py.File, sources: list[str], shape: tuple[int, ...]) -> None:
    """Data set "images" (len(sources), *shape), each row the one row of its source.

    Through the low-level interface, since the high-level one has HDF5 note the time of creation.
    """
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_obj_track_times(False)
    source_space = h5py.h5s.create_simple((1, *shape))
    for place, source in enumerate(sources):
        target = h5py.h5s.create_simple((len(sources), *shape))
        target.select_hyperslab((place, *(0 for _ in shape)), (1, *shape))
        settings.set_virtual(target, source.encode(), b"images", source_space)
    space = h5py.h5s.create_simple((len(sources), *shape))
    h5py.h5d.create(file.id, b"images", h5py.h5t.NATIVE_UINT8, space, dcpl=settings)


def _fill(
    file: h5py.File, labels: NDArray[np.int64], steps: NDArray[np.int64], attributes: Attributes
) -> None:
    file.create_dataset("labels", data=labels.astype(np.int64))
    file.create_dataset("steps", data=steps.astype(np.int64))
    for key, value in sorted(attributes.items()):
        file.attrs[key] = value


def _image_of(file: h5py.File) -> bytes:
    file.flush()
    image: bytes = file.id.get_file_image()
    return image
