"""Receptive fields, by arithmetic and by measurement."""

import pytest
import torch
from small_networks import KINDS, tiny
from torch import nn

from gan import rng
from gan.blocks import HeadOptions, S0Critic
from gan.encoders import ResNet18
from gan.variants.cats import CatsCritic
from gan.variants.dcgan import DCCritic
from gan.variants.dcgan_lab import LabCritic
from gan.visual import layers, receptive_figure
from gan.visual.receptive import Field, fields, measure, middle

S0_FIELDS = [3, 5, 9, 13, 21, 29, 37, 45]


def s0() -> S0Critic:
    rng.seed_torch(0, rng.Stream.INIT)
    return S0Critic(32, 3, 4, HeadOptions(classes=10))


def noise(size: int, channels: int = 3) -> torch.Tensor:
    return torch.randn(1, channels, size, size, generator=torch.Generator().manual_seed(1))


def test_s0_sees_what_its_table_says() -> None:
    """The linked example of its slides has nine layers; the eight of the table give these."""
    found = fields(s0())
    assert [field.size for field in found.values()] == [*S0_FIELDS, 69]  # and after the pool
    assert [field.step for field in found.values()] == [1, 2, 2, 4, 4, 4, 4, 8, 32]
    assert (next(iter(found)), next(reversed(found))) == ("stages.conv1.0", "pool")


