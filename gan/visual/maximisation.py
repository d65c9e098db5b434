"""Synthetic images that maximise a class or a feature (S0; gradient ascent on the image)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gan.blocks import Critic

_CHUNK = 128  # images that rise together


@dataclass(frozen=True)
class Ascent:
    """S0's rule: x <- clamp(x + step grad - decay x |x|)."""

    iterations: int = 200
    step: float = 0.1
    decay: float = 0.001


def maximise(score: Callable[[Tensor], Tensor], start: Tensor, rule: Ascent) -> Tensor:
    """Images (N, C, S, S) in [-1, 1] that raise `score`, which maps them to (N,), one each."""
    images = start.clone()
    for _ in range(rule.iterations):
        images.requires_grad_()
        (slope,) = torch.autograd.grad(score(images).sum(), images)
        images = images.detach()
        images = (images + rule.step * slope - rule.decay * images * images.abs()).clamp(-1, 1)
    return images


def maximise_classes(critic: Critic, mean_image: Tensor, rule: Ascent) -> Tensor:
    """One image per class, (K, C, S, S), from the mean image (C, S, S) of a batch."""
    with torch.no_grad():
        classes = critic(mean_image[None])[1].shape[1]
    start = mean_image.expand(classes, *mean_image.shape)
    return maximise(lambda images: critic(images)[1].diagonal(), start, rule)


def maximise_features(critic: Critic, layer: str, mean_image: Tensor, rule: Ascent) -> Tensor:
    """One image per channel of a convolution stage, (width, C, S, S), made in chunks.

    A channel's score is its largest value over the map. Raises ValueError for an unknown layer.
    """
    with torch.no_grad():
        width = critic.activation(mean_image[None], layer).shape[1]

    def of(channels: Tensor) -> Tensor:
        def score(images: Tensor) -> Tensor:
            peaks = critic.activation(images, layer).amax((2, 3))  # (B, width)
            return peaks.gather(1, channels[:, None]).squeeze(1)

        return maximise(score, mean_image.expand(len(channels), *mean_image.shape), rule)

    numbers = torch.arange(width, device=mean_image.device)
    return torch.cat([of(channels) for channels in numbers.split(_CHUNK)])
