"""S4's fully connected GAN (Goodfellow et al., 2014), for images of any size and for points."""

import math

import torch
from torch import Tensor, nn

from gan.blocks import Critic, HeadOptions
from gan.config import MLPGANConfig
from gan.data import DataInfo
from gan.variants.adversarial import Adversarial, head_options


class MLPCritic(Critic):
    """Pixels, two hidden layers with LeakyReLU 0.01, one score."""

    def __init__(self, pixels: int, hidden: int, options: HeadOptions) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(pixels, hidden),
            nn.LeakyReLU(0.01),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.01),
        )
        self.add_heads(hidden, options)

    def features(self, images: Tensor) -> Tensor:
        hidden: Tensor = self.body(images)
        return hidden


class MLPGenerator(nn.Sequential):
    """Noise (B, latent), two hidden layers with ReLU, tanh: images of `shape` (C, S, S)."""

    def __init__(self, shape: tuple[int, int, int], hidden: int, latent: int) -> None:
        super().__init__(
            nn.Linear(latent, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, math.prod(shape)),
            nn.Tanh(),
            nn.Unflatten(1, shape),
        )


def networks(config: MLPGANConfig, info: DataInfo) -> tuple[Critic, nn.Module]:
    model, size = config.model, config.data.image_size
    shape = info.channels, size, size
    critic = MLPCritic(math.prod(shape), model.critic_hidden, head_options(config, info))
    return critic, MLPGenerator(shape, model.generator_hidden, model.latent)


def build(config: MLPGANConfig, info: DataInfo, device: torch.device) -> Adversarial:
    return Adversarial(config, info, device, networks)
