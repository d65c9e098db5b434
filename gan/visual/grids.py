"""Contact sheets: many small images as one picture."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from checkpoints import files

_GAP = 2  # pixels between two images, so that strokes at the frame do not run together
_BACKGROUND = 96


def grid(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Images (N, H, W, C) in rows of `columns`; (rows (H + gap) + gap, ..., C)."""
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    sheet = np.full(
        (rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, channels),
        _BACKGROUND,
        dtype=np.uint8,
    )
    for place, image in enumerate(images):
        top = (place // columns) * (height + _GAP) + _GAP
        left = (place % columns) * (width + _GAP) + _GAP
        sheet[top : top + height, left : left + width] = image
    return sheet


def png(sheet: NDArray[np.uint8], scale: int = 1) -> bytes:
    """A picture (H, W, 1 or 3) as PNG, each pixel drawn `scale` times."""
    picture = Image.fromarray(sheet[..., 0] if sheet.shape[-1] == 1 else sheet)
    if scale > 1:
        size = (picture.width * scale, picture.height * scale)
        picture = picture.resize(size, Image.Resampling.NEAREST)
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def save(path: Path, images: NDArray[np.uint8], columns: int) -> None:
    """Write a contact sheet as PNG, small images enlarged to about 64 pixels."""
    scale = max(1, 64 // images.shape[1])
    files.write_bytes(path, png(grid(images, columns), scale))
