"""Networks shared by several systems.

S0 stands for the IE 534 assignment (CIFAR-10 classifier and AC-WGAN-GP) whose tables these are.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# S0's eight convolutions as (name, stride) for a 32 x 32 image.
_CRITIC_STAGES = (
    ("conv1", 1), ("conv2", 2), ("conv3", 1), ("conv4", 2),
    ("conv5", 1), ("conv6", 1), ("conv7", 1), ("conv8", 2),
)  # fmt: skip
_TABLE_SIZE, _BASE = 32, 4  # image side of the tables; map side before the pool / after fc1


def halvings(image_size: int) -> int:
    """How often `image_size` is halved before the 4 x 4 map. Raises ValueError for other sizes."""
    count = (image_size // _BASE).bit_length() - 1
    if count < 1 or _BASE << count != image_size:
        raise ValueError(f"image_size is {image_size}; allowed are 4 times a power of two, from 8")
    return count


def critic_stages(image_size: int) -> list[tuple[str, int]]:
    """(name, stride) of each convolution of the S0 discriminator for this image size.

    A smaller image drops strided stages, the earliest first; a larger one repeats the first pair
    (conv1, conv2) in front, which is how the table goes on upwards.
    """
    surplus = halvings(_TABLE_SIZE) - halvings(image_size)
    dropped = [name for name, stride in _CRITIC_STAGES if stride == 2][: max(surplus, 0)]
    stages = [stage for stage in _CRITIC_STAGES if stage[0] not in dropped]
    front = [
        (f"{name}{chr(97 + i)}", stride) for i in range(-surplus) for name, stride in stages[:2]
    ]
    return front + stages


class MinibatchDiscrimination(nn.Module):
    """Features (B, F) and, appended to them, how close each image is to the others of its batch.

    Salimans et al., "Improved techniques for training GANs" (2016), section 3.2: a learned tensor
    maps features to `kernels` vectors of length `dims`; each adds the sum, over the other images,
    of exp(-L1 distance) of their vectors. Output (B, F + kernels).
    """

    def __init__(self, features: int, kernels: int, dims: int = 16) -> None:
        super().__init__()
        self.shape = kernels, dims
        self.project = nn.Linear(features, kernels * dims, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        vectors = self.project(features).unflatten(1, self.shape).float()  # (B, kernels, dims)
        apart = (vectors[:, None] - vectors[None]).abs().sum(3)  # (B, B, kernels)
        close = torch.exp(-apart).sum(1) - 1  # without itself
        return torch.cat([features, close.to(features.dtype)], dim=1)


@dataclass(frozen=True)
class HeadOptions:
    """What stands between a critic's features and its answers."""

    classes: int = 0  # 0: no class head
    dropout: float = 0.0
    minibatch_kernels: int = 0
    scores: bool = True  # whether it tells real from generated


class Critic(nn.Module):
    """A network that judges images: a score and, with a class head, class logits.

    A subclass gives `features` and calls `add_heads` when it knows how many there are.
    """

    fc1: nn.Linear | None
    fc10: nn.Linear | None

    def add_heads(self, count: int, options: HeadOptions) -> None:
        """The linear layers over `count` features; `fc1` scores, `fc10` (S0's name) classifies."""
        self.dropout = nn.Dropout(options.dropout)
        kernels = options.minibatch_kernels
        self.minibatch = MinibatchDiscrimination(count, kernels) if kernels else nn.Identity()
        self.fc1 = nn.Linear(count + kernels, 1) if options.scores else None
        self.fc10 = nn.Linear(count, options.classes) if options.classes else None

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the stages that `activation` accepts; none unless a subclass has them."""
        return ()

    def activation(self, images: Tensor, layer: str) -> Tensor:
        """Output of one stage, (B, C, side, side). Raises ValueError for an unknown layer."""
        raise ValueError(f"no layer {layer!r}; this network has none to look into")

    def features(self, images: Tensor) -> Tensor:
        """What the heads see of images (B, channels, S, S): (B, F)."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Images (B, channels, S, S) in [-1, 1] to scores (B,) and class logits (B, classes)."""
        features = self.dropout(self.features(images))
        scores = self.fc1(self.minibatch(features)).squeeze(1) if self.fc1 else None
        return scores, self.fc10(features) if self.fc10 else None


def channels_innermost(tensor: Tensor) -> bool:
    """Whether (B, C, H, W) lies as (B, H, W, C), and not as (B, C, H, W) too."""
    if tensor.dim() != 4 or tensor.is_contiguous():
        return False
    return tensor.is_contiguous(memory_format=torch.channels_last)


