"""S0's AC-WGAN-GP: the auxiliary classifier GAN with the Wasserstein loss and gradient penalty.

Odena et al., "Conditional image synthesis with auxiliary classifier GANs" (2017); Gulrajani et al.,
"Improved training of Wasserstein GANs" (2017); put together as in the IE 534 assignment.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan import losses, rng
from gan.blocks import Generator
from gan.config import ACGANConfig
from gan.data import DataInfo
from gan.ema import EMA
from gan.rng import Stream
from gan.variants.base import Variant, make_adam, make_critic


class ACGAN(Variant):
    terms = (
        "gradient_penalty", "fake_source", "real_source", "real_class", "fake_class", "accuracy",
    )  # fmt: skip

    def __init__(self, config: ACGANConfig, info: DataInfo, device: torch.device) -> None:
        model, data = config.model, config.data
        self.model, self.classes = model, len(info.classes)
        rng.seed_torch(config.seed, Stream.INIT)
        self.critic = make_critic(config, info, model.width).to(device)
        self.generator = Generator(data.image_size, info.channels, model.width, model.latent)
        self.generator.to(device)
        self.networks: dict[str, nn.Module] = {
            "generator": self.generator,
            "discriminator": self.critic,
        }
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            name: make_adam(config.optim, network) for name, network in self.networks.items()
        }
        self.ema = EMA(self.generator, model.ema_decay) if model.ema_decay else None
        if self.ema:
            self.networks["generator_ema"] = self.ema.average

    @property
    def sampler(self) -> nn.Module:
        return self.ema.average if self.ema else self.generator

    def noise(self, labels: Tensor, stream: Stream, draws: rng.Draws) -> Tensor:
        """Normal noise whose first numbers, one per class, are the one-hot label (S0)."""
        noise = draws.normal(stream, len(labels), self.model.latent)
        one_hot = F.one_hot(labels, self.classes).to(noise.dtype)
        return torch.cat([one_hot, noise[:, self.classes :]], dim=1)

    def update(self, images: Tensor, labels: Tensor, draws: rng.Draws) -> Tensor:
        self.generator.train()
        if draws.step % self.model.generator_every == 0:
            self.update_generator(len(images), draws)
        return self.update_critic(images, labels, draws)

    def update_generator(self, count: int, draws: rng.Draws) -> None:
        """Minimise -E[D(G(z, c))] + CE(c); the critic's own gradients are not even computed."""
        labels = draws.labels(Stream.GENERATOR_LABELS, count, self.classes)
        fake: Tensor = self.generator(self.noise(labels, Stream.GENERATOR_NOISE, draws))
        source, classes = self.critic(fake)
        loss = -source.mean() + F.cross_entropy(classes, labels)
        self.descend("generator", loss, loss[None])
        if self.ema:
            self.ema.update(draws.step // self.model.generator_every)

    def update_critic(self, real: Tensor, labels: Tensor, draws: rng.Draws) -> Tensor:
        """Minimise E[D(fake)] - E[D(real)] + CE(real) + CE(fake) + lambda GP, on fresh fakes.

        Real and fake go through the critic as one batch: it treats each image by itself.
        """
        count = len(real)
        fake_labels = draws.labels(Stream.CRITIC_LABELS, count, self.classes)
        with torch.no_grad():
            fake: Tensor = self.generator(self.noise(fake_labels, Stream.CRITIC_NOISE, draws))
        source, classes = self.critic(torch.cat([real, fake]))
        (real_source, fake_source), (real_logits, fake_logits) = source.chunk(2), classes.chunk(2)
        alpha = draws.uniform(Stream.PENALTY, count, 1, 1, 1)
        penalty = self.model.penalty_weight * losses.gradient_penalty(
            lambda mixed: self.critic(mixed)[0], real, fake, alpha
        )
        real_class = F.cross_entropy(real_logits, labels)
        fake_class = F.cross_entropy(fake_logits, fake_labels)
        loss = fake_source.mean() - real_source.mean() + real_class + fake_class + penalty
        accuracy = (real_logits.detach().argmax(1) == labels).float().mean()
        terms = [penalty, fake_source.mean(), real_source.mean(), real_class, fake_class, accuracy]
        return self.descend("discriminator", loss, torch.stack(terms))


def build(config: ACGANConfig, info: DataInfo, device: torch.device) -> ACGAN:
    return ACGAN(config, info, device)
