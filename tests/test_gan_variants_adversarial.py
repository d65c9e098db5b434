"""One update of the game against the plainest reading of its equations, in float64.

The reading has separate batches of real and generated images, logarithms of sigmoids as printed, a
critic frozen by hand, and torch's own Adam.
"""

import copy
import itertools
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan import data, rng, variants
from gan.batches import Batches
from gan.config import (
    VARIANTS,
    ACGANConfig,
    ACGANModel,
    AdamConfig,
    DataConfig,
    Game,
    GANConfig,
    TrainConfig,
)
from gan.rng import Draws, Stream
from gan.variants.adversarial import Adversarial

CPU = torch.device("cpu")
LATENT, BATCH, RATE = 14, 6, 1e-3
GANS = [name for name, config in VARIANTS.items() if issubclass(config, GANConfig)]
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


def tiny(name: str, game: Game, **model: Any) -> GANConfig:
    """A GAN of a few thousand weights on digits of 16 pixels."""
    kind = VARIANTS[name]
    narrow = {"width": 4, "critic_hidden": 8, "generator_hidden": 8, "dropout": 0.0}
    settings = {key: value for key, value in narrow.items() if hasattr(kind().model, key)}
    return kind(
        data=DataConfig(image_size=16),
        train=TrainConfig(batch_size=BATCH),
        optim=AdamConfig(learning_rate=RATE, beta1=0.0, beta2=0.9),
        model=replace(kind().model, latent=LATENT, **settings | model),
        game=game,
    )


def build(config: GANConfig) -> tuple[Adversarial, Batches]:
    images = data.load(config.data)
    variant = variants.build(config, images.info, CPU)
    assert isinstance(variant, Adversarial)
    return variant, Batches(images, config, CPU)


