"""Recipes: functions that return a whole config. A name on the command line is a name here."""

from collections.abc import Callable
from dataclasses import replace

from gan.config import (
    ACGANConfig,
    ACGANModel,
    AdamConfig,
    ClassifierConfig,
    ClassifierModel,
    DataConfig,
    RunConfig,
    TrainConfig,
)

_CIFAR10 = DataConfig(name="cifar10", image_size=32, crop_scale_min=0.7, flip=True, jitter=0.1)
_DIGITS = DataConfig(name="digits", image_size=16)


def classifier() -> ClassifierConfig:
    """S0 discriminator as a CIFAR-10 classifier, at the assignment's settings."""
    return ClassifierConfig(
        data=_CIFAR10,
        train=TrainConfig(epochs=100, batch_size=128),
        optim=AdamConfig(learning_rate=1e-4, drop_epochs=(50, 75)),
        model=ClassifierModel(width=196),
    )


def acgan() -> ACGANConfig:
    """S0 AC-WGAN-GP on CIFAR-10, at the assignment's settings."""
    return ACGANConfig(
        data=_CIFAR10,
        train=TrainConfig(epochs=200, batch_size=128),
        optim=AdamConfig(learning_rate=1e-4, beta1=0.0, beta2=0.9),
        model=ACGANModel(width=196),
    )


def classifier_digits() -> ClassifierConfig:
    """The same classifier on handwritten digits: seconds on two cores."""
    return ClassifierConfig(
        data=replace(_DIGITS, crop_scale_min=0.7),
        train=TrainConfig(epochs=5, batch_size=64, passes_per_epoch=6),
        optim=AdamConfig(learning_rate=1e-3, drop_epochs=(4,)),
        model=ClassifierModel(width=32),
    )


def acgan_digits() -> ACGANConfig:
    """The same GAN on handwritten digits: readable in about two minutes on two cores."""
    return ACGANConfig(
        data=_DIGITS,
        train=TrainConfig(epochs=10, batch_size=64, passes_per_epoch=3),
        optim=AdamConfig(learning_rate=1e-3, beta1=0.0, beta2=0.9),
        model=ACGANModel(width=32),
        game=replace(ACGANConfig().game, ema_decay=0.99),
    )


RECIPES: dict[str, Callable[[], RunConfig]] = {
    "classifier": classifier,
    "acgan": acgan,
    "classifier-digits": classifier_digits,
    "acgan-digits": acgan_digits,
}
