"""Images that are in memory or read when they are asked for, behind the same few calls."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rows = slice | NDArray[np.intp]
Images = NDArray[np.uint8]


class ImageSource(Protocol):
    """What training needs of images (N, C, S, S) uint8. An array is one."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Rows, /) -> Images: ...


@dataclass(frozen=True)
class View:
    """Some of a source's images, in as many channels as asked."""

    source: ImageSource
    rows: NDArray[np.intp]
    channels: int

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.rows), self.channels, *self.source.shape[2:]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Rows, /) -> Images:
        return as_channels(self.source[self.rows[rows]], self.channels)


def as_channels(images: Images, channels: int) -> Images:
    """Grey images (N, 1, S, S) to RGB, three times the same; or RGB to grey, by ITU-R BT.601."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=1)
    # Pillow's arithmetic: in 65536ths, rounded to the nearest.
    red, green, blue = images.astype(np.uint32).transpose(1, 0, 2, 3)
    grey = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    return grey[:, None].astype(np.uint8)