class UpConvolution(nn.ConvTranspose2d):
    """A transposed convolution that adds its bias apart where channels are innermost.

    Of such maps, on CPUs, torch's own is slow at the gradient of the bias, which is but a sum.
    """

    def forward(self, maps: Tensor, output_size: list[int] | None = None) -> Tensor:
        if self.bias is None or output_size or not channels_innermost(self.weight):
            return super().forward(maps, output_size)
        grown = F.conv_transpose2d(
            maps, self.weight, None, self.stride, self.padding,  # type: ignore[arg-type]
            self.output_padding, self.groups, self.dilation,
        )  # fmt: skip
        return grown.add_(self.bias.to(grown.dtype)[:, None, None])


class MapNorm(nn.LayerNorm):
    """LayerNorm over (C, H, W) that takes maps with their channels innermost as they lie.

    The norm is over all of them, in whatever order; torch's own first copies such maps, which costs
    more than it takes. `innermost` has the weights lie as such maps do, which are copied otherwise.
    """

    def innermost(self) -> None:
        for values in self.parameters():
            values.data = values.data.permute(1, 2, 0).contiguous().permute(2, 0, 1)

    def forward(self, maps: Tensor) -> Tensor:
        if not channels_innermost(maps):
            return super().forward(maps)
        weight, bias = (values.permute(1, 2, 0) for values in (self.weight, self.bias))
        seen = F.layer_norm(maps.permute(0, 2, 3, 1), weight.shape, weight, bias, self.eps)
        return seen.permute(0, 3, 1, 2)


class S0Critic(Critic):
    """S0 discriminator, which is also its classifier: a score and class logits of an image.

    Convolution, LayerNorm over (C, H, W), LeakyReLU, eight times for 32 x 32 images; max-pool 4;
    `fc1` is the critic's unbounded score, `fc10` the auxiliary classifier. LayerNorm and not
    BatchNorm, because the gradient penalty needs each score to depend on one image alone.
    """

    def __init__(self, image_size: int, channels: int, width: int, options: HeadOptions) -> None:
        super().__init__()
        self.stages = nn.ModuleDict()
        side, incoming = image_size, channels
        for name, stride in critic_stages(image_size):
            side //= stride
            self.stages[name] = nn.Sequential(
                nn.Conv2d(incoming, width, 3, stride=stride, padding=1),
                MapNorm([width, side, side]),
                nn.LeakyReLU(0.01),
            )
            incoming = width
        self.pool = nn.MaxPool2d(_BASE)
        self.add_heads(width, options)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the convolution stages, first to last: what `activation` accepts."""
        return tuple(self.stages)

    def activation(self, images: Tensor, layer: str) -> Tensor:
        """Output of one stage, (B, width, side, side). Raises ValueError for an unknown layer."""
        if layer not in self.stages:
            raise ValueError(f"no layer {layer!r}; this network has {', '.join(self.layers)}")
        for name, stage in self.stages.items():
            images = stage(images)
            if name == layer:
                break
        return images

    def features(self, images: Tensor) -> Tensor:
        """Pooled features before the two heads, (B, width)."""
        for stage in self.stages.values():
            images = stage(images)
        return self.pool(images).flatten(1)


class S0Generator(nn.Module):
    """S0 generator: noise (B, latent) to images (B, channels, S, S) in [-1, 1].

    fc1 to a 4 x 4 map; transposed convolutions (4, 2, 1) double it and plain ones follow, as the
    table says; BatchNorm and ReLU after every layer but conv8; tanh. Smaller images leave out the
    last doublings, larger ones repeat conv7.
    """

    def __init__(self, image_size: int, channels: int, width: int, latent: int) -> None:
        super().__init__()
        doublings = halvings(image_size)
        self.width = width
        self.fc1 = nn.Sequential(
            nn.Linear(latent, width * _BASE * _BASE),
            nn.BatchNorm1d(width * _BASE * _BASE),
            nn.ReLU(),
        )
        kinds = ["up", "conv", "conv", "conv"]  # conv1..conv4
        kinds += ["up", "conv"] if doublings >= 2 else []  # conv5, conv6
        kinds += ["up"] * (doublings - 2)  # conv7, and again for larger images
        self.body = nn.Sequential(*(self._layer(kind) for kind in kinds))
        self.conv8 = nn.Conv2d(width, channels, 3, padding=1)

    def _layer(self, kind: str) -> nn.Sequential:
        width = self.width
        convolution: nn.Module = (
            UpConvolution(width, width, 4, stride=2, padding=1)
            if kind == "up"
            else nn.Conv2d(width, width, 3, padding=1)
        )
        return nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, noise: Tensor) -> Tensor:
        maps = self.fc1(noise).unflatten(1, (self.width, _BASE, _BASE))
        return torch.tanh(self.conv8(self.body(maps)))
