"""Progressive growing: a GAN that learns small images first.

Karras et al., "Progressive growing of GANs for improved quality, stability, and variation" (2018).
Training begins at 4 x 4 pixels. Each doubling of the side adds a block to both networks, which is
faded in while the blocks before go on training, and is then trained by itself for as long. All of
the paper's other means are here too (feature vectors of length one in the generator, the equalised
learning rate, an averaged generator) but two: its minibatch deviation, because a critic that mixes
samples leaves the gradient penalty without meaning, and the small term that keeps the scores near
zero.

Where training stands is one number, the level: 0 is 4 x 4, 1 is 8 x 8, and 1.25 has a quarter of
16 x 16. It is a function of the step alone.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan import rng
from gan.blocks import Critic, HeadOptions, halvings
from gan.config import ProgressiveConfig
from gan.data import DataInfo, steps_per_pass
from gan.rng import Stream
from gan.variants.adversarial import Adversarial, head_options

_BASE = 4  # image side at level 0
_WIDE_UP_TO = 32  # image side from which on channels are halved with every doubling
_SLOPE = 0.2
_UNITS = 1 << 20  # a level is kept in these parts, as a whole number


def level_at(step: int, total_steps: int, doublings: int, growing_share: float) -> float:
    """The level at a step: in the growing share of all steps, `doublings` equal pairs of holding
    and fading; `doublings` itself after it."""
    growing = growing_share * total_steps
    if step >= growing:
        return float(doublings)
    place = 2 * doublings * step / growing
    pair, fading = divmod(int(place), 2)
    return pair + (place - int(place)) * fading


class EqualConv(nn.Conv2d):
    """A convolution with the equalised learning rate (section 4.1).

    Weights are drawn from N(0, 1) and scaled in every pass by He's constant, so that Adam, whose
    steps do not depend on a weight's size, trains all layers at one speed.
    """

    def __init__(
        self, incoming: int, outgoing: int, kernel: int, padding: int = 0, gain: float = 2**0.5
    ) -> None:
        super().__init__(incoming, outgoing, kernel, padding=padding)
        self.scale = gain / math.sqrt(incoming * kernel * kernel)
        _initialise(self)

    def forward(self, maps: Tensor) -> Tensor:
        return self._conv_forward(maps, self.weight * self.scale, self.bias)


class EqualLinear(nn.Linear):
    """A linear layer with the equalised learning rate."""

    def __init__(self, incoming: int, outgoing: int, gain: float = 2**0.5) -> None:
        super().__init__(incoming, outgoing)
        self.scale = gain / math.sqrt(incoming)
        _initialise(self)

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(features, self.weight * self.scale, self.bias)


def _initialise(layer: nn.Conv2d | nn.Linear) -> None:
    nn.init.normal_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class PixelNorm(nn.Module):
    """Each pixel's feature vector (B, F, ...) divided by the root of its mean square (4.2)."""

    def forward(self, features: Tensor) -> Tensor:
        square = features.float().square().mean(1, keepdim=True)
        return features * (square + 1e-8).rsqrt().to(features.dtype)


def _double(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2, mode="nearest")


def _halve(maps: Tensor) -> Tensor:
    return F.avg_pool2d(maps, 2)


