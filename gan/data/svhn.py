"""SVHN through torchvision (Netzer et al., 2011): 73,257 + 26,032 house numbers, 32 x 32, colour.

The cropped digits, without the further 531,131 easy training images.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from gan.config import DataConfig
from gan.data import official
from gan.data.images import DataError, DataInfo, ImageSet, resize, to_array

_COUNTS = {"train": 73_257, "test": 26_032}
_MD5 = {
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
}
_SIDE = 32


def inspect(config: DataConfig) -> DataInfo:
    """Presence and checksums, without reading the images."""
    for part in _COUNTS:  # torchvision fetches one part at a time
        name = f"{part}_32x32.mat"
        files = {name: _MD5[name]}
        official.require_files("SVHN", Path(config.root), files, config, split=part)
    return _info(*_COUNTS.values())


def load(config: DataConfig) -> ImageSet:
    inspect(config)
    train_images, train_labels = _read(config, "train")
    test_images, test_labels = _read(config, "test")
    info = _info(len(train_labels), len(test_labels))
    return ImageSet(info, train_images, train_labels, test_images, test_labels)


def natural_size(config: DataConfig) -> int:
    return _SIDE


def _info(train_count: int, test_count: int) -> DataInfo:
    return DataInfo("svhn", train_count, test_count, 3, tuple("0123456789"), fingerprint="official")


def _read(config: DataConfig, part: str) -> tuple[np.ndarray, np.ndarray]:
    from torchvision.datasets import SVHN

    try:
        found = SVHN(config.root, split=part)
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        raise DataError(f"SVHN in {config.root} cannot be read: {error}") from error
    images, labels = found.data, found.labels.astype(np.int64)  # (N, 3, 32, 32) uint8; 0 is 0
    official.check_labels(Path(config.root) / found.filename, labels, 0, 9)
    if config.image_size == _SIDE:
        return np.ascontiguousarray(images), labels
    pictures = [Image.fromarray(np.moveaxis(image, 0, 2).copy()) for image in images]
    return to_array([resize(picture, config.image_size) for picture in pictures]), labels