@dataclass
class Plain:
    """The networks before an update, in float64, and one iteration on them."""

    config: GANConfig
    critic: nn.Module
    generator: nn.Module

    @classmethod
    def of(cls, variant: Adversarial, config: GANConfig) -> "Plain":
        critic, generator = (copy.deepcopy(n).double() for n in (variant.critic, variant.generator))
        return cls(config, critic.train(), generator.train())

    def iterate(self, real: Tensor, labels: Tensor, draws: Draws) -> dict[str, Tensor]:
        game = self.config.game
        players = [self.train_generator, self.train_critic]
        if game.critic_first:
            players.reverse()
        terms: dict[str, Tensor] = {}
        for train in players:
            terms |= train(real.double(), labels, draws)
        return terms

    def adam(self, network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(network.parameters(), lr=RATE, betas=(0.0, 0.9))

    def noise(self, stream: Stream, asked: Tensor, draws: Draws) -> Tensor:
        if self.config.model.noise == "uniform":
            z = 2 * draws.uniform(stream, BATCH, LATENT) - 1
        else:
            z = draws.normal(stream, BATCH, LATENT)
        if self.config.game.auxiliary:
            z[:, :10] = 0
            z[torch.arange(BATCH), asked] = 1
        return z.double()

    def asked(self, stream: Stream, draws: Draws) -> Tensor:
        return draws.labels(stream, BATCH, 10)

    def train_generator(self, real: Tensor, labels: Tensor, draws: Draws) -> dict[str, Tensor]:
        adam = self.adam(self.generator)
        asked = self.asked(Stream.GENERATOR_LABELS, draws)
        self.critic.requires_grad_(False)
        fake = self.generator(self.noise(Stream.GENERATOR_NOISE, asked, draws))
        scores, logits = self.critic(fake)
        loss = self.generator_loss(scores)
        if self.config.game.auxiliary:
            loss = loss + F.cross_entropy(logits, asked)
        loss.backward()
        adam.step()
        self.critic.requires_grad_(True)
        return {}

    def generator_loss(self, fake: Tensor) -> Tensor:
        return {
            "non-saturating": -torch.log(torch.sigmoid(fake)),
            "saturating": torch.log(1 - torch.sigmoid(fake)),
            "least-squares": (fake - 1) ** 2 / 2,
            "wasserstein": -fake,
        }[self.config.game.loss].mean()

    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        if self.config.game.loss == "least-squares":
            return ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2
        if self.config.game.loss == "wasserstein":
            return fake.mean() - real.mean()
        real_part = F.binary_cross_entropy(torch.sigmoid(real), torch.ones_like(real))
        return real_part + F.binary_cross_entropy(torch.sigmoid(fake), torch.zeros_like(fake))

    def train_critic(self, real: Tensor, labels: Tensor, draws: Draws) -> dict[str, Tensor]:
        game, adam = self.config.game, self.adam(self.critic)
        asked = self.asked(Stream.CRITIC_LABELS, draws)
        with torch.no_grad():
            fake = self.generator(self.noise(Stream.CRITIC_NOISE, asked, draws))
        real_scores, real_logits = self.critic(real)
        fake_scores, fake_logits = self.critic(fake)
        terms = {
            "real_source": real_scores.mean(),
            "fake_source": fake_scores.mean(),
            "generator_loss": self.generator_loss(fake_scores),
        }
        loss = game.critic_scale * self.critic_loss(real_scores, fake_scores)
        if game.regulariser == "gradient-penalty":
            alpha = draws.uniform(Stream.PENALTY, BATCH, 1, 1, 1).double()
            mixed = (alpha * real + (1 - alpha) * fake).requires_grad_()
            slope = torch.autograd.grad(self.critic(mixed)[0].sum(), mixed, create_graph=True)[0]
            norms = (slope**2).sum((1, 2, 3)).sqrt()
            terms["gradient_penalty"] = game.penalty_weight * ((norms - 1) ** 2).mean()
            loss = loss + terms["gradient_penalty"]
        if game.auxiliary:
            terms["real_class"] = F.cross_entropy(real_logits, labels)
            terms["fake_class"] = F.cross_entropy(fake_logits, asked)
            terms["accuracy"] = (real_logits.argmax(1) == labels).double().mean()
            loss = loss + terms["real_class"] + terms["fake_class"]
        loss.backward()
        adam.step()
        if game.regulariser == "clipping":
            for weight in self.critic.parameters():
                weight.data.clamp_(-game.clip, game.clip)
        return terms


def assert_close(found: Tensor, expected: Tensor, what: str) -> None:
    """Up to the rounding of float32, measured against the largest number of the tensor."""
    error = (found.double() - expected).abs().max().item()
    assert error <= 2e-4 * expected.abs().max().item() + 1e-5, (what, error)


def assert_same_update(config: GANConfig) -> None:
    variant, batches = build(config)
    plain = Plain.of(variant, config)
    draws = Draws(0, 0)
    images, labels = batches.at(0, draws)
    expected = plain.iterate(images, labels, draws)
    terms = variant.update(images, labels, draws)
    named = dict(zip(variant.terms, terms, strict=True))
    assert named.keys() - expected.keys() == {"told_apart"}
    for term, value in expected.items():
        assert_close(named[term], value.detach(), term)
    for ours, theirs in ((variant.critic, plain.critic), (variant.generator, plain.generator)):
        known = dict(ours.named_parameters()) | dict(ours.named_buffers())
        for name, parameter in theirs.named_parameters():
            if parameter.grad is not None:
                assert_close(known[name].grad, parameter.grad, f"gradient of {name}")
                assert_same_step(known[name], parameter, name)
        for name, statistic in theirs.named_buffers():
            # A bias before BatchNorm has no gradient, so its step is rounding, seen in the means.
            assert (known[name] - statistic).abs().max() <= 0.1 * 2 * RATE + 1e-5, name


def assert_same_step(found: Tensor, expected: nn.Parameter, what: str) -> None:
    """Adam's first step is rate * sign(g): rounding may flip it where g is next to nothing."""
    size = expected.grad.abs()
    apart = (found.detach().double() - expected.detach()).abs()
    assert apart.max() <= 2.01 * RATE, what
    assert (apart[size > 1e-3 * size.max() + 1e-4] <= 1e-6).all(), what


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
