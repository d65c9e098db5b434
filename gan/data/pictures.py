"""One picture file to eight bits a channel, grey or RGB; nothing is altered silently.

| given | made of it |
| --- | --- |
| 8 bits, grey or RGB | itself; grey to RGB three times the same, RGB to grey by ITU-R BT.601 |
| black and white, palette, CMYK, YCbCr | grey, RGB, RGB, RGB, by Pillow's formulas |
| 16 bits, grey | 8 bits, scaled: 0 is 0 and 65535 is 255 |
| 16 bits, RGB | 8 bits, the upper ones (Pillow reads no more) |
| alpha, a transparent colour | laid on white |
| a camera's note on how to turn it (EXIF) | turned |
| several frames | refused (the preview inside a camera's JPEG is passed over) |
| 32-bit numbers, others, damaged | refused |
"""

import io
import struct
import zlib
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from gan.data.images import DataError

Kind = Literal["rgb", "grey"]
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
MODES: dict[Kind, str] = {"rgb": "RGB", "grey": "L"}
_GREY_MODES = ("1", "L", "LA", "La")
_NUMBERS = ("I", "F")  # 32 bits, of any range
MOST_PIXELS = 1 << 26  # several pictures are decoded at a time
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, KeyError, struct.error, zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)  # fmt: skip


def decode(content: bytes, name: str, kind: Kind | None = None) -> Image.Image:
    """The picture in this file as mode RGB or L; as it is if `kind` is left out.

    Raises DataError, which names the file, for what is no picture, or refused above.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            _require_supported(image, name)
            return _convert(image, kind)
    except DataError:
        raise
    except _DAMAGE as error:
        raise DataError(f"{name} is no readable picture: {error}") from error


def _require_supported(image: Image.Image, name: str) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise DataError(
            f"{name} has {image.width} x {image.height} pixels; allowed: {MOST_PIXELS} in all"
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise DataError(f"{name} has {frames} frames; allowed: pictures with one")
    if image.mode in _NUMBERS and not _is_16_bit(image):
        raise DataError(
            f"{name} has 32-bit numbers for pixels (mode {image.mode}), whose range is unknown; "
            "allowed: 8 or 16 bits"
        )


def _is_16_bit(image: Image.Image) -> bool:
    # Older Pillows read a PNG of 16 bits into mode I.
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")


def _convert(image: Image.Image, kind: Kind | None) -> Image.Image:
    deep = _is_16_bit(image)
    grey = deep or image.mode in _GREY_MODES
    upright = ImageOps.exif_transpose(image)
    if deep:
        upright = _to_8_bits(upright)
    elif upright.has_transparency_data:
        layer = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    if grey and upright.mode != "L":
        upright = upright.convert("L")
    return upright.convert(MODES[kind or ("grey" if grey else "rgb")])


def _to_8_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.int64)
    transparent = image.info.get("transparency")
    if transparent is not None:
        values = np.where(values == transparent, 65535, values)
    return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))  # to the nearest
