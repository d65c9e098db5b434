"""Writing a data set into one HDF5 file: many small files become a single one."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np

from checkpoints import files
from gan import data
from gan.config import DataConfig, flatten
from gan.data import packed
from gan.data.images import DataError
from gan.data.packed import PARTS, About
from gan.data.sources import Images, ImageSource, Rows

_CHUNK = 1 << 14  # bytes that are read for one image: of small ones, several share a chunk
_TELLING = 1 << 28  # bytes from which on the progress is told
_CHUNK_NOTES = 64  # bytes, at most: a chunk's checksum and its place in the index
_RESERVE = 1 << 18  # bytes for all that is neither images nor labels
_VERSIONS = ("v110", "v110")  # of the format: has checksums of all that it notes of the data, too
_SETTINGS = ("emnist_split", "image_size", "channels", "test_fraction", "train_share")


def pack(config: DataConfig, target: Path, say: Callable[[str], None] = print) -> str:
    """Write the set that `config` describes; returns the SHA-256 of the contents.

    Images are packed as they are read, with the size, channels, share and held-out part asked for.
    A file that is there already must hold the same. Raises DataError, ConfigError, or OSError (a
    full disk), and has then written nothing.
    """
    if target.is_dir():
        raise DataError(f"{target} is a folder; give the name of a file, as {target}/set.h5")
    info = data.inspect(config)
    settings = {name: value for name, value in flatten(config).items() if name in _SETTINGS}
    about = About(
        set=info.name,
        classes=info.classes,
        counts=(info.train_count, info.test_count),
        channels=info.channels,
        image_size=config.image_size,
        fingerprint=info.fingerprint,
        settings=settings,
    )
    if target.exists():
        _require_same(target, about)
        say(f"{target} holds these images already")
        return packed.verify(target)
    images = data.load(config)
    files.remove_leftovers(target.parent)
    with files.made_aside(target) as aside:
        _write(aside, about, images, say)
        return packed.verify(aside)


def _require_same(target: Path, about: About) -> None:
    """Raise DataError if a file that is there holds something else."""
    remedy = "remove it, or give another name"
    try:
        found, _ = packed.read_about(target)
    except DataError as error:
        raise DataError(f"{error}; {remedy}") from None
    there, given = msgspec.to_builtins(found), msgspec.to_builtins(about)
    other = [
        f"{key} {there[key]!r}, not {given[key]!r}" for key in given if there[key] != given[key]
    ]
    if other:
        raise DataError(f"{target} is there and holds other images ({other[0]}); {remedy}")


def _write(path: Path, about: About, images: data.ImageSet, say: Callable[[str], None]) -> None:
    _reserve(path, about)
    with h5py.File(path, "r+", libver=_VERSIONS) as file:
        copied, labels = [], (images.train_labels, images.test_labels)
        for number, source in enumerate((images.train_images, images.test_images)):
            group, shape = file.create_group(PARTS[number]), about.shape(number)
            group.create_dataset("labels", data=labels[number], track_times=False)
            stored = group.create_dataset(
                "images",
                shape,
                dtype=np.uint8,
                chunks=(_together(shape), *shape[1:]),
                fletcher32=True,
                track_times=False,
            )
            copied.append(_Copied(source, stored, f"{PARTS[number]} images", say))
        file.attrs["about"] = msgspec.json.encode(about).decode()
        file.attrs["sha256"] = packed.contents_digest(about, labels, copied)


def _together(shape: Sequence[int]) -> int:
    """Images in one chunk."""
    return max(1, min(shape[0], _CHUNK // math.prod(shape[1:])))


def _reserve(path: Path, about: About) -> None:
    """Make an empty file with room on the disk for all that is to come. Raises OSError.

    HDF5 would not survive a disk that is full while it writes. What is too much it gives back.
    """
    needed = _RESERVE + 2 * len(msgspec.json.encode(about))
    for part, count in enumerate(about.counts):
        shape = about.shape(part)
        together = _together(shape)
        chunks = -(-count // together)
        needed += chunks * (together * math.prod(shape[1:]) + _CHUNK_NOTES) + 8 * count
    with h5py.File(path, "w", libver=_VERSIONS):
        pass
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, needed)
        os.fsync(file.fileno())


@dataclass
class _Copied:
    """A source whose images are written to a file as they are read."""

    source: ImageSource
    stored: Any  # h5py's data set
    what: str
    say: Callable[[str], None]
    tenths_told: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.source.shape

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, rows: Rows, /) -> Images:
        assert isinstance(rows, slice)
        images = self.source[rows]
        self.stored[rows] = images
        done = min(rows.stop, len(self))
        if 10 * done // len(self) > self.tenths_told and self.stored.nbytes > _TELLING:
            self.tenths_told = 10 * done // len(self)
            self.say(f"{done} of {len(self)} {self.what}")
        return images
