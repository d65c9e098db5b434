"""What every data set has in common: the arrays, the resizing, the split."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan.config import DataConfig
from gan.data.sources import ImageSource

# Held-out images are the same in every run, whatever its seed: figures stay comparable.
_SPLIT_SEED = 352


class DataError(ValueError):
    """A data set that is missing or cannot be read; the message names the file and the remedy."""


@dataclass(frozen=True)
class DataInfo:
    """What a submission needs to know of a data set."""

    name: str
    train_count: int
    test_count: int
    channels: int
    classes: tuple[str, ...]
    fingerprint: str  # differs when the images do


@dataclass(frozen=True)
class ImageSet:
    """A data set. Its training images may be too many for memory; the others are held there."""

    info: DataInfo
    train_images: ImageSource  # (N, C, S, S) uint8: an array, or read when asked for
    train_labels: NDArray[np.int64]  # (N,)
    test_images: NDArray[np.uint8]  # (M, C, S, S)
    test_labels: NDArray[np.int64]  # (M,)


def fits(config: DataConfig, shape: Sequence[int]) -> bool:
    """Whether images (N, C, S, S) uint8 may be held in memory."""
    return math.prod(shape) <= config.memory_gb * 1e9


def resize(image: Image.Image, size: int) -> Image.Image:
    """A square of side `size`: the middle of the picture, resampled bicubically."""
    if image.size == (size, size):
        return image
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box)


def to_array(images: Sequence[Image.Image]) -> NDArray[np.uint8]:
    """Pictures of one size and mode to (N, C, S, S) uint8."""
    stacked = np.stack([np.asarray(image, dtype=np.uint8) for image in images])
    return stacked[:, None] if stacked.ndim == 3 else np.moveaxis(stacked, 3, 1).copy()


def split(count: int, test_fraction: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices (train, test) of a set that has no test part of its own, each ascending."""
    tests = round(count * test_fraction)
    shuffled = _shuffled(count)
    return np.sort(shuffled[tests:]), np.sort(shuffled[:tests])


def chosen(count: int, wanted: int | None) -> NDArray[np.intp]:
    """Indices of `wanted` of `count` images, ascending, the same in every run; None: all.

    Not the first ones: many sets are sorted by class (EMNIST's test images, every folder).
    """
    return np.sort(_shuffled(count)[:wanted])


def _shuffled(count: int) -> NDArray[np.intp]:
    return np.random.Generator(np.random.Philox(key=_SPLIT_SEED)).permutation(count)
