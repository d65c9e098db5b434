"""Data sets, one file each: `inspect` tells size and presence without torch, `load` reads."""

import importlib
from dataclasses import replace
from types import ModuleType

from gan.config import (
    ClassifierConfig,
    ConfigError,
    DataConfig,
    DCClassifierConfig,
    EncoderClassifierConfig,
    GANConfig,
    RunConfig,
)
from gan.data import share
from gan.data.images import DataError, DataInfo, ImageSet, fits
from gan.data.sources import View, as_channels

__all__ = [
    "DATA_SETS", "DataError", "DataInfo", "ImageSet", "check", "inspect", "load", "natural_size",
    "steps_per_pass",
]  # fmt: skip

DATA_SETS = {
    "digits": "gan.data.digits",
    "cifar10": "gan.data.cifar10",
    "mnist": "gan.data.mnist",
    "fashionmnist": "gan.data.fashionmnist",
    "emnist": "gan.data.emnist",
    "svhn": "gan.data.svhn",
    "ring": "gan.data.ring",
    "folder": "gan.data.folder",
    "packed": "gan.data.packed",
}


def _module(config: DataConfig) -> ModuleType:
    if config.name not in DATA_SETS:
        allowed = ", ".join(DATA_SETS)
        raise ConfigError(f"data.name is {config.name!r}; allowed: {allowed}")
    return importlib.import_module(DATA_SETS[config.name])


_CLASSIFIERS = (ClassifierConfig, DCClassifierConfig, EncoderClassifierConfig)


def inspect(config: DataConfig) -> DataInfo:
    """Size and classes of the set. Raises DataError if it is not there or not readable."""
    return _as_asked(_module(config).inspect(config), config)


def load(config: DataConfig) -> ImageSet:
    """The images, uint8, at the configured size. Raises DataError like `inspect`.

    Training images that do not fit into `data.memory_gb` are read when they are asked for, where
    the set allows it; test images are always held.
    """
    images: ImageSet = _module(config).load(config)
    info = _as_asked(images.info, config)
    labels = images.train_labels
    if info == images.info:
        return images
    rows = share.rows(labels, info.train_count)
    train = View(images.train_images, rows, info.channels)
    test = as_channels(images.test_images, info.channels)
    held = fits(config, train.shape)
    return ImageSet(info, train[:] if held else train, labels[rows], test, images.test_labels)


def natural_size(config: DataConfig) -> int:
    """Side in pixels at which the set's images are untouched. Raises DataError like `inspect`."""
    size: int = _module(config).natural_size(config)
    return size


def _as_asked(info: DataInfo, config: DataConfig) -> DataInfo:
    """What `data.channels` and `data.train_share` make of a set. Raises ConfigError."""
    channels = {"as-is": info.channels, "grey": 1, "rgb": 3}[config.channels]
    if info.channels not in (1, 3) and (channels != info.channels or config.alters):
        raise ConfigError(
            f"{info.name} has points, not pictures; allowed: --data.channels as-is, and no crop, "
            "flip, jitter, grey or blur"
        )
    kept = share.count(info.train_count, len(info.classes), config.train_share)
    return replace(info, channels=channels, train_count=kept)


def check(config: RunConfig, info: DataInfo) -> None:
    """Raise ConfigError if these settings do not go with this data set."""
    # A generator's BatchNorm needs two images, and so does telling one from the others.
    fewest = 2 if config.generates or config.views > 1 else 1
    if not fewest <= config.train.batch_size <= info.train_count:
        raise ConfigError(
            f"train.batch_size is {config.train.batch_size}; allowed: {fewest} to "
            f"{info.train_count}, the number of training images in {info.name}"
        )
    if info.test_count < 1:
        raise ConfigError(
            f"data.test_fraction is {config.data.test_fraction}; allowed: enough for at least one "
            f"of the {info.train_count} images in {info.name}"
        )
    classes = len(info.classes)
    if isinstance(config, _CLASSIFIERS) and classes < 2:
        raise ConfigError(
            f"{config.variant} needs classes to name; {info.name} has {classes}; allowed: data "
            "with two classes or more"
        )
    if not (isinstance(config, GANConfig) and config.game.auxiliary):
        return
    if classes < 2:
        raise ConfigError(
            f"game.auxiliary needs classes to name; {info.name} has {classes}; allowed: data with "
            "two classes or more, or --game.no-auxiliary"
        )
    if config.model.latent < classes:
        raise ConfigError(
            f"model.latent is {config.model.latent}; allowed: {classes} or more, since the "
            f"one-hot label of {classes} classes is a part of it"
        )


def steps_per_pass(config: RunConfig, info: DataInfo) -> int:
    """Batches in one pass over the data; a short last one is dropped."""
    return info.train_count // config.train.batch_size
