"""Receptive fields, by arithmetic and by measurement."""

import pytest
import torch
from torch import nn

from gan import rng
from gan.blocks import HeadOptions, S0Critic
from gan.variants.cats import CatsCritic
from gan.variants.dcgan import DCCritic
from gan.variants.dcgan_lab import LabCritic
from gan.visual.receptive import Field, fields, measure

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
