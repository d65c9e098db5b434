"""S1's DCGAN lab: convolutional generator and critic for MNIST-like sets and house numbers.

The document pads "same" with stride 2, which PyTorch refuses: padding 1 gives its sizes (28, 14, 7,
4). Convolutions before a BatchNorm have no bias, which it would take away again; the strided ones
have no BatchNorm and keep theirs.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from gan.blocks import Critic, HeadOptions
from gan.config import DCGANLabConfig
from gan.data import DataInfo
from gan.variants.adversarial import Adversarial, head_options

_SLOPE = 0.2


class LabCritic(Critic):
    """CBlock(w), CBlock(2w), CBlock(3w), one linear layer; every block halves the side.

    CBlock(k) is twice [convolution 3, BatchNorm, LeakyReLU 0.2], a convolution 3 of stride 2,
    LeakyReLU 0.2, dropout.
    """

    def __init__(self, image_size: int, channels: int, width: int, options: HeadOptions) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        side, incoming = image_size, channels
        for outgoing in (width, 2 * width, 3 * width):
            blocks.append(_critic_block(incoming, outgoing, options.dropout))
            side, incoming = (side + 1) // 2, outgoing
        self.blocks = nn.Sequential(*blocks)
        self.add_heads(incoming * side * side, replace(options, dropout=0.0))

    def features(self, images: Tensor) -> Tensor:
        maps: Tensor = self.blocks(images)  # (B, 3 width, S / 8, S / 8)
        return maps.flatten(1)


def _critic_block(incoming: int, outgoing: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        *_convolution(incoming, outgoing, nn.LeakyReLU(_SLOPE)),
        *_convolution(outgoing, outgoing, nn.LeakyReLU(_SLOPE)),
        nn.Conv2d(outgoing, outgoing, 3, stride=2, padding=1),
        nn.LeakyReLU(_SLOPE),
        nn.Dropout(dropout),
    )


def _convolution(incoming: int, outgoing: int, activation: nn.Module) -> list[nn.Module]:
    convolution = nn.Conv2d(incoming, outgoing, 3, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(outgoing), activation]


class LabGenerator(nn.Module):
    """Noise (B, latent) to images (B, channels, S, S) in [-1, 1].

    Linear to (8w, S / 4, S / 4), BatchNorm over all its units, ReLU; GBlock(4w), GBlock(2w);
    convolution 1; tanh. GBlock(k) doubles the side (nearest neighbour: the document says bilinear,
    its layer's default is this) and then is twice [convolution 3, BatchNorm, ReLU].
    """

    def __init__(self, image_size: int, channels: int, width: int, latent: int) -> None:
        super().__init__()
        side, base = image_size // 4, 8 * width
        self.fc1 = nn.Sequential(
            nn.Linear(latent, base * side * side, bias=False),
            nn.BatchNorm1d(base * side * side),
            nn.ReLU(),
            nn.Unflatten(1, (base, side, side)),
        )
        self.blocks = nn.Sequential(
            _generator_block(base, 4 * width), _generator_block(4 * width, 2 * width)
        )
        self.last = nn.Conv2d(2 * width, channels, 1)

    def forward(self, noise: Tensor) -> Tensor:
        return torch.tanh(self.last(self.blocks(self.fc1(noise))))


def _generator_block(incoming: int, outgoing: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        *_convolution(incoming, outgoing, nn.ReLU()),
        *_convolution(outgoing, outgoing, nn.ReLU()),
    )


def networks(config: DCGANLabConfig, info: DataInfo) -> tuple[Critic, nn.Module]:
    model, size = config.model, config.data.image_size
    critic = LabCritic(size, info.channels, model.width, head_options(config, info))
    return critic, LabGenerator(size, info.channels, model.width, model.latent)


def build(config: DCGANLabConfig, info: DataInfo, device: torch.device) -> Adversarial:
    return Adversarial(config, info, device, networks)
