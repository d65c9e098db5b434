"""S4's convolutional GAN: a small classifier's body against the generator of InfoGAN.

Chen et al., "InfoGAN" (2016), appendix C.1, MNIST.
"""

import torch
from torch import Tensor, nn

from gan.blocks import Critic, HeadOptions
from gan.config import DCGANConfig
from gan.data import DataInfo
from gan.variants.adversarial import Adversarial, head_options


class DCCritic(Critic):
    """Twice [convolution 5, LeakyReLU 0.01, max-pool 2], a linear layer as wide, LeakyReLU; heads.

    At 28 x 28 and width 32: 32 and 64 channels, 4 x 4 x 64 = 1024 features.
    """

    def __init__(self, image_size: int, channels: int, width: int, options: HeadOptions) -> None:
        super().__init__()
        side = ((image_size - 4) // 2 - 4) // 2
        count = 2 * width * side * side
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 5),
            nn.LeakyReLU(0.01),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 5),
            nn.LeakyReLU(0.01),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(count, count),
            nn.LeakyReLU(0.01),
        )
        self.add_heads(count, options)

    def features(self, images: Tensor) -> Tensor:
        hidden: Tensor = self.body(images)
        return hidden


class DCGenerator(nn.Sequential):
    """Noise (B, latent) to images (B, channels, S, S) in [-1, 1].

    BatchNorm always uses the statistics of the batch at hand, in sampling too, as the document
    asks; it keeps no running ones.
    """

    def __init__(self, image_size: int, channels: int, width: int, latent: int) -> None:
        side, hidden = image_size // 4, 32 * width
        units = 4 * width * side * side
        super().__init__(
            nn.Linear(latent, hidden),
            nn.ReLU(),
            nn.BatchNorm1d(hidden, track_running_stats=False),
            nn.Linear(hidden, units),
            nn.ReLU(),
            nn.BatchNorm1d(units, track_running_stats=False),
            nn.Unflatten(1, (4 * width, side, side)),
            nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.BatchNorm2d(2 * width, track_running_stats=False),
            nn.ConvTranspose2d(2 * width, channels, 4, stride=2, padding=1),
            nn.Tanh(),
        )


def networks(config: DCGANConfig, info: DataInfo) -> tuple[Critic, nn.Module]:
    model, size = config.model, config.data.image_size
    critic = DCCritic(size, info.channels, model.width, head_options(config, info))
    return critic, DCGenerator(size, info.channels, model.width, model.latent)


def build(config: DCGANConfig, info: DataInfo, device: torch.device) -> Adversarial:
    return Adversarial(config, info, device, networks)
