"""The S0 discriminator trained without a generator: cross-entropy on `fc10` alone."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan import rng
from gan.config import ClassifierConfig
from gan.data import DataInfo
from gan.variants.base import Variant, make_adam, make_critic


class Classifier(Variant):
    terms = ("loss", "accuracy")

    def __init__(self, config: ClassifierConfig, info: DataInfo, device: torch.device) -> None:
        rng.seed_torch(config.seed, rng.Stream.INIT)
        self.critic = make_critic(config, info, config.model.width).to(device)
        self.networks: dict[str, nn.Module] = {"discriminator": self.critic}
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "discriminator": make_adam(config.optim, self.critic)
        }

    def update(self, images: Tensor, labels: Tensor, draws: rng.Draws) -> Tensor:
        logits = self.classify(images)
        loss = F.cross_entropy(logits, labels)
        accuracy = (logits.detach().argmax(1) == labels).float().mean()
        return self.descend("discriminator", loss, torch.stack([loss.detach(), accuracy]))


def build(config: ClassifierConfig, info: DataInfo, device: torch.device) -> Classifier:
    return Classifier(config, info, device)
