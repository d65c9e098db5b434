"""Contact sheets with a line or two of words below each image."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gan.visual import grids

_SIDE = 64  # pixels that an image's side has at least, so that a word fits below it
_SIZE = 11  # of the letters, in pixels
_LINE = 14
_GAP = 4  # pixels between two images, and around all
_BACKGROUND = 96
_WORDS = 255
_CUT = "\N{HORIZONTAL ELLIPSIS}"


def sheet(
    images: NDArray[np.uint8],
    captions: Sequence[str],
    columns: int,
    notes: Mapping[str, str | int | float] | None = None,
) -> bytes:
    """Images (N, H, W, 1 or 3) in rows of `columns` as PNG, each with its caption below.

    Small ones are enlarged. A caption's lines are cut where they are wider than the image; a row
    whose captions are all empty takes no room for them. Raises ValueError for another number of
    captions.
    """
    if len(captions) != len(images):
        raise ValueError(
            f"{len(captions)} captions for {len(images)} images; allowed: one for each"
        )
    scale = -(-_SIDE // images.shape[2])
    large = images.repeat(scale, axis=1).repeat(scale, axis=2)
    starts = range(0, len(images), columns)
    rows = [_row(large[a : a + columns], captions[a : a + columns], columns) for a in starts]
    return grids.png(np.concatenate([_space(_GAP, rows[0].shape[1:]), *rows]), notes=notes)


def _row(images: NDArray[np.uint8], captions: Sequence[str], columns: int) -> NDArray[np.uint8]:
    """Images (n, h, w, C) side by side, the captions below; room for `columns` of them."""
    _, height, width, channels = images.shape
    lines = max(len(caption.splitlines()) for caption in captions)
    row = _space(height + lines * _LINE + _GAP, (columns * (width + _GAP) + _GAP, channels))
    for place, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left = _GAP + place * (width + _GAP)
        row[:height, left : left + width] = image
        for number, line in enumerate(caption.splitlines()):
            top = height + number * _LINE
            row[top : top + _LINE, left : left + width] = _written(line, width)
    return row


def _space(height: int, shape: Sequence[int]) -> NDArray[np.uint8]:
    return np.full((height, *shape), _BACKGROUND, dtype=np.uint8)


def _written(line: str, width: int) -> NDArray[np.uint8]:
    """A line of words in the middle of (_LINE, width, 1)."""
    picture = Image.new("L", (width, _LINE), _BACKGROUND)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(_SIZE)
    shown = line
    while pen.textlength(shown, font) > width and len(shown) > 1:
        shown = shown.removesuffix(_CUT)[:-1].rstrip() + _CUT
    pen.text((width / 2, _LINE / 2), shown, fill=_WORDS, font=font, anchor="mm")
    return np.asarray(picture)[..., None]
