"""The S0 discriminator trained without a generator: cross-entropy on `fc10` alone."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan import rng
from gan.blocks import Critic, HeadOptions, S0Critic
from gan.config import ClassifierConfig, RunConfig
from gan.data import DataInfo
from gan.variants.base import Variant, make_adam


class Classifier(Variant):
    """`make` gives the network, freshly initialised."""

    terms = ("loss", "accuracy")

    def __init__(
        self, config: RunConfig, info: DataInfo, device: torch.device, make: Callable[[], Critic]
    ) -> None:
        rng.seed_torch(config.seed, rng.Stream.INIT)
        self.critic = make()
        self.networks: dict[str, nn.Module] = {"discriminator": self.critic}
        self.place(config, device)
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "discriminator": make_adam(config.optim, self.critic)
        }

    def update(self, images: Tensor, labels: Tensor, draws: rng.Draws) -> Tensor:
        self.critic.train()
        with self.mixed():
            logits = self.called["discriminator"](images)[1].float()
        loss = F.cross_entropy(logits, labels)
        accuracy = (logits.detach().argmax(1) == labels).float().mean()
        return self.descend("discriminator", loss, torch.stack([loss.detach(), accuracy]))


def build(config: ClassifierConfig, info: DataInfo, device: torch.device) -> Classifier:
    options = HeadOptions(classes=len(info.classes))
    size, width = config.data.image_size, config.model.width
    return Classifier(config, info, device, lambda: S0Critic(size, info.channels, width, options))
