"""Progressive growing: what is where at each level; the level is a function of the step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from games import BATCH, Plain, assert_same_update, build, tiny
from states import assert_same_state
from torch import Tensor, nn
from torch.nn import functional as F
from trainers import StopAt, products, quiet

from gan import evaluation
from gan.batches import to_bytes
from gan.blocks import HeadOptions
from gan.config import ConfigError, DataConfig, Game, ProgressiveConfig, ProgressiveModel
from gan.rng import Draws, Stream, seed_torch
from gan.trainer import Trainer
from gan.variants.progressive import (
    EqualConv,
    EqualLinear,
    PixelNorm,
    Progressive,
    ProgressiveCritic,
    ProgressiveGenerator,
    level_at,
)

Make = Callable[..., Trainer]


def generator(size: int = 16, width: int = 6, level: float | None = None) -> ProgressiveGenerator:
    seed_torch(0, Stream.INIT)
    made = ProgressiveGenerator(size, 1, width, 9).eval()
    if level is not None:
        made.grow(level)
    return made


def critic(size: int = 16, width: int = 6, level: float | None = None) -> ProgressiveCritic:
    seed_torch(0, Stream.INIT)
    made = ProgressiveCritic(size, 1, width, HeadOptions(classes=3)).eval()
    if level is not None:
        made.grow(level)
    return made


def images(size: int = 16) -> Tensor:
    return torch.rand(5, 1, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def noise() -> Tensor:
    return torch.randn(5, 9, generator=torch.Generator().manual_seed(2))


def test_level_holds_and_fades_in_turn() -> None:
    """80 of 100 steps in which it grows, over two doublings: four parts of 20 steps each."""
    levels = [level_at(step, 100, doublings=2, growing_share=0.8) for step in range(100)]
    assert levels[:21] == [0] * 21
    assert levels[20:40] == pytest.approx([n / 20 for n in range(20)])
    assert levels[40:61] == [1] * 21
    assert levels[60:80] == pytest.approx([1 + n / 20 for n in range(20)])
    assert levels[80:] == [2] * 20
    assert levels == sorted(levels)


@pytest.mark.parametrize("level", [0.0, 0.25, 1.0, 1.5, 2.0])
def test_images_have_the_full_side_at_every_level(level: float) -> None:
    made = generator(level=level)
    small, full = made.at_level(noise()), made(noise())
    side = {0.0: 4, 0.25: 8, 1.0: 8}.get(level, 16)
    assert small.shape == (5, 1, side, side)
    assert full.shape == (5, 1, 16, 16)
    blocks = full.unfold(2, 16 // side, 16 // side).unfold(3, 16 // side, 16 // side)
    assert torch.equal(blocks.amax((4, 5)), small.clamp(-1, 1))
    assert torch.equal(blocks.amin((4, 5)), small.clamp(-1, 1))
    judge = critic(level=level)
    assert judge(full)[0].shape == (5,)
    assert judge(full)[1].shape == (5, 3)


def test_fade_mixes_two_resolutions() -> None:
    made = generator()
    made.grow(1.0)
    coarse = made.at_level(noise())
    made.grow(2.0)
    fine = made.at_level(noise())
    made.grow(1.25)
    expected = 0.75 * coarse.repeat_interleave(2, 2).repeat_interleave(2, 3) + 0.25 * fine
    torch.testing.assert_close(made.at_level(noise()), expected)


def test_nothing_jumps_where_a_level_begins_or_ends() -> None:
    made, judge, given = generator(), critic(), images()
    for level in (1.0, 2.0):
        for near in (level - 1e-6, level + 1e-6 if level < 2 else level):
            made.grow(level), judge.grow(level)
            image, scores = made(noise()), judge(given)[0]
            made.grow(near), judge.grow(near)
            torch.testing.assert_close(made(noise()), image, atol=1e-4, rtol=0)
            torch.testing.assert_close(judge(given)[0], scores, atol=1e-4, rtol=0)


def test_real_images_shrink_to_block_means_and_mix_as_the_generated_do() -> None:
    given = images()
    pixels = given.double().numpy()[:, 0]
    means = {
        side: pixels.reshape(5, side, 16 // side, side, 16 // side).mean((2, 4)) for side in (4, 8)
    }
    for level, expected in (
        (0.0, means[4]),
        (0.75, 0.25 * np.kron(means[4], np.ones((2, 2))) + 0.75 * means[8]),
        (1.0, means[8]),
        (1.5, 0.5 * np.kron(means[8], np.ones((2, 2))) + 0.5 * pixels),
        (2.0, pixels),
    ):
        shrunk = critic(level=level).shrink(given)
        np.testing.assert_allclose(shrunk[:, 0], expected, atol=1e-6)


def test_critic_takes_full_images_and_those_of_its_level() -> None:
    for level in (0.0, 0.5, 1.0):
        judge = critic(level=level)
        assert torch.equal(judge(images())[0], judge(judge.shrink(images()))[0])


def test_critic_fades_features_of_the_smaller_image_in() -> None:
    judge, given = critic(), images(8)
    judge.grow(0.25)
    small = F.avg_pool2d(given, 2)
    fine = F.avg_pool2d(judge.blocks[0](judge.from_image[1](given)), 2)
    mixed = 0.75 * judge.from_image[0](small) + 0.25 * fine
    torch.testing.assert_close(judge.features(given), judge.last(mixed).flatten(1))


def test_each_image_is_judged_by_itself() -> None:
    judge = critic(level=1.5)
    together = judge(images())[0]
    alone = torch.cat([judge(image[None])[0] for image in images()])
    torch.testing.assert_close(together, alone)


def test_width_halves_beyond_32_pixels() -> None:
    made, judge = generator(128, width=8), critic(128, width=8)
    assert made.sides == judge.sides == [4, 8, 16, 32, 64, 128]
    assert made.widths == judge.widths == [8, 8, 8, 8, 4, 2]
    made.grow(5.0), judge.grow(4.5)
    full = made(noise())
    assert full.shape == (5, 1, 128, 128)
    assert judge(full)[0].shape == (5,)


@pytest.mark.parametrize(
    ("make", "fan_in"),
    [
        (lambda: EqualConv(6, 40, 3), 54),
        (lambda: EqualConv(6, 40, 1, gain=1), 6),
        (lambda: EqualLinear(50, 40, gain=1), 50),
    ],
)
def test_weights_are_of_unit_size_and_scaled_when_used(
    make: Callable[[], nn.Module], fan_in: int
) -> None:
    torch.manual_seed(0)
    layer = make()
    gain = 2**0.5 if fan_in == 54 else 1
    given = torch.randn(
        3, fan_in if isinstance(layer, EqualLinear) else 6, *[5, 5][: layer.weight.dim() - 2]
    )
    weight = layer.weight * (gain / fan_in**0.5)
    apply = F.linear if isinstance(layer, EqualLinear) else F.conv2d
    torch.testing.assert_close(layer(given), apply(given, weight, layer.bias))
    assert layer.weight.std().item() == pytest.approx(1, abs=0.1)
    assert not layer.bias.any()


def test_pixel_norm_is_over_channels() -> None:
    features = torch.randn(2, 7, 3, 3)
    array = features.double().numpy()
    expected = array / np.sqrt((array**2).mean(1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(PixelNorm()(features), expected, rtol=1e-5)
    assert torch.isfinite(PixelNorm()(torch.zeros(1, 4))).all()
    assert PixelNorm()(features.bfloat16()).dtype == torch.bfloat16


class PlainGrowing(Plain):
    """At the level of the step; real images by two means, generated ones without bounds."""

    def generate(self, noise: Tensor) -> Tensor:
        return self.generator.at_level(noise)

    def seen(self, images: Tensor) -> Tensor:
        for network in (self.generator, self.critic):
            network.grow(self.level)
        return self.critic.shrink(images)

    level = 0.0


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.0), (25, 0.25), (39, 0.95), (41, 1.0), (70, 1.5), (99, 2.0)]
)
def test_update_is_the_plainest_reading_at_the_level(step: int, expected: float) -> None:
    class AtLevel(PlainGrowing):
        level = expected

    assert_same_update(
        hundred_steps(Game(loss="wasserstein", regulariser="gradient-penalty")), AtLevel, step
    )


def hundred_steps(game: Game) -> ProgressiveConfig:
    config = tiny("progressive", game, growing_share=0.8)
    assert isinstance(config, ProgressiveConfig)
    share = (100 * BATCH + 1) / 1438
    config = replace(config, data=replace(config.data, train_share=share))
    return replace(config, train=replace(config.train, epochs=1))


def test_hundred_steps_are_a_hundred() -> None:
    variant, batches = build(hundred_steps(Game()))
    assert isinstance(variant, Progressive)
    assert variant.total_steps == batches.steps_per_epoch == 100


def test_layers_of_later_levels_wait() -> None:
    """They keep the bits of their initialisation, and Adam has nothing of them yet."""
    variant, batches = build(hundred_steps(Game(ema_decay=0.9)))
    fresh = {name: p.clone() for name, p in variant.critic.named_parameters()}
    for step in (0, 1):
        variant.update(*batches.at(step, Draws(0, step)), Draws(0, step))
    known = {
        name
        for name, p in variant.critic.named_parameters()
        if p in variant.optimizers["discriminator"].state
    }
    changed = {n for n, p in variant.critic.named_parameters() if not torch.equal(p, fresh[n])}
    assert changed <= known
    assert not any(name.startswith(("blocks.", "from_image.1", "from_image.2")) for name in known)
    assert any(name.startswith("from_image.0") for name in changed)
    variant.update(*batches.at(30, Draws(0, 30)), Draws(0, 30))
    known = {
        name
        for name, p in variant.critic.named_parameters()
        if p in variant.optimizers["discriminator"].state
    }
    assert any(name.startswith("blocks.0") for name in known)
    assert not any(name.startswith("blocks.1") for name in known)


def test_saved_networks_know_their_level() -> None:
    config = hundred_steps(Game(ema_decay=0.9, loss="least-squares"))
    variant, batches = build(config)
    for step in (0, 30, 70):
        variant.update(*batches.at(step, Draws(0, step)), Draws(0, step))
    other, _ = build(config)
    other.update(*batches.at(99, Draws(0, 99)), Draws(0, 99))  # it stood somewhere else
    other.load_state(variant.state())
    for name, network in other.networks.items():
        assert network.eval().level == 1.5, name
        assert network.train().level == 1.5, name
    given = variant.noise(variant.asked(4), Stream.SAMPLE, Draws(0, 0))
    assert torch.equal(other.sampler.eval()(given), variant.sampler.eval()(given))
    made = evaluation.generate(other.sampler, given)
    assert made.shape == (4, 16, 16, 1)
    assert np.array_equal(made, to_bytes(variant.sampler(given)))


def test_level_is_no_statistic_that_ranks_average() -> None:
    variant, _ = build(hundred_steps(Game()))
    assert variant._buffers() == []
    assert "level_units" in dict(variant.generator.named_buffers())


def test_stopped_around_every_change_of_level_ends_in_the_same_bits(
    make_trainer: Make, tmp_path: Path
) -> None:
    """20 steps, in 16 of which it grows: changes at steps 4, 8, 12 and 16; epochs end at 10, 20."""
    config = ProgressiveConfig(
        data=DataConfig(image_size=16),
        model=ProgressiveModel(latent=8, width=4, growing_share=0.8),
        game=Game(loss="wasserstein", regulariser="gradient-penalty", ema_decay=0.9),
    )
    train = replace(config.train, epochs=2, batch_size=143, log_every=3, grid_rows=1)
    config = replace(config, train=train)
    straight = make_trainer(tmp_path / "a", config, quiet())
    levels = []
    update = straight.variant.update

    def noting(*arguments: object) -> Tensor:
        terms = update(*arguments)
        levels.append(straight.variant.critic.level)
        return terms

    straight.variant.update = noting
    assert straight.train() is None
    assert levels[:5] == [0] * 5
    assert levels[5:9] == pytest.approx([0.25, 0.5, 0.75, 1], abs=1e-6)
    assert levels[13:] == pytest.approx([1.25, 1.5, 1.75, 2, 2, 2, 2], abs=1e-6)
    for count in (4, 1, 3, 4, 1, 3, 1000):
        broken = make_trainer(tmp_path / "b", config, quiet(StopAt(count)))
        broken.train()
    ends = [trainer.outputs.checkpoints.latest() for trainer in (straight, broken)]
    assert_same_state(*(end.load() for end in ends))
    assert ends[0].manifest.files == ends[1].manifest.files
    assert products(tmp_path / "a") == products(tmp_path / "b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda: ProgressiveModel(growing_share=1.0),
            r"model\.growing_share is 1\.0; allowed: above 0",
        ),
        (lambda: ProgressiveModel(width=0), r"model\.width is 0; allowed: 1 or more"),
        (
            lambda: ProgressiveConfig(data=DataConfig(image_size=28)),
            r"data\.image_size is 28; progressive allows: 4 times a power of two, from 8 on",
        ),
    ],
)
def test_impossible_settings_name_the_field(change: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        change()
