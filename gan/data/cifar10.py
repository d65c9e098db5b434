"""CIFAR-10 through torchvision (Krizhevsky, 2009): 50,000 + 10,000 images, 32 x 32, ten classes."""

from pathlib import Path

import numpy as np
from PIL import Image

from gan.config import DataConfig
from gan.data import official
from gan.data.images import DataError, DataInfo, ImageSet, resize, to_array

_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
_SIDE = 32
_FOLDER = "cifar-10-batches-py"
_MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
    "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
}


def inspect(config: DataConfig) -> DataInfo:
    """Presence and checksums, without reading the images."""
    official.require_files("CIFAR10", Path(config.root) / _FOLDER, _MD5, config)
    return _info(50_000, 10_000)


def load(config: DataConfig) -> ImageSet:
    inspect(config)
    train_images, train_labels = _read(config, train=True)
    test_images, test_labels = _read(config, train=False)
    info = _info(len(train_labels), len(test_labels))
    return ImageSet(info, train_images, train_labels, test_images, test_labels)


def natural_size(config: DataConfig) -> int:
    return _SIDE


def _info(train_count: int, test_count: int) -> DataInfo:
    # torchvision accepts no other images than the official ones
    return DataInfo("cifar10", train_count, test_count, 3, _CLASSES, fingerprint="official")


def _read(config: DataConfig, train: bool) -> tuple[np.ndarray, np.ndarray]:
    from torchvision.datasets import CIFAR10

    try:
        part = CIFAR10(config.root, train=train)
    except (RuntimeError, OSError) as error:
        raise DataError(f"CIFAR-10 in {config.root} cannot be read: {error}") from error
    if config.image_size == _SIDE:
        images = np.moveaxis(part.data, 3, 1).copy()  # (N, 3, 32, 32) uint8
    else:
        images = to_array([resize(Image.fromarray(x), config.image_size) for x in part.data])
    return images, np.asarray(part.targets, dtype=np.int64)
