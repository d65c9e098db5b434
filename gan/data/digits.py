"""The handwritten digits inside scikit-learn: 1,797 real images, 8 x 8, no download.

They are part of the UCI set "Optical recognition of handwritten digits" (Alpaydin, Kaynak, 1998).
"""

import numpy as np
from PIL import Image

from gan.config import DataConfig
from gan.data.images import DataInfo, ImageSet, split, to_array

_COUNT = 1797
_LEVELS = 16  # the set's grey values run from 0 to 16


def inspect(config: DataConfig) -> DataInfo:
    tests = round(_COUNT * config.test_fraction)
    classes = tuple("0123456789")
    return DataInfo("digits", _COUNT - tests, tests, 1, classes, fingerprint="scikit-learn")


def load(config: DataConfig) -> ImageSet:
    """The digits with a margin of an eighth of the side, since the originals touch the frame."""
    from sklearn.datasets import load_digits  # takes a second: not for a submission

    digits = load_digits()
    grey = np.round(digits.images * (255 / _LEVELS)).astype(np.uint8)  # (1797, 8, 8)
    images = to_array([_framed(Image.fromarray(picture), config.image_size) for picture in grey])
    labels = digits.target.astype(np.int64)
    train, test = split(_COUNT, config.test_fraction)
    return ImageSet(inspect(config), images[train], labels[train], images[test], labels[test])


def natural_size(config: DataConfig) -> int:
    """Of the framed pictures, as the recipes use them."""
    return 16


def _framed(picture: Image.Image, size: int) -> Image.Image:
    margin = size // 8
    inner = size - 2 * margin
    frame = Image.new("L", (size, size))
    frame.paste(picture.resize((inner, inner), Image.Resampling.BICUBIC), (margin, margin))
    return frame
