"""The game of generator and critic as its documents print it, in float64, to compare with.

Separate batches of real and generated images, logarithms of sigmoids, a critic frozen by hand, and
torch's own Adam.
"""

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan import data, variants
from gan.batches import Batches
from gan.config import VARIANTS, AdamConfig, DataConfig, Game, GANConfig, TrainConfig
from gan.rng import Draws, Stream
from gan.variants.adversarial import Adversarial

LATENT, BATCH, RATE = 14, 6, 1e-3


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
    variant = variants.build(config, images.info, torch.device("cpu"))
    assert isinstance(variant, Adversarial)
    return variant, Batches(images, config, torch.device("cpu"))


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
            terms |= train(self.seen(real.double()), labels, draws)
        return terms

    def adam(self, network: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(network.parameters(), lr=RATE, betas=(0.0, 0.9))

    def generate(self, noise: Tensor) -> Tensor:
        return self.generator(noise)

    def seen(self, images: Tensor) -> Tensor:
        """What the critic is given of real images."""
        return images

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
        fake = self.generate(self.noise(Stream.GENERATOR_NOISE, asked, draws))
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
            fake = self.generate(self.noise(Stream.CRITIC_NOISE, asked, draws))
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


def assert_same_update(config: GANConfig, kind: type[Plain] = Plain, step: int = 0) -> None:
    """One update of the system's networks, fresh from their initialisation, at some step."""
    variant, batches = build(config)
    plain = kind.of(variant, config)
    draws = Draws(0, step)
    images, labels = batches.at(step, draws)
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