class Growing(nn.Module):
    """What both networks have: the sides of their levels, and the level where they stand.

    The level is kept in a buffer, so that a saved network knows it. In training the loop tells it
    with every step, and a copy on the host saves waiting for the device to read the buffer.
    """

    def __init__(self, image_size: int, width: int) -> None:
        super().__init__()
        self.sides = [_BASE << level for level in range(halvings(image_size) + 1)]
        self.widths = [max(1, width * _WIDE_UP_TO // max(s, _WIDE_UP_TO)) for s in self.sides]
        self.register_buffer("level_units", torch.zeros((), dtype=torch.int64))
        self.level_units: Tensor
        self._told: float | None = None

    def grow(self, level: float) -> None:
        """Go to a level, of which 2 ** -20 is the smallest part."""
        units = round(level * _UNITS)
        self.level_units.fill_(units)
        self._told = units / _UNITS

    def forget(self) -> None:
        """Look the level up in the buffer again, which has been changed from outside."""
        self._told = None

    @property
    def level(self) -> float:
        known = self._told if self.training else None
        return int(self.level_units) / _UNITS if known is None else known

    def standing(self) -> tuple[int, float]:
        """The level that is in use, and how much of it: 1 unless it is being faded in."""
        level = self.level
        top = math.ceil(level)
        return top, 1.0 - (top - level)


class ProgressiveGenerator(Growing):
    """Noise (B, latent) to images (B, channels, S, S) in [-1, 1], whatever the level.

    Table 2 of the paper: each level is twice [convolution 3, LeakyReLU 0.2, pixelwise norm] after a
    doubling (nearest neighbour); a linear convolution 1 makes the image of a level.
    """

    def __init__(self, image_size: int, channels: int, width: int, latent: int) -> None:
        super().__init__(image_size, width)
        self.first = nn.Sequential(
            PixelNorm(),
            EqualLinear(latent, width * _BASE * _BASE),
            nn.Unflatten(1, (width, _BASE, _BASE)),
            nn.LeakyReLU(_SLOPE),
            PixelNorm(),
            *_generator_layer(width, width),
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(*_generator_layer(wide, narrow), *_generator_layer(narrow, narrow))
            for wide, narrow in zip(self.widths, self.widths[1:], strict=False)
        )
        self.to_image = nn.ModuleList(EqualConv(w, channels, 1, gain=1) for w in self.widths)

    def at_level(self, noise: Tensor) -> Tensor:
        """Images (B, channels, s, s) of the level's side s, without bounds."""
        top, share = self.standing()
        maps = before = self.first(noise)
        for block in self.blocks[:top]:
            before, maps = maps, block(_double(maps))
        images: Tensor = self.to_image[top](maps)
        if share < 1:
            images = torch.lerp(_double(self.to_image[top - 1](before)), images, share)
        return images

    def forward(self, noise: Tensor) -> Tensor:
        images = self.at_level(noise)
        scale = self.sides[-1] // images.shape[-1]
        return F.interpolate(images, scale_factor=scale, mode="nearest").clamp(-1, 1)


def _generator_layer(incoming: int, outgoing: int) -> list[nn.Module]:
    return [EqualConv(incoming, outgoing, 3, padding=1), nn.LeakyReLU(_SLOPE), PixelNorm()]


class ProgressiveCritic(Growing, Critic):
    """The generator's mirror image, without norms; images of the level's side, or of the full one.

    A convolution 1 reads the image of a level; each level is twice [convolution 3, LeakyReLU] and a
    halving; at 4 x 4 the second convolution spans the whole map.
    """

    def __init__(self, image_size: int, channels: int, width: int, options: HeadOptions) -> None:
        super().__init__(image_size, width)
        self.from_image = nn.ModuleList(
            nn.Sequential(EqualConv(channels, w, 1), nn.LeakyReLU(_SLOPE)) for w in self.widths
        )
        self.blocks = nn.ModuleList(  # in the order of the levels, the first from 8 x 8 to 4 x 4
            nn.Sequential(*_critic_layer(narrow, narrow), *_critic_layer(narrow, wide))
            for wide, narrow in zip(self.widths, self.widths[1:], strict=False)
        )
        self.last = nn.Sequential(
            *_critic_layer(width, width), EqualConv(width, width, _BASE), nn.LeakyReLU(_SLOPE)
        )
        self.add_heads(width, options)
        self.fc1, self.fc10 = _equalised(self.fc1), _equalised(self.fc10)

    def shrink(self, images: Tensor) -> Tensor:
        """Full images (B, C, S, S) to the level's side; while it fades in, with the same mixture of
        two resolutions as generated images have."""
        top, share = self.standing()
        images = F.avg_pool2d(images, images.shape[-1] // self.sides[top])
        return images if share == 1 else torch.lerp(_double(_halve(images)), images, share)

    def features(self, images: Tensor) -> Tensor:
        top, share = self.standing()
        if images.shape[-1] != self.sides[top]:
            images = self.shrink(images)
        maps: Tensor = self.from_image[top](images)
        for place in reversed(range(top)):
            maps = _halve(self.blocks[place](maps))
            if place == top - 1 and share < 1:
                maps = torch.lerp(self.from_image[place](_halve(images)), maps, share)
        return self.last(maps).flatten(1)


def _critic_layer(incoming: int, outgoing: int) -> list[nn.Module]:
    return [EqualConv(incoming, outgoing, 3, padding=1), nn.LeakyReLU(_SLOPE)]


def _equalised(head: nn.Linear | None) -> nn.Linear | None:
    return EqualLinear(head.in_features, head.out_features, gain=1) if head else None


class Progressive(Adversarial):
    """The common game, at the level of the step."""

    critic: ProgressiveCritic
    generator: ProgressiveGenerator

    def __init__(self, config: ProgressiveConfig, info: DataInfo, device: torch.device) -> None:
        super().__init__(config, info, device, networks)
        self.growing_share = config.model.growing_share
        self.doublings = halvings(config.data.image_size)
        train = config.train
        self.total_steps = steps_per_pass(config, info) * train.passes_per_epoch * train.epochs

    def update(self, images: Tensor, labels: Tensor, draws: rng.Draws) -> Tensor:
        level = level_at(draws.step, self.total_steps, self.doublings, self.growing_share)
        for network in (self.generator, self.critic):
            network.train()
            network.grow(level)
        return super().update(self.critic.shrink(images), labels, draws)

    def fakes(self, labels: Tensor, stream: Stream, draws: rng.Draws) -> Tensor:
        noise = self.noise(labels, stream, draws)
        with self.mixed():
            fake = self.generator.at_level(noise)
        return fake.float()

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        for network in (self.generator, self.critic):
            network.forget()


def networks(
    config: ProgressiveConfig, info: DataInfo
) -> tuple[ProgressiveCritic, ProgressiveGenerator]:
    model, size = config.model, config.data.image_size
    critic = ProgressiveCritic(size, info.channels, model.width, head_options(config, info))
    return critic, ProgressiveGenerator(size, info.channels, model.width, model.latent)


def build(config: ProgressiveConfig, info: DataInfo, device: torch.device) -> Progressive:
    return Progressive(config, info, device)
