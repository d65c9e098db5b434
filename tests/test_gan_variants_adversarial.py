"""One update of the game against the plainest reading of its equations (see games.py)."""

import itertools
from dataclasses import replace

import pytest
import torch
from games import BATCH, LATENT, assert_same_update, build, tiny
from torch import Tensor, nn

from gan import rng
from gan.config import VARIANTS, ACGANConfig, ACGANModel, Game, GANConfig
from gan.rng import Draws, Stream

# Progressive growing plays it on smaller images: test_gan_variants_progressive.py.
GANS = [
    name
    for name, config in VARIANTS.items()
    if issubclass(config, GANConfig) and name != "progressive"
]
GAMES = [
    Game(loss=loss, regulariser=regulariser, auxiliary=auxiliary, clip=0.02, penalty_weight=3.0)
    for loss, regulariser, auxiliary in itertools.product(
        ("non-saturating", "saturating", "least-squares", "wasserstein"),
        ("none", "clipping", "gradient-penalty"),
        (False, True),
    )
    if (loss, regulariser) != ("wasserstein", "none")
]


def name_of(game: Game) -> str:
    return f"{game.loss}-{game.regulariser}{'-classes' if game.auxiliary else ''}"


@pytest.mark.parametrize("game", GAMES, ids=name_of)
def test_update_is_the_plainest_reading(game: Game) -> None:
    """Among them the original AC-GAN, the unlabelled WGAN-GP and the WGAN with clipped weights."""
    assert_same_update(tiny("acgan", game))


@pytest.mark.parametrize("name", GANS)
def test_update_of_each_system_is_the_plainest_reading(name: str) -> None:
    assert_same_update(tiny(name, VARIANTS[name]().game))


@pytest.mark.parametrize("name", GANS)
def test_critic_may_come_first(name: str) -> None:
    game = Game(loss="least-squares", critic_first=True, critic_scale=0.5)
    assert_same_update(tiny(name, game))


