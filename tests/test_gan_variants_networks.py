"""The documents' networks: the shape behind every layer, and exact numbers of parameters.

At the recipes' own settings, so that a recipe cannot drift from its document.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gan import variants
from gan.config import RunConfig
from gan.data import DataInfo
from gan.recipes import RECIPES
from gan.variants import Variant

CPU = torch.device("cpu")
CHANNELS = {"cifar10": 3, "svhn": 3, "folder": 3}  # the others are grey
COUNTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.MaxPool2d, nn.Upsample)
Shape = tuple[int, ...]


def build(recipe: str, width: int | None = None) -> tuple[RunConfig, Variant]:
    config = RECIPES[recipe]()
    if width:
        config = replace(config, model=replace(config.model, width=width))
    classes = tuple("0123456789")
    channels = CHANNELS.get(config.data.name, 1)
    info = DataInfo(config.data.name, 1000, 100, channels, classes, "")
    return config, variants.build(config, info, CPU)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("recipe", "width", "critic", "generator"),
    [
        ("classifier", 196, 3_137_971, None),
        ("classifier", 128, 1_500_939, None),
        ("acgan", 196, 3_137_971, 3_559_363),
        ("acgan", 128, 1_500_939, 1_593_347),
        ("dcgan-lab", None, 334_561, 1_833_281),
        ("dcgan-lab-svhn", None, 335_137, 2_560_228 - 335_137),
        ("cats", None, 50_881, 575_046),
        ("cats-large", None, 2_662_145, 6_855_430),
        ("gan-mnist", None, 267_009, 1_952_528),
        ("lsgan-mnist", None, 267_009, 1_952_528),
        ("dcgan-mnist", None, 1_102_721, 6_675_009),
        ("dc-lsgan-mnist", None, 1_102_721, 6_675_009),
        ("mnist-classifier", None, 1_102_721 - 1_025 + 10_250, None),  # 10 outputs in place of one
    ],
)
def test_networks_have_the_documents_parameters(
    recipe: str, width: int | None, critic: int, generator: int | None
) -> None:
    _, variant = build(recipe, width)
    assert count(variant.networks["discriminator"]) == critic
    assert generator is None or count(variant.networks["generator"]) == generator
    assert ("generator" in variant.networks) == (generator is not None)


def test_s1_together_has_almost_two_million() -> None:
    _, variant = build("dcgan-lab")
    assert sum(map(count, variant.networks.values())) == 2_167_842


def test_s0_layer_norms_hold_a_fifth_of_the_critic() -> None:
    _, variant = build("classifier", 196)
    norms = [m for m in variant.critic.modules() if isinstance(m, nn.LayerNorm)]
    assert sum(map(count, norms)) == 708_736


def kind(layer: nn.Module) -> str:
    """torch's name of a layer, of one of our own that computes the same too."""
    return next(
        known.__name__ for known in type(layer).mro() if known.__module__.startswith("torch")
    )


def shapes_of(network: nn.Module, given: Tensor) -> list[tuple[str, Shape]]:
    """(kind, shape of one image's output) of every layer that has one of its own, in order."""
    seen: list[tuple[str, Shape]] = []
    hooks = [
        module.register_forward_hook(
            lambda layer, _, out: seen.append((kind(layer), tuple(out.shape[1:])))
        )
        for module in network.modules()
        if isinstance(module, COUNTED)
    ]
    with torch.no_grad():
        network(given)
    for hook in hooks:
        hook.remove()
    return seen


def conv(*shape: int) -> tuple[str, Shape]:
    return "Conv2d", shape


def up(*shape: int) -> tuple[str, Shape]:
    return "ConvTranspose2d", shape


def linear(units: int) -> tuple[str, Shape]:
    return "Linear", (units,)


def pool(*shape: int) -> tuple[str, Shape]:
    return "MaxPool2d", shape


def nearest(*shape: int) -> tuple[str, Shape]:
    return "Upsample", shape


S0_CRITIC = [conv(196, side, side) for side in (32, 16, 16, 8, 8, 8, 8, 4)] + [pool(196, 1, 1)]
CRITICS = {
    "classifier": [*S0_CRITIC, linear(1), linear(10)],
    "acgan": [*S0_CRITIC, linear(1), linear(10)],
    "wgan-gp": [*S0_CRITIC, linear(1)],
    "dcgan-lab": [
        conv(32, 28, 28), conv(32, 28, 28), conv(32, 14, 14),
        conv(64, 14, 14), conv(64, 14, 14), conv(64, 7, 7),
        conv(96, 7, 7), conv(96, 7, 7), conv(96, 4, 4), linear(1),
    ],
    "cats": [conv(32, 32, 32), conv(64, 16, 16), linear(1)],
    "cats-large": [conv(128, 32, 32), conv(256, 16, 16), conv(512, 8, 8), linear(1)],
    "gan-mnist": [linear(256), linear(256), linear(1)],
    "dcgan-mnist": [
        conv(32, 24, 24), pool(32, 12, 12), conv(64, 8, 8), pool(64, 4, 4), linear(1024), linear(1),
    ],
    "mnist-classifier": [
        conv(32, 24, 24), pool(32, 12, 12), conv(64, 8, 8), pool(64, 4, 4), linear(1024),
        linear(10),
    ],
}  # fmt: skip
GENERATORS = {
    "acgan": [
        linear(196 * 4 * 4), up(196, 8, 8), *[conv(196, 8, 8)] * 3, up(196, 16, 16),
        conv(196, 16, 16), up(196, 32, 32), conv(3, 32, 32),
    ],
    "dcgan-lab": [
        linear(7 * 7 * 256), nearest(256, 14, 14), conv(128, 14, 14), conv(128, 14, 14),
        nearest(128, 28, 28), conv(64, 28, 28), conv(64, 28, 28), conv(1, 28, 28),
    ],
    "dcgan-lab-svhn": [
        linear(8 * 8 * 256), nearest(256, 16, 16), conv(128, 16, 16), conv(128, 16, 16),
        nearest(128, 32, 32), conv(64, 32, 32), conv(64, 32, 32), conv(3, 32, 32),
    ],
    "cats": [linear(64 * 16 * 16), up(32, 32, 32), up(3, 64, 64)],
    "cats-large": [linear(512 * 8 * 8), up(256, 16, 16), up(128, 32, 32), up(3, 64, 64)],
    "gan-mnist": [linear(1024), linear(1024), linear(784)],
    "dcgan-mnist": [linear(1024), linear(7 * 7 * 128), up(64, 14, 14), up(1, 28, 28)],
}  # fmt: skip


