"""A ring of Gaussians: points in the plane whose modes can be counted.

Eight of them at equal distances on a circle, as in the studies of mode collapse (Metz et al.,
"Unrolled generative adversarial networks", 2017; Srivastava et al., "VEEGAN", 2017). A point is an
"image" of two channels (x and y) and one pixel, so that it passes through all that images do. The
label is the mode. Coordinates are those of images outside networks: -1 to 1, in 255 steps, each a
quarter of a standard deviation.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan.config import ConfigError, DataConfig
from gan.data.images import DataInfo, ImageSet, split

MODES = 8
RADIUS = 0.8
SIGMA = 0.03  # standard deviation of each mode, in both directions
COUNT = 10_000
_SEED = 352
_HIGH_QUALITY = 3 * SIGMA


def inspect(config: DataConfig) -> DataInfo:
    """Raises ConfigError for another image size than 1."""
    if config.image_size != 1:
        raise ConfigError(
            f"data.image_size is {config.image_size}; the ring allows: 1 (a point is one pixel)"
        )
    images, _ = _made()
    fingerprint = hashlib.sha256(images.tobytes()).hexdigest()
    train, test = split(COUNT, config.test_fraction)
    names = tuple(str(mode) for mode in range(MODES))
    return DataInfo("ring", len(train), len(test), 2, names, fingerprint)


def load(config: DataConfig) -> ImageSet:
    info = inspect(config)
    images, labels = _made()
    train, test = split(COUNT, config.test_fraction)
    return ImageSet(info, images[train], labels[train], images[test], labels[test])


def natural_size(config: DataConfig) -> int:
    return 1


def _made() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The same points every time: images (N, 2, 1, 1) and labels (N,), the modes in turn."""
    generator = np.random.Generator(np.random.Philox(key=_SEED))
    labels = np.arange(COUNT, dtype=np.int64) % MODES
    points = centres()[labels] + SIGMA * generator.standard_normal((COUNT, 2))
    levels = np.clip(np.rint((points + 1) * 127.5), 0, 255).astype(np.uint8)
    return levels[:, :, None, None], labels


def centres() -> NDArray[np.float64]:
    """The means of the modes, (MODES, 2), counter-clockwise from the right."""
    angles = 2 * np.pi * np.arange(MODES) / MODES
    return RADIUS * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def points_of(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Images of points (N, 2, 1, 1) or (N, 1, 1, 2) uint8 as points (N, 2) in -1 to 1."""
    return images.reshape(len(images), 2) / 127.5 - 1


@dataclass(frozen=True)
class Coverage:
    """How much of the ring a set of points shows."""

    modes: int
    """modes that are nearest to at least one high-quality point"""
    quality: float
    """share of high-quality points: within three standard deviations of the nearest mode"""
    per_mode: tuple[int, ...]
    """high-quality points of each mode"""


def coverage(points: NDArray[np.float64]) -> Coverage:
    """Count the modes that points (N, 2) cover (the two figures of VEEGAN, section 4).

    Of points drawn from the ring itself 98.9 % are of high quality: 1 - exp(-9/2), in the plane.
    Raises ValueError for anything but points.
    """
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"points have shape {points.shape}; allowed: (N, 2), N 1 or more")
    distances = np.linalg.norm(points[:, None] - centres(), axis=2)  # (N, MODES)
    near = distances.min(axis=1) <= _HIGH_QUALITY
    found = np.bincount(distances.argmin(axis=1)[near], minlength=MODES)
    return Coverage(int((found > 0).sum()), float(near.mean()), tuple(found.tolist()))
