"""The plainest honest training loop of every system, as its document describes it.

What one would write with a page of PyTorch: eager, float32, real and generated images each in a
batch of their own, torch's own Adam as it comes, losses read after every step (S0 sums them up so),
images altered one by one by torchvision in a loader with workers. The networks are the suite's; so
are the draws of noise and labels, that the same step may be compared.
"""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T

from gan.config import RunConfig, SimCLRConfig
from gan.data import ImageSet
from gan.rng import Draws, Stream
from gan.variants import Variant
from gan.variants.adversarial import Adversarial
from gan.variants.encoder_classifier import Downstream
from gan.variants.progressive import Progressive, level_at


class Loop:
    """Copies of the networks of a freshly made `variant`, and what trains them."""

    def __init__(self, config: RunConfig, variant: Variant) -> None:
        self.config: Any = config
        self.variant = variant
        self.device = variant.device
        self.networks = {name: copy.deepcopy(net) for name, net in variant.networks.items()}
        self.optimizers = {name: self.adam(self.networks[name]) for name in variant.optimizers}
        for network in self.networks.values():
            network.to(memory_format=torch.contiguous_format)

    def adam(self, network: nn.Module) -> torch.optim.Adam:
        settings = self.config.optim
        wanted = [p for p in network.parameters() if p.requires_grad]
        betas = settings.beta1, settings.beta2
        return torch.optim.Adam(wanted, lr=settings.learning_rate, betas=betas)

    def step(self, images: Tensor, labels: Tensor, draws: Draws) -> dict[str, float]:
        """One iteration; what it would print."""
        raise NotImplementedError

    def descend(self, player: str, loss: Tensor) -> None:
        self.optimizers[player].zero_grad()
        loss.backward()
        self.optimizers[player].step()


class Game(Loop):
    """A generator against a critic."""

    def step(self, images: Tensor, labels: Tensor, draws: Draws) -> dict[str, float]:
        images = self.prepare(images, draws.step)
        game, told = self.config.game, {}
        turn = draws.step % game.generator_every == 0
        if turn and not game.critic_first:
            told |= self.train_generator(len(images), draws)
        told |= self.train_critic(images, labels, draws)
        if turn and game.critic_first:
            told |= self.train_generator(len(images), draws)
        return told

    def prepare(self, images: Tensor, step: int) -> Tensor:
        for network in self.networks.values():
            network.train()
        return images

    def generate(self, noise: Tensor) -> Tensor:
        return self.networks["generator"](noise)

    def fakes(self, count: int, streams: tuple[Stream, Stream], draws: Draws) -> Any:
        """Generated images, and the classes that were asked for."""
        classes = self.variant.conditions
        asked = draws.labels(streams[0], count, classes) if classes else torch.zeros(count).long()
        latent = self.config.model.latent
        if self.config.model.noise == "uniform":
            noise = draws.uniform(streams[1], count, latent) * 2 - 1
        else:
            noise = draws.normal(streams[1], count, latent)
        if classes:
            noise[:, :classes] = F.one_hot(asked, classes)
        return self.generate(noise), asked

    def train_generator(self, count: int, draws: Draws) -> dict[str, float]:
        critic = self.networks["discriminator"]
        critic.requires_grad_(False)
        streams = Stream.GENERATOR_LABELS, Stream.GENERATOR_NOISE
        fake, asked = self.fakes(count, streams, draws)
        scores, logits = critic(fake)
        loss = self.generator_loss(scores)
        if logits is not None:
            loss = loss + F.cross_entropy(logits, asked)
        self.descend("generator", loss)
        critic.requires_grad_(True)
        self.average()
        return {"generator": loss.item()}

    @torch.no_grad()
    def average(self) -> None:
        if "generator_ema" not in self.networks:
            return
        pairs = zip(
            self.networks["generator_ema"].parameters(),
            self.networks["generator"].parameters(),
            strict=True,
        )
        for kept, new in pairs:
            kept.lerp_(new, 1 - self.config.game.ema_decay)

    def generator_loss(self, fake: Tensor) -> Tensor:
        kind = self.config.game.loss
        if kind == "wasserstein":
            return -fake.mean()
        if kind == "least-squares":
            return 0.5 * ((fake - 1) ** 2).mean()
        return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))

    def critic_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        kind = self.config.game.loss
        if kind == "wasserstein":
            return fake.mean() - real.mean()
        if kind == "least-squares":
            return 0.5 * ((real - 1) ** 2).mean() + 0.5 * (fake**2).mean()
        return F.binary_cross_entropy_with_logits(
            real, torch.ones_like(real)
        ) + F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))

    def train_critic(self, real: Tensor, labels: Tensor, draws: Draws) -> dict[str, float]:
        game, critic = self.config.game, self.networks["discriminator"]
        with torch.no_grad():
            streams = Stream.CRITIC_LABELS, Stream.CRITIC_NOISE
            fake, asked = self.fakes(len(real), streams, draws)
        real_scores, real_logits = critic(real)
        fake_scores, fake_logits = critic(fake)
        told = {"real_source": real_scores.mean(), "fake_source": fake_scores.mean()}
        loss = game.critic_scale * self.critic_loss(real_scores, fake_scores)
        if game.regulariser == "gradient-penalty":
            told["gradient_penalty"] = self.penalty(critic, real, fake, draws)
            loss = loss + told["gradient_penalty"]
        if real_logits is not None:
            told["real_class"] = F.cross_entropy(real_logits, labels)
            told["fake_class"] = F.cross_entropy(fake_logits, asked)
            told["accuracy"] = (real_logits.argmax(1) == labels).float().mean()
            loss = loss + told["real_class"] + told["fake_class"]
        self.descend("discriminator", loss)
        if game.regulariser == "clipping":
            for weight in critic.parameters():
                weight.data.clamp_(-game.clip, game.clip)
        return {name: value.item() for name, value in told.items()}

    def penalty(self, critic: nn.Module, real: Tensor, fake: Tensor, draws: Draws) -> Tensor:
        """Gulrajani et al., as their code and S0's have it."""
        alpha = draws.uniform(Stream.PENALTY, len(real), 1, 1, 1)
        mixed = (alpha * real + (1 - alpha) * fake).requires_grad_()
        scores = critic(mixed)[0]
        ones = torch.ones_like(scores)
        (slope,) = torch.autograd.grad(scores, mixed, ones, create_graph=True)
        norms = torch.linalg.vector_norm(slope.flatten(1), dim=1)
        return self.config.game.penalty_weight * ((norms - 1) ** 2).mean()


