"""S0's AC-WGAN-GP: the auxiliary classifier GAN with the Wasserstein loss and gradient penalty.

Odena et al., "Conditional image synthesis with auxiliary classifier GANs" (2017); Gulrajani et al.,
"Improved training of Wasserstein GANs" (2017); put together as in the IE 534 assignment. With other
settings of the game it is the original AC-GAN, the WGAN of S3 with its clipped weights, or a GAN
that uses no labels.
"""

import torch
from torch import nn

from gan.blocks import Critic, S0Critic, S0Generator
from gan.config import ACGANConfig
from gan.data import DataInfo
from gan.variants.adversarial import Adversarial, head_options


def networks(config: ACGANConfig, info: DataInfo) -> tuple[Critic, nn.Module]:
    model, size = config.model, config.data.image_size
    critic = S0Critic(size, info.channels, model.width, head_options(config, info))
    return critic, S0Generator(size, info.channels, model.width, model.latent)


def build(config: ACGANConfig, info: DataInfo, device: torch.device) -> Adversarial:
    return Adversarial(config, info, device, networks)
