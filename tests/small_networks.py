"""Networks for tests that look into them: tiny ones of every kind, and one that knows digits."""

import functools
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gan import batches, data, numerics, recipes, rng, variants
from gan.batches import Batches
from gan.config import VARIANTS, DataConfig, RunConfig
from gan.data import DataInfo
from gan.rng import Draws, Stream
from gan.variants import Variant

CPU = torch.device("cpu")
CLASSES = tuple("0123456789")
# Every system whose network has convolutions, as (variant, image side, channels).
KINDS = [
    ("classifier", 32, 3), ("acgan", 16, 1), ("dc_classifier", 28, 1), ("dcgan_lab", 28, 1),
    ("cats", 64, 3), ("dcgan", 28, 1), ("progressive", 32, 3), ("simclr", 32, 3),
    ("encoder_classifier", 28, 1),
]  # fmt: skip


def tiny_config(name: str, data_set: DataConfig, **model: Any) -> RunConfig:
    """A system of networks of a few channels."""
    kind = VARIANTS[name]
    narrow: dict[str, Any] = {"width": 4, "critic_hidden": 8, "generator_hidden": 8, "latent": 14}
    narrow |= {"encoder": "small"}
    settings = {key: value for key, value in narrow.items() if hasattr(kind().model, key)}
    return kind(data=data_set, model=replace(kind().model, **settings | model))


def tiny(name: str, side: int, channels: int, **model: Any) -> Variant:
    """A system with untrained networks of a few channels, in eval mode."""
    config = tiny_config(name, DataConfig(image_size=side), **model)
    info = DataInfo("digits", 100, 10, channels, CLASSES, "")
    rng.seed_torch(0, Stream.INIT)
    return _at_rest(variants.build(config, info, CPU))


def _at_rest(variant: Variant) -> Variant:
    for network in variant.networks.values():
        network.eval().requires_grad_(False)
    return variant


@functools.cache
@torch.enable_grad()  # whoever asks first may be inside a no_grad
def digits_classifier() -> Variant:
    """S0's classifier, 8 channels wide, after two seconds on digits of 16 pixels: it names nine in
    ten. All tests share it: who changes it puts it back."""
    numerics.configure(1)
    config = recipes.classifier_digits()
    config = replace(config, model=replace(config.model, width=8))
    images = data.load(config.data)
    variant = variants.build(config, images.info, CPU)
    order = Batches(images, config, CPU)
    for step in range(180):
        draws = Draws(0, step)
        variant.update(*order.at(step, draws), draws)
    order.close()
    return _at_rest(variant)


@functools.cache
def held_digits() -> tuple[Tensor, Tensor]:
    """Digits that it has not seen, (N, 1, 16, 16) float32 in [-1, 1], and their labels (N,)."""
    held = data.load(recipes.classifier_digits().data)
    images = batches.to_unit(torch.from_numpy(held.test_images))
    return images, torch.from_numpy(held.test_labels)
