"""The handwritten digits inside scikit-learn: 1,797 real images, 8 x 8, no download.

They are part of the UCI set "Optical recognition of handwritten digits" (Alpaydin, Kaynak, 1998).
"""

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan.config import DataConfig
from gan.data.images import DataInfo, ImageSet, split, to_array

_COUNT = 1797
_LEVELS = 16  # the set's grey values run from 0 to 16
_FILE = "datasets/data/digits.csv.gz"  # in scikit-learn's folder: 64 values and the class a line


def inspect(config: DataConfig) -> DataInfo:
    tests = round(_COUNT * config.test_fraction)
    classes = tuple("0123456789")
    return DataInfo("digits", _COUNT - tests, tests, 1, classes, fingerprint="scikit-learn")


def load(config: DataConfig) -> ImageSet:
    """The digits with a margin of an eighth of the side, since the originals touch the frame."""
    levels, labels = read()
    grey = np.round(levels * (255 / _LEVELS)).astype(np.uint8)  # (1797, 8, 8)
    images = to_array([_framed(Image.fromarray(picture), config.image_size) for picture in grey])
    train, test = split(_COUNT, config.test_fraction)
    return ImageSet(inspect(config), images[train], labels[train], images[test], labels[test])


def read() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Grey values (1797, 8, 8) in 0 to 16, and classes (1797,), as `load_digits` gives them.

    Out of scikit-learn's file, without scikit-learn: to import it takes longer than the first step
    of a small network. Raises ImportError where it is not installed.
    """
    package = find_spec("sklearn")
    folders = package.submodule_search_locations if package else None
    for folder in folders or ():
        path = Path(folder) / _FILE
        if path.is_file():
            with gzip.open(path, "rt", encoding="ascii") as lines:
                values = np.loadtxt(lines, delimiter=",")
            return values[:, :-1].reshape(-1, 8, 8), values[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits  # another version may keep it elsewhere

    digits = load_digits()
    return digits.images, digits.target.astype(np.int64)


def natural_size(config: DataConfig) -> int:
    """Of the framed pictures, as the recipes use them."""
    return 16


def _framed(picture: Image.Image, size: int) -> Image.Image:
    margin = size // 8
    inner = size - 2 * margin
    frame = Image.new("L", (size, size))
    frame.paste(picture.resize((inner, inner), Image.Resampling.BICUBIC), (margin, margin))
    return frame