@pytest.mark.parametrize("recipe", CRITICS)
def test_critic_layers_have_the_documents_shapes(recipe: str) -> None:
    config, variant = build(recipe)
    size, channels = config.data.image_size, CHANNELS.get(config.data.name, 1)
    images = torch.zeros(2, channels, size, size)
    assert shapes_of(variant.critic.eval(), images) == CRITICS[recipe]
    scores, logits = variant.critic(images)
    assert (scores is None) == (("Linear", (1,)) not in CRITICS[recipe])
    assert scores is None or scores.shape == (2,)
    assert logits is None or logits.shape == (2, 10)


@pytest.mark.parametrize("recipe", GENERATORS)
def test_generator_layers_have_the_documents_shapes(recipe: str) -> None:
    config, variant = build(recipe)
    size, channels = config.data.image_size, CHANNELS.get(config.data.name, 1)
    noise = 30 * torch.randn(4, config.model.latent)
    assert shapes_of(variant.sampler, noise) == GENERATORS[recipe]
    images = variant.sampler(noise)
    assert images.shape == (4, channels, size, size)
    assert images.abs().max() <= 1


def slopes(network: nn.Module) -> list[float]:
    return [m.negative_slope for m in network.modules() if isinstance(m, nn.LeakyReLU)]


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ("acgan", [0.01] * 8),
        ("dcgan-lab", [0.2] * 9),
        ("cats", [0.01] * 2),
        ("gan-mnist", [0.01] * 2),
        ("dcgan-mnist", [0.01] * 3),
    ],
)
def test_leaky_slopes(recipe: str, expected: list[float]) -> None:
    assert slopes(build(recipe)[1].critic) == expected


def kinds(network: nn.Module) -> list[str]:
    return [type(m).__name__ for m in network.modules() if not list(m.children())]


def test_order_within_the_blocks() -> None:
    s1, s2, s4 = (build(recipe)[1] for recipe in ("dcgan-lab", "cats", "dcgan-mnist"))
    twice = ["Conv2d", "BatchNorm2d", "LeakyReLU"] * 2
    assert kinds(s1.critic)[:9] == [*twice, "Conv2d", "LeakyReLU", "Dropout"]
    start = ["Linear", "BatchNorm1d", "ReLU", "Unflatten", "Upsample"]
    assert kinds(s1.generator)[:8] == [*start, "Conv2d", "BatchNorm2d", "ReLU"]
    assert kinds(s2.critic)[:6] == ["Conv2d", "BatchNorm2d", "LeakyReLU"] * 2
    assert kinds(s2.generator)[-3:] == ["ConvTranspose2d", "BatchNorm2d", "Sigmoid"]
    assert kinds(s4.generator)[:3] == ["Linear", "ReLU", "BatchNorm1d"]
    assert [m.p for m in s1.critic.blocks.modules() if isinstance(m, nn.Dropout)] == [0.3] * 3


def test_batchnorm_of_s4_uses_the_batch_in_sampling_too_and_that_of_s0_does_not() -> None:
    for recipe, alike in (("dcgan-mnist", True), ("acgan", False)):
        config, variant = build(recipe, 8)
        noise = torch.randn(6, config.model.latent)
        with torch.no_grad():
            training = variant.generator.train()(noise)
            sampling = variant.generator.eval()(noise)
        assert torch.equal(training, sampling) == alike


@pytest.mark.parametrize(
    ("width", "critic", "generator"), [(196, 276e6, 367e6), (128, 119e6, 158e6)]
)
def test_s0_multiplications_of_one_image(width: int, critic: float, generator: float) -> None:
    _, variant = build("acgan", width)
    given = {"discriminator": torch.zeros(1, 3, 32, 32), "generator": torch.zeros(1, 100)}
    for name, expected in (("discriminator", critic), ("generator", generator)):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            variant.networks[name].eval()(given[name])
        assert counter.get_total_flops() / 2 == pytest.approx(expected, abs=0.5e6)


def test_initial_scores_are_small_and_differ() -> None:
    """A critic that starts saturated, or blind, would hide a broken layer."""
    for recipe in CRITICS:
        config, variant = build(recipe)
        size, channels = config.data.image_size, CHANNELS.get(config.data.name, 1)
        with torch.no_grad():
            scores, logits = variant.critic.eval()(torch.rand(4, channels, size, size) * 2 - 1)
        answers = scores if scores is not None else logits[:, 0]
        assert math.isfinite(answers.sum())
        assert len(set(answers.tolist())) == 4
        assert answers.abs().max() < 10