def test_arithmetic_agrees_with_the_gradient_at_every_place() -> None:
    """On an image so large that the field fits, and at the edges, where the padding cuts it."""
    critic = s0()
    for layer, field in fields(critic).items():
        last = (96 - 1) // field.step
        for unit in (0, last // 2, last):
            rows, columns = measure(critic, layer, noise(96), (unit, last - unit))
            assert rows == field.span(unit, 96), layer
            assert columns == field.span(last - unit, 96), layer
        if field.start + last // 2 * field.step >= 0 and field.size < 48:
            assert len(measure(critic, layer, noise(96), (last // 2, last // 2))[0]) == field.size


def test_layer_norm_makes_every_unit_see_everything() -> None:
    critic = s0()
    first = "stages.conv2.0"
    local, _ = measure(critic, first, noise(32), (0, 0))
    assert len(local) == 3  # of 5, two lie in the padding
    everywhere = measure(critic, first, noise(32), (0, 0), norms=True)
    assert everywhere == (range(32), range(32))


@pytest.mark.parametrize(
    ("critic", "size", "channels", "expected"),
    [
        (LabCritic(28, 1, 4, HeadOptions()), 28, 1, [3, 5, 7, 11, 15, 19, 27, 35, 43]),
        (CatsCritic(64, 3, 4, 3, HeadOptions()), 64, 3, [4, 10, 22]),
        (DCCritic(28, 1, 4, HeadOptions()), 28, 1, [5, 6, 14, 16]),
    ],
    ids=["s1", "s2", "s4"],
)
def test_other_critics(critic: nn.Module, size: int, channels: int, expected: list[int]) -> None:
    found = fields(critic)
    assert [field.size for field in found.values()] == expected
    layer, field = list(found.items())[-1]
    rows, columns = measure(critic, layer, noise(size, channels), (1, 1))
    assert rows == columns == field.span(1, size)


def test_measuring_changes_nothing() -> None:
    critic, images = s0().train(), noise(32)
    before = {name: value.clone() for name, value in critic.state_dict().items()}
    measure(critic, "pool", images, (0, 0))
    assert critic.training
    assert not images.requires_grad
    assert all(torch.equal(before[n], value) for n, value in critic.state_dict().items())
    assert all(p.grad is None for p in critic.parameters())


def test_dilation_counts() -> None:
    chain = nn.Sequential(nn.Conv2d(1, 1, 3, dilation=4), nn.Conv2d(1, 1, 2, stride=3, padding=1))
    assert list(fields(chain).values()) == [Field(9, 1, 0), Field(10, 3, -1)]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Conv2d(1, 1, (3, 5)), r"kernel_size of 0 is \(3, 5\); allowed: one number for both"),
        (nn.Conv2d(1, 1, 3, padding="same"), "padding of 0 is 'same'; allowed: one number"),
    ],
)
def test_windows_that_are_not_square_are_refused(layer: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fields(nn.Sequential(layer))


def test_unknown_layer_lists_the_layers() -> None:
    with pytest.raises(ValueError, match=r"no layer 'conv1'; this network has stages\.conv1\.0, "):
        measure(s0(), "conv1", noise(32), (0, 0))


@pytest.mark.parametrize(("name", "side", "channels"), KINDS)
def test_the_middle_unit_of_every_network(name: str, side: int, channels: int) -> None:
    """Arithmetic and gradient agree wherever a network is a chain; the others have the gradient."""
    network = layers.observer(tiny(name, side, channels))
    found = middle(network, noise(side, channels)[0])
    assert [one.layer for one in found] == [*layers.convolutions(network, noise(side, channels)[0])]
    for one in found:
        assert one.rows == one.columns  # all windows are square
        assert (one.field is None) == (name == "progressive")
        if one.field is not None:
            assert one.rows == one.field.span(one.unit, side), one
            assert (
                one.rows == measure(network, one.layer, noise(side, channels), (one.unit,) * 2)[0]
            )


def test_the_middle_unit_by_the_table_of_s0() -> None:
    found = middle(s0(), noise(32)[0])
    assert [one.field.size for one in found] == S0_FIELDS
    assert [one.unit for one in found] == [16, 8, 8, 4, 4, 4, 4, 2]
    assert found[0].rows == range(15, 18)
    assert found[1].rows == range(14, 19)
    assert [len(one.rows) for one in found] == [3, 5, 9, 13, 21, 29, 32, 32]  # the image ends there


def test_a_network_with_shortcuts_is_measured() -> None:
    """Its longest way counts: 3, and 4 more for each block of two convolutions."""
    network = ResNet18(3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = middle(network, noise(32)[0])
    assert all(one.field is None for one in found)
    sizes = {one.layer: len(one.rows) for one in found}
    assert (sizes["body.conv1"], sizes["body.layer1.0.conv1"], sizes["body.layer1.0.conv2"]) == (
        3, 5, 7,
    )  # fmt: skip
    assert sizes["body.layer1.1.conv2"] == 11
    assert sizes["body.layer2.0.downsample.0"] == 11
    assert sizes["body.layer2.0.conv2"] == 17
    assert all(torch.equal(before[n], value) for n, value in network.state_dict().items())
    assert network.training
    assert isinstance(network.body.bn1, nn.BatchNorm2d)


def test_a_growing_critic_is_measured_at_its_level() -> None:
    variant = tiny("progressive", 32, 3)
    sizes = []
    for level in (0, 3):
        variant.critic.grow(level)
        found = middle(variant.critic, noise(32)[0])
        sizes.append([len(one.rows) for one in found])
    assert sizes[0][0] == 8  # a pixel of 4 x 4
    assert sizes[1][:3] == [1, 3, 5]


def test_fields_are_drawn_panel_by_panel() -> None:
    image = noise(32)[0].clamp(-1, 1)
    found = middle(s0(), image)
    svg = receptive_figure.plot(found, image)
    assert svg == receptive_figure.plot(found, image)
    assert svg.count(b"<image ") == 8
    assert svg.count(b"stroke: #d62728") == 8
    for one, size in zip(found, S0_FIELDS, strict=True):
        assert f"<!-- {one.layer}: {size} x {size} -->".encode() in svg
    grey = layers.observer(tiny("progressive", 32, 1))
    drawn = receptive_figure.plot(middle(grey, image[:1]), image[:1])
    assert b"stroke: #d62728" not in drawn
    assert b"<!-- from_image.0.0: 8 x 8 of it -->" in drawn
    with pytest.raises(ValueError, match="no layers to draw"):
        receptive_figure.plot((), image)
