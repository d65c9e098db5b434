"""S2's cats that do not exist: a DCGAN whose depth and channels are settings.

The document's images are in [0, 1], with a Sigmoid at the generator's end. Here the networks see
them so inside; outside, images are in [-1, 1] as everywhere.
"""

import torch
from torch import Tensor, nn

from gan.blocks import Critic, HeadOptions
from gan.config import CatsConfig
from gan.data import DataInfo
from gan.variants.adversarial import Adversarial, head_options


class CatsCritic(Critic):
    """`depth` groups [convolution 4, stride 2, without bias; BatchNorm; LeakyReLU], one linear.

    Channels are `width` after the first group and double with each halving. The document lost the
    list of the layers of a group; this is the generator's, the other way round.
    """

    def __init__(
        self, image_size: int, channels: int, width: int, depth: int, options: HeadOptions
    ) -> None:
        super().__init__()
        groups: list[nn.Module] = []
        incoming = channels
        for level in range(depth):
            outgoing = width * 2**level
            groups += [
                nn.Conv2d(incoming, outgoing, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outgoing),
                nn.LeakyReLU(),
            ]
            incoming = outgoing
        self.groups = nn.Sequential(*groups)
        self.add_heads(incoming * (image_size // 2**depth) ** 2, options)

    def features(self, images: Tensor) -> Tensor:
        maps: Tensor = self.groups((images + 1) / 2)  # (B, width 2^(d-1), S / 2^d, S / 2^d)
        return maps.flatten(1)


class CatsGenerator(nn.Module):
    """Noise (B, latent) to images (B, channels, S, S) in [-1, 1].

    Linear, LeakyReLU, then `depth` groups [transposed convolution 4, stride 2, without bias;
    BatchNorm; LeakyReLU] that halve the channels; the last group ends in a Sigmoid.
    """

    def __init__(self, image_size: int, channels: int, width: int, depth: int, latent: int) -> None:
        super().__init__()
        side, incoming = image_size // 2**depth, width * 2 ** (depth - 1)
        self.fc1 = nn.Sequential(
            nn.Linear(latent, incoming * side * side),
            nn.Unflatten(1, (incoming, side, side)),
            nn.LeakyReLU(),
        )
        groups: list[nn.Module] = []
        for level in range(depth):
            last = level == depth - 1
            outgoing = channels if last else incoming // 2
            groups += [
                nn.ConvTranspose2d(incoming, outgoing, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outgoing),
                nn.Sigmoid() if last else nn.LeakyReLU(),
            ]
            incoming = outgoing
        self.groups = nn.Sequential(*groups)

    def forward(self, noise: Tensor) -> Tensor:
        images: Tensor = self.groups(self.fc1(noise))  # in [0, 1]
        return images * 2 - 1


def networks(config: CatsConfig, info: DataInfo) -> tuple[Critic, nn.Module]:
    model, size = config.model, config.data.image_size
    options = head_options(config, info)
    critic = CatsCritic(size, info.channels, model.width, model.depth, options)
    return critic, CatsGenerator(size, info.channels, model.width, model.depth, model.latent)


def build(config: CatsConfig, info: DataInfo, device: torch.device) -> Adversarial:
    return Adversarial(config, info, device, networks)
