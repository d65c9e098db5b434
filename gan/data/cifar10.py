"""CIFAR-10 through torchvision (Krizhevsky, 2009): 50,000 + 10,000 images, 32 x 32, ten classes."""

from pathlib import Path

import numpy as np
from PIL import Image

from gan.config import DataConfig
from gan.data.images import DataError, DataInfo, ImageSet, resize, to_array

_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
_FOLDER = "cifar-10-batches-py"
_FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")


def inspect(config: DataConfig) -> DataInfo:
    """Presence only; torchvision compares the checksums when the images are read."""
    folder = Path(config.root) / _FOLDER
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing and config.download:
        _read(config, train=True)
        missing = []
    if missing:
        raise DataError(
            f"CIFAR-10 is not in {folder} ({missing[0]} is missing); give the folder above "
            f"{_FOLDER} as --data.root, or --data.download on a machine with internet"
        )
    return _info(50_000, 10_000)


def load(config: DataConfig) -> ImageSet:
    train_images, train_labels = _read(config, train=True)
    test_images, test_labels = _read(config, train=False)
    info = _info(len(train_labels), len(test_labels))
    return ImageSet(info, train_images, train_labels, test_images, test_labels)


def _info(train_count: int, test_count: int) -> DataInfo:
    # torchvision accepts no other images than the official ones
    return DataInfo("cifar10", train_count, test_count, 3, _CLASSES, fingerprint="official")


def _read(config: DataConfig, train: bool) -> tuple[np.ndarray, np.ndarray]:
    from torchvision.datasets import CIFAR10

    try:
        part = CIFAR10(config.root, train=train, download=config.download)
    except (RuntimeError, OSError) as error:
        raise DataError(f"CIFAR-10 in {config.root} cannot be read: {error}") from error
    if config.image_size == part.data.shape[1]:
        images = np.moveaxis(part.data, 3, 1).copy()  # (N, 3, 32, 32) uint8
    else:
        images = to_array([resize(Image.fromarray(x), config.image_size) for x in part.data])
    return images, np.asarray(part.targets, dtype=np.int64)
