"""A generator against a critic: the game that all GANs here share.

What differs between them stands in the config: the loss of real against generated, the regulariser
of the critic, whether there are classes. A system adds its two networks.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan import losses, rng
from gan.blocks import Critic, HeadOptions
from gan.config import GANConfig
from gan.data import DataInfo
from gan.ema import EMA
from gan.rng import Stream
from gan.variants.base import Variant, make_adam

MakeNetworks = Callable[[Any, DataInfo], tuple[Critic, nn.Module]]  # from the system's config


def head_options(config: GANConfig, info: DataInfo) -> HeadOptions:
    """The critic's heads as the config asks for them."""
    classes = len(info.classes) if config.game.auxiliary else 0
    return HeadOptions(classes, config.model.dropout, config.model.minibatch_kernels)


class Adversarial(Variant):
    """`make` gives the critic and the generator of a system, freshly initialised."""

    def __init__(
        self, config: GANConfig, info: DataInfo, device: torch.device, make: MakeNetworks
    ) -> None:
        self.game, self.model = config.game, config.model
        self.conditions = len(info.classes) if config.game.auxiliary else 0
        self.mixes_samples = config.mixes_samples is not None
        self.loss = losses.SOURCE_LOSSES[config.game.loss]
        rng.seed_torch(config.seed, Stream.INIT)
        self.critic, self.generator = make(config, info)
        self.networks: dict[str, nn.Module] = {
            "generator": self.generator,
            "discriminator": self.critic,
        }
        self.place(config, device)
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            name: make_adam(config.optim, network) for name, network in self.networks.items()
        }
        self.ema = EMA(self.generator, self.game.ema_decay) if self.game.ema_decay else None
        if self.ema:
            self.networks["generator_ema"] = self.ema.average
        self.terms = self._terms()
        self.resting = ("generator",) if self.game.generator_every > 1 else ()

    def _terms(self) -> tuple[str, ...]:
        terms = ["fake_source", "real_source", "generator_loss", "told_apart"]
        terms += ["gradient_penalty"] * (self.game.regulariser == "gradient-penalty")
        terms += ["real_class", "fake_class", "accuracy"] * self.game.auxiliary
        return tuple(terms)

    @property
    def sampler(self) -> nn.Module:
        return self.ema.average if self.ema else self.generator

    def noise(self, labels: Tensor, stream: Stream, draws: rng.Draws) -> Tensor:
        """Noise (B, latent); with classes its first numbers, one per class, are the one-hot label
        (S0)."""
        shape = len(labels), self.model.latent
        if self.model.noise == "uniform":
            noise = draws.uniform(stream, *shape) * 2 - 1
        else:
            noise = draws.normal(stream, *shape)
        if not self.conditions:
            return noise
        one_hot = F.one_hot(labels, self.conditions).to(noise.dtype)
        return torch.cat([one_hot, noise[:, self.conditions :]], dim=1)

    def update(self, images: Tensor, labels: Tensor, draws: rng.Draws) -> Tensor:
        self.generator.train()
        self.critic.train()
        turn = draws.step % self.game.generator_every == 0
        if turn and not self.game.critic_first:
            self.update_generator(len(images), draws)
        terms = self.update_critic(images, labels, draws)
        if turn and self.game.critic_first:
            self.update_generator(len(images), draws)
        return terms

    def fakes(self, labels: Tensor, stream: Stream, draws: rng.Draws) -> Tensor:
        """Generated images (B, C, S, S) for asked labels (B,), float32."""
        noise = self.noise(labels, stream, draws)
        with self.mixed():
            fake: Tensor = self.called["generator"](noise)
        return fake.float()

    def judge(self, images: Tensor, twice: bool = False) -> tuple[Tensor, Tensor]:
        """The critic's scores (B,) and class logits, float32; logits are (B, 0) without classes.

        `twice` if their gradient is to be derived again, which no compiled network can.
        """
        with self.mixed():
            scores, logits = (self.critic if twice else self.called["discriminator"])(images)
        return scores.float(), scores[:, None][:, :0] if logits is None else logits.float()

    def _asked(self, count: int, stream: Stream, draws: rng.Draws) -> Tensor:
        if self.conditions:
            return draws.labels(stream, count, self.conditions)
        return torch.zeros(count, dtype=torch.int64, device=draws.device)

    def update_generator(self, count: int, draws: rng.Draws) -> None:
        """One step on fresh fakes; the critic's own gradients are not even computed."""
        labels = self._asked(count, Stream.GENERATOR_LABELS, draws)
        scores, logits = self.judge(self.fakes(labels, Stream.GENERATOR_NOISE, draws))
        loss = self.loss.generator(scores)
        if self.conditions:
            loss = loss + F.cross_entropy(logits, labels)
        self.descend("generator", loss, loss[None])
        if self.ema:
            self.ema.update(draws.step // self.game.generator_every)

    def update_critic(self, real: Tensor, labels: Tensor, draws: rng.Draws) -> Tensor:
        """One step on a batch of real images and as many fresh fakes."""
        asked = self._asked(len(real), Stream.CRITIC_LABELS, draws)
        with torch.no_grad():
            fake = self.fakes(asked, Stream.CRITIC_NOISE, draws)
        (real_scores, real_logits), (fake_scores, fake_logits) = self._judge_both(real, fake)
        loss = self.game.critic_scale * self.loss.critic(real_scores, fake_scores)
        terms = [
            fake_scores.mean(),
            real_scores.mean(),
            self.loss.generator(fake_scores),
            losses.told_apart(real_scores, fake_scores, self.loss.threshold),
        ]
        if self.game.regulariser == "gradient-penalty":
            penalty = self._penalty(real, fake, draws)
            loss = loss + penalty
            terms.append(penalty)
        if self.conditions:
            real_class = F.cross_entropy(real_logits, labels)
            fake_class = F.cross_entropy(fake_logits, asked)
            loss = loss + real_class + fake_class
            hits = real_logits.argmax(1) == labels
            terms += [real_class, fake_class, hits.float().mean()]
        averaged = self.descend("discriminator", loss, torch.stack([t.detach() for t in terms]))
        if self.game.regulariser == "clipping":
            self._clip()
        return averaged

    def _judge_both(
        self, real: Tensor, fake: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """In one batch where the critic treats each image by itself; else statistics would mix."""
        if self.mixes_samples:
            return self.judge(real), self.judge(fake)
        scores, logits = self.judge(torch.cat([real, fake]))
        (real_scores, fake_scores), (real_logits, fake_logits) = scores.chunk(2), logits.chunk(2)
        return (real_scores, real_logits), (fake_scores, fake_logits)

    def _penalty(self, real: Tensor, fake: Tensor, draws: rng.Draws) -> Tensor:
        alpha = draws.uniform(Stream.PENALTY, len(real), 1, 1, 1)
        return self.game.penalty_weight * losses.gradient_penalty(
            lambda mixed: self.judge(mixed, twice=True)[0], real, fake, alpha
        )

    @torch.no_grad()
    def _clip(self) -> None:
        """Arjovsky et al., "Wasserstein GAN" (2017), algorithm 1, line 7."""
        weights: list[Tensor] = [*self._parameters("discriminator")]
        torch._foreach_clamp_min_(weights, -self.game.clip)
        torch._foreach_clamp_max_(weights, self.game.clip)
