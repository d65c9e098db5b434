"""Contact sheets: many small images as one picture, or many points of the plane."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from checkpoints import files
from gan.visual.origin import Notes

_GAP = 2  # pixels between two images, so that strokes at the frame do not run together
_BACKGROUND = 96
_LEVELS = 256  # of a coordinate: a pixel of the plane is one possible point
_DOT = 3  # pixels from a dot's middle to its edge
_FAINTEST = 64  # the grey that a dot is lighter than


def grid(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Images (N, H, W, C) in rows of `columns`; (rows (H + gap) + gap, ..., C).

    Images of one pixel and two channels are points: they all go into one `plane`.
    """
    if _are_points(images):
        return plane(images.reshape(-1, 2))
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


def png(sheet: NDArray[np.uint8], scale: int = 1, notes: Notes | None = None) -> bytes:
    """A picture (H, W, 1 or 3) as PNG, each pixel drawn `scale` times, with `notes` as text."""
    picture = Image.fromarray(sheet[..., 0] if sheet.shape[-1] == 1 else sheet)
    if scale > 1:
        size = (picture.width * scale, picture.height * scale)
        picture = picture.resize(size, Image.Resampling.NEAREST)
    stream = io.BytesIO()
    text = PngInfo()
    for name, note in (notes or {}).items():
        text.add_text(name, str(note))
    picture.save(stream, "PNG", pnginfo=text)
    return stream.getvalue()


def contact_sheet(images: NDArray[np.uint8], columns: int, notes: Notes | None = None) -> bytes:
    """Images (N, H, W, C) in rows of `columns` as PNG, small ones enlarged to about 64 pixels."""
    scale = 2 if _are_points(images) else max(1, 64 // images.shape[1])
    return png(grid(images, columns), scale, notes)


def save(path: Path, images: NDArray[np.uint8], columns: int, notes: Notes | None = None) -> None:
    """Write a contact sheet; `notes` tell in the file what it is (see `gan.visual.origin`)."""
    files.write_bytes(path, contact_sheet(images, columns, notes))


def _are_points(images: NDArray[np.uint8]) -> bool:
    return images.shape[1:] == (1, 1, 2)


def plane(points: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Points (N, 2), x to the right and y upwards, as light on a black plane (262, 262, 1).

    Each is a dot. Where dots lie on each other it is lighter, by the logarithm of how many, and
    white where they are most.
    """
    light = np.zeros((_LEVELS + 2 * _DOT, _LEVELS + 2 * _DOT))
    columns, rows = points[:, 0].astype(np.intp), _LEVELS - 1 - points[:, 1].astype(np.intp)
    for down in range(-_DOT, _DOT + 1):
        for right in range(-_DOT, _DOT + 1):
            if down**2 + right**2 <= _DOT**2:
                np.add.at(light, (rows + _DOT + down, columns + _DOT + right), 1)
    shades = _FAINTEST + (255 - _FAINTEST) * np.log1p(light) / np.log1p(light.max())
    return np.where(light > 0, np.rint(shades), 0)[..., None].astype(np.uint8)