class Heard(nn.Module):
    """Notes which batches a critic is given, in order."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.batches: list[Tensor] = []
        critic.register_forward_pre_hook(lambda _, given: self.batches.append(given[0].detach()))


@pytest.mark.parametrize("name", GANS)
@pytest.mark.parametrize("kernels", [0, 3])
def test_real_and_generated_share_a_batch_only_where_no_statistic_mixes_them(
    name: str, kernels: int
) -> None:
    config = tiny(name, Game(), minibatch_kernels=kernels)
    variant, batches = build(config)
    heard = Heard(variant.critic)
    real, labels = batches.at(0, Draws(0, 0))
    variant.update(real, labels, Draws(0, 0))
    sizes = [len(batch) for batch in heard.batches]
    if config.mixes_samples:
        assert sizes == [BATCH, BATCH, BATCH]  # for the generator; real; generated
        assert torch.equal(heard.batches[1], real)
        generated = heard.batches[2]
    else:
        assert sizes == [BATCH, 2 * BATCH]
        assert torch.equal(heard.batches[1][:BATCH], real)
        generated = heard.batches[1][BATCH:]
    assert not torch.isin(generated.flatten(1).sum(1), real.flatten(1).sum(1)).any()
    assert not torch.equal(generated, heard.batches[0])  # the critic's step draws new noise


@pytest.mark.parametrize("critic_first", [False, True])
def test_players_take_their_turns_in_the_order_asked_for(critic_first: bool) -> None:
    variant, batches = build(tiny("acgan", Game(critic_first=critic_first, generator_every=3)))
    players: list[str] = []
    descend = variant.descend

    def noting(player: str, loss: Tensor, terms: Tensor) -> Tensor:
        players.append(player)
        return descend(player, loss, terms)

    variant.descend = noting
    for step in range(4):
        variant.update(*batches.at(step, Draws(0, step)), Draws(0, step))
    both = ["discriminator", "generator"] if critic_first else ["generator", "discriminator"]
    assert players == [*both, "discriminator", "discriminator", *both]


def test_every_weight_of_the_critic_stays_within_the_clip() -> None:
    game = Game(loss="wasserstein", regulariser="clipping", clip=0.01, auxiliary=True)
    variant, batches = build(tiny("acgan", game))
    free = max(p.abs().max().item() for p in variant.critic.parameters())
    assert free == 1  # LayerNorm's
    for step in range(5):
        variant.update(*batches.at(step, Draws(0, step)), Draws(0, step))
        bound = torch.tensor(0.01)
        for name, weight in variant.critic.named_parameters():
            assert weight.abs().max() <= bound, (step, name)
    assert max(p.abs().max() for p in variant.generator.parameters()) > 0.5  # not its weights


def test_unlabelled_game_does_not_see_the_labels() -> None:
    game = Game(loss="wasserstein", regulariser="gradient-penalty")
    ends = []
    for shift in (0, 1):
        variant, batches = build(tiny("acgan", game))
        images, labels = batches.at(0, Draws(0, 0))
        variant.update(images, (labels + shift) % 10, Draws(0, 0))
        assert variant.critic.fc10 is None
        assert variant.asked(3).tolist() == [-1, -1, -1]
        ends.append(variant.critic.fc1.weight)
    assert torch.equal(*ends)


@pytest.mark.parametrize("noise", ["normal", "uniform"])
def test_noise_has_the_distribution_asked_for(noise: str) -> None:
    variant, _ = build(tiny("acgan", Game(), noise=noise))
    drawn = variant.noise(torch.zeros(2000, dtype=torch.int64), Stream.GRID, Draws(0, 0))
    assert drawn.shape == (2000, LATENT)
    deviation = 1 if noise == "normal" else 3**-0.5
    assert drawn.std().item() == pytest.approx(deviation, rel=0.02)
    assert drawn.mean().item() == pytest.approx(0, abs=0.02)
    assert (drawn.abs().max() <= 1) == (noise == "uniform")


def test_average_of_the_generator_starts_over_only_with_its_own_updates() -> None:
    """Its decay warms up with the number of the generator's steps, not of all steps."""
    config = tiny("acgan", Game(ema_decay=0.9, generator_every=2))
    variant, batches = build(config)
    assert variant.ema is not None
    expected = variant.generator.conv8.weight.detach().clone()
    for step in range(5):
        variant.update(*batches.at(step, Draws(0, step)), Draws(0, step))
        if step % 2 == 0:
            decay = min(0.9, (1 + step // 2) / (10 + step // 2))
            expected = decay * expected + (1 - decay) * variant.generator.conv8.weight.detach()
    torch.testing.assert_close(variant.ema.average.conv8.weight, expected)


def trained(model: ACGANModel, steps: int) -> tuple[Tensor, list[Tensor]]:
    """The critic's weights and all terms after some steps, seeded like the trainer's."""
    config = replace(tiny("acgan", Game()), model=model)
    assert isinstance(config, ACGANConfig)
    variant, batches = build(config)
    terms = []
    for step in range(steps):
        rng.seed_torch(config.seed, Stream.DROPOUT, step)
        terms.append(variant.update(*batches.at(step, Draws(0, step)), Draws(0, step)))
    return variant.critic.fc1.weight.detach(), terms


def test_dropout_is_in_the_critics_training_only() -> None:
    plain, dropping = (
        ACGANModel(width=4, latent=LATENT),
        ACGANModel(width=4, latent=LATENT, dropout=0.5),
    )
    first, terms = trained(plain, 2)
    second, other = trained(dropping, 2)
    assert not torch.equal(terms[0], other[0])
    assert not torch.equal(first, second)
    variant, batches = build(replace(tiny("acgan", Game()), model=dropping))
    variant.critic.eval()
    images, _ = batches.at(0, Draws(0, 0))
    assert torch.equal(variant.critic(images)[0], variant.critic(images)[0])
    features = variant.critic.features(images)
    assert torch.equal(variant.critic(images)[0], variant.critic.fc1(features).squeeze(1))