class Growing(Game):
    """The game at the level of the step."""

    def prepare(self, images: Tensor, step: int) -> Tensor:
        assert isinstance(self.variant, Progressive)
        ours = self.variant
        level = level_at(step, ours.total_steps, ours.doublings, ours.growing_share)
        for network in (self.networks["generator"], self.networks["discriminator"]):
            network.train()
            network.grow(level)
        return self.networks["discriminator"].shrink(images)

    def generate(self, noise: Tensor) -> Tensor:
        return self.networks["generator"].at_level(noise)


class Supervised(Loop):
    """Cross-entropy on the classes."""

    def step(self, images: Tensor, labels: Tensor, draws: Draws) -> dict[str, float]:
        ((player, network),) = self.networks.items()
        network.train()
        if isinstance(self.variant, Downstream):
            if self.variant.frozen:
                network.encoder.eval()
            logits = network(images)
        else:
            logits = network(images)[1]
        loss = F.cross_entropy(logits, labels)
        self.descend(player, loss)
        hits = logits.argmax(1) == labels
        return {"loss": loss.item(), "accuracy": hits.float().mean().item()}


class Contrastive(Loop):
    """SimCLR; rows k and k + B are two views of one image."""

    def step(self, images: Tensor, labels: Tensor, draws: Draws) -> dict[str, float]:
        network = self.networks["simclr"].train()
        units = F.normalize(network(images), dim=1)
        scores = units @ units.T / self.config.contrast.temperature
        count = len(units)
        scores = scores.masked_fill(torch.eye(count, dtype=torch.bool), float("-inf"))
        partners = (torch.arange(count) + count // 2) % count
        loss = F.cross_entropy(scores, partners)
        self.descend("simclr", loss)
        return {"contrastive_loss": loss.item()}


def make(config: RunConfig, variant: Variant) -> Loop:
    """The plain loop of a system, with the weights that `variant` has at this moment."""
    if isinstance(variant, Progressive):
        return Growing(config, variant)
    if isinstance(variant, Adversarial):
        return Game(config, variant)
    return (Contrastive if isinstance(config, SimCLRConfig) else Supervised)(config, variant)


class Pictures(Dataset[tuple[Tensor, int]]):
    """The training images one by one, altered by torchvision as the recipe asks."""

    def __init__(self, config: RunConfig, images: ImageSet) -> None:
        self.images, self.labels = np.asarray(images.train_images), images.train_labels
        self.alter, self.views = transforms(config), config.views

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = T.functional.to_pil_image(torch.from_numpy(self.images[index]))
        views = [self.alter(picture) for _ in range(self.views)]
        return torch.stack(views), int(self.labels[index])


def transforms(config: RunConfig) -> T.Compose:
    """torchvision's transforms of one picture, in the order of S0 and of SimCLR."""
    data, size = config.data, config.data.image_size
    steps: list[Any] = []
    if data.crop_scale_min < 1 or data.crop_ratio_max > 1:
        ratio = 1 / data.crop_ratio_max, data.crop_ratio_max
        steps.append(T.RandomResizedCrop(size, scale=(data.crop_scale_min, 1), ratio=ratio))
    if data.jitter > 0:
        hue = min(data.jitter, 0.5) if data.hue is None else data.hue
        jitter = T.ColorJitter(data.jitter, data.jitter, data.jitter, hue)
        steps.append(T.RandomApply([jitter], data.jitter_share))
    if data.grey > 0:
        steps.append(T.RandomGrayscale(data.grey))
    if data.flip:
        steps.append(T.RandomHorizontalFlip())
    return T.Compose([*steps, T.ToTensor(), T.Normalize(0.5, 0.5)])


def batches(config: RunConfig, images: ImageSet, workers: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches for ever: images (B, C, S, S), or (2B, C, S, S) of two views, and labels (B,)."""
    loader = DataLoader(
        Pictures(config, images),
        config.train.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    while True:
        for views, labels in loader:
            yield views.transpose(0, 1).flatten(0, 1), labels
