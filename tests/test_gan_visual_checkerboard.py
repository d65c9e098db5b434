"""Checkerboard energy: patterns whose share is known, and layers that leave one."""

import numpy as np
import pytest
import torch
from torch import nn

from gan import config as configs
from gan import rng, variants
from gan.config import ACGANConfig, CatsConfig, DataConfig, DCGANConfig, RunConfig
from gan.data import DataInfo
from gan.visual import checkerboard
from gan.visual.checkerboard import with_upsampling


def noise(count: int, side: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, channels), np.uint8)


def shares(images: np.ndarray) -> dict[int, float]:
    side = images.shape[1]
    found = checkerboard.measure(images, noise(4, side, images.shape[3]))
    return {part.period: part.generated for part in found}


def test_a_board_and_stripes_have_all_their_energy_at_their_period() -> None:
    rows, columns = np.mgrid[:16, :16]
    board = 255 * ((rows + columns) % 2)
    stripes = 100 + 50 * np.array([1, 0, -1, 0])[columns % 4]
    wide = np.rint(100 + 80 * np.cos(2 * np.pi * rows / 8))
    for pattern, period in ((board, 2), (stripes, 4), (wide, 8)):
        found = shares(pattern[None, ..., None].astype(np.uint8))
        assert found == pytest.approx({p: float(p == period) for p in (2, 4, 8)}, abs=1e-3)


def test_a_share_is_the_variance_that_the_place_explains() -> None:
    images = noise(5, 24, 3)
    found = shares(images)
    explained = []
    for image in images.astype(float):
        centred = image - image.mean((0, 1))
        by_place = centred.reshape(12, 2, 12, 2, 3).mean((0, 2))
        explained.append((by_place**2).sum() * 144 / (centred**2).sum())
    assert found[2] == pytest.approx(np.mean(explained), rel=1e-9)
    finer = [
        ((i - i.mean((0, 1))).reshape(6, 4, 6, 4, 3).mean((0, 2)) ** 2).sum()
        * 36 / ((i - i.mean((0, 1))) ** 2).sum()
        for i in images.astype(float)
    ]  # fmt: skip
    assert found[2] + found[4] == pytest.approx(np.mean(finer), rel=1e-9)


def test_white_noise_has_the_share_that_is_told() -> None:
    found = checkerboard.measure(noise(2000, 16), noise(500, 16))
    assert [part.period for part in found] == [2, 4, 8]
    assert [part.noise for part in found] == pytest.approx([3 / 255, 12 / 255, 48 / 255])
    for part in found:
        assert part.generated == pytest.approx(part.noise, rel=0.05)
        assert part.real == pytest.approx(part.noise, rel=0.1)


@pytest.mark.parametrize(
    ("side", "periods"), [(28, [2, 4]), (32, [2, 4, 8]), (8, [2, 4]), (15, []), (1, [])]
)
def test_periods_are_those_that_divide_the_side(side: int, periods: list[int]) -> None:
    assert list(shares(noise(3, side))) == periods


def test_images_of_one_colour_are_left_out() -> None:
    images = noise(6, 16)
    alone = shares(images[:3])
    images[3:] = 7
    assert shares(images) == alone
    assert shares(images[3:]) == {}


def test_many_images_are_measured_as_few_are() -> None:
    images = noise(600, 8)
    parts = [shares(images[i : i + 100])[2] for i in range(0, 600, 100)]
    assert shares(images)[2] == pytest.approx(np.mean(parts))


GENERATORS = {
    "s0": (ACGANConfig(data=DataConfig(image_size=32)), 3, 3),
    "s2": (CatsConfig(data=DataConfig(image_size=64)), 3, 2),
    "s4": (DCGANConfig(data=DataConfig(image_size=28)), 1, 2),
}


def generator_of(config: RunConfig, channels: int) -> nn.Module:
    narrow = configs.VARIANTS[config.variant]
    model = type(config.model)(width=4, latent=12)
    info = DataInfo("made", 1000, 100, channels, tuple("0123456789"), "")
    variant = variants.build(narrow(data=config.data, model=model), info, torch.device("cpu"))
    return variant.generator


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("kind", ["nearest", "bilinear"])
def test_every_generator_can_double_in_another_way(name: str, kind: str) -> None:
    config, channels, doublings = GENERATORS[name]
    generator = generator_of(config, channels)
    before = sum(isinstance(layer, nn.ConvTranspose2d) for layer in generator.modules())
    assert before == doublings
    assert with_upsampling(generator, "transposed") is generator
    changed = with_upsampling(generator, kind)
    assert not any(isinstance(layer, nn.ConvTranspose2d) for layer in changed.modules())
    assert sum(isinstance(layer, nn.Upsample) for layer in changed.modules()) == doublings
    side = config.data.image_size
    assert changed(torch.randn(3, 12)).shape == (3, channels, side, side)


def test_only_transposed_convolutions_leave_a_pattern_in_what_is_even() -> None:
    """An even map in, and away from the edges an even map out: of two kinds of three."""
    even = torch.ones(1, 3, 10, 10)
    ways = {}
    for kind in checkerboard.UPSAMPLINGS:
        rng.seed_torch(0, rng.Stream.INIT)
        layer = nn.Sequential(nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1))
        middle = with_upsampling(layer, kind)(even)[..., 3:-3, 3:-3]
        ways[kind] = float((middle.amax((2, 3)) - middle.amin((2, 3))).detach().max())
    assert ways["transposed"] > 0.01
    assert ways["nearest"] == pytest.approx(0, abs=1e-6)
    assert ways["bilinear"] == pytest.approx(0, abs=1e-6)


def test_another_way_is_refused() -> None:
    with pytest.raises(ValueError, match="upsampling is 'cubic'; allowed: transposed, nearest"):
        with_upsampling(nn.Sequential(), "cubic")
