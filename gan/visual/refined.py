"""A better way up: coarse structure first, in natural colours, and nothing that hangs on one pixel.

Gradient ascent on pixels ends in fine noise that no photograph has, on small images most of all.
What helps is known from Olah et al., "Feature visualization" (2017): steepest ascent for another
parametrisation of the image, in which structure of every size and the colours weigh as much as they
do in photographs; moving the image about by a pixel or two; and a price on differences of
neighbours. Their settings are for photographs of 224 pixels, these are for sides of 16 to 64.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from gan.rng import Draws, Stream

Parametrisation = Literal["fourier", "pyramid"]
_MOMENTUM = 0.9
_STILL = 0.25  # the last share of the iterations, in which the image is not moved about
_PALEST = 0.95  # of a start: where tanh is flatter than there, an image hardly moves
_LEAST = 1e-12  # below this a slope is none
_SMOOTH = 1 / 255  # of a difference: below it, the price of roughness is a parabola
_SMALLEST_SIDE = 4  # of the pyramid's copies, in pixels
# Grey, blue against yellow, green against purple; and how far photographs vary along each, as
# measured on CIFAR-10. Olah et al. have nearly the same axes and shares for larger ones.
_COLOURS = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (1.0, -2.0, 1.0))
_SHARES = (1.0, 0.3, 0.14)


@dataclass(frozen=True)
class Refined:
    """Steepest ascent in Fourier space, or on a pyramid, with jitter and a price on roughness.

    Images are tanh(start + change), so that they stay in [-1, 1]; the change begins at 0.
    """

    iterations: int = 200
    step: float = 0.05  # how far a typical pixel moves at first, before tanh; falls to 0 at the end
    parametrisation: Parametrisation = "fourier"
    jitter: float = 1 / 16  # of the side: how far the image is moved about, at most
    roughness: float = 0.2  # the price of total variation, in typical slopes of the score
    seed: int = 0  # of the jitter

    def steps(self, score: Callable[[Tensor], Tensor], start: Tensor) -> Iterator[Tensor]:
        """Images (N, C, S, S) in [-1, 1] as they rise: first at rest, then after each iteration."""
        spread = _SPREADS[self.parametrisation]
        base = torch.atanh(start.clamp(-_PALEST, _PALEST))
        change, speed = torch.zeros_like(base), torch.zeros_like(base)
        for iteration in range(self.iterations):
            left = 1 - iteration / self.iterations
            images = torch.tanh(base + change)
            yield images
            uphill = self._uphill(score, images, iteration if left > _STILL else None)
            direction = _unit(_in_colours(spread(uphill * (1 - images.square()))))
            speed = _MOMENTUM * speed + (1 - _MOMENTUM) * direction
            change = change + self.step * left * speed
        yield torch.tanh(base + change)

    def _uphill(
        self, score: Callable[[Tensor], Tensor], images: Tensor, iteration: int | None
    ) -> Tensor:
        """Where the images should go: up the score, whose slope is brought to one size for each
        image, whatever the network's scale, and down the total variation. Nowhere without slope.
        """
        images = images.detach().requires_grad_()
        seen = images if iteration is None else self._moved(images, iteration)
        (slope,) = torch.autograd.grad(score(seen).sum(), images)
        (rough,) = torch.autograd.grad(_roughness(images).sum(), images)
        rising = slope.abs().amax((1, 2, 3), keepdim=True) > _LEAST
        return torch.where(rising, _unit(slope) - self.roughness * rough, 0)

    def _moved(self, images: Tensor, iteration: int) -> Tensor:
        """Shifted by some pixels, all of them alike; the edge goes on where it leaves a gap."""
        side = images.shape[-1]
        reach = round(self.jitter * side)
        if not reach:
            return images
        draws = Draws(self.seed, iteration)
        down, right = draws.labels(Stream.MAXIMISE, 2, 2 * reach + 1).tolist()
        wide = F.pad(images, (reach,) * 4, mode="replicate")
        return wide[..., down : down + side, right : right + side]


def _unit(slopes: Tensor) -> Tensor:
    """Each brought to a root mean square of 1; 0 stays 0."""
    size = slopes.square().mean((1, 2, 3), keepdim=True).sqrt()
    return slopes / size.clamp_min(_LEAST)


def _roughness(images: Tensor) -> Tensor:
    """Total variation (N,), rounded off at 0, where it has no slope; a sum over all pixels."""
    down, right = images.diff(dim=2), images.diff(dim=3)
    return _smoothly(down) + _smoothly(right)


def _smoothly(differences: Tensor) -> Tensor:
    return (differences.square() + _SMOOTH**2).sqrt().sum((1, 2, 3))


# A parametrisation is a linear map J from weights to images. One step of steepest ascent on the
# weights changes the image by J J' times its slope, so that J J' is all that is needed of it.


def _fourier(slopes: Tensor) -> Tensor:
    """Waves whose amplitudes fall with their frequency, as those of photographs do; S by S."""
    side = slopes.shape[-1]
    down = torch.fft.fftfreq(side, device=slopes.device)[:, None]
    right = torch.fft.rfftfreq(side, device=slopes.device)[None]
    waves = (side * torch.sqrt(down.square() + right.square())).clamp_min(1)  # in one image
    return torch.fft.irfft2(torch.fft.rfft2(slopes) / waves.square(), s=(side, side))


def _pyramid(slopes: Tensor) -> Tensor:
    """Means over blocks of 1 pixel, 2, 4, ..., enlarged smoothly and added up."""
    side = size = slopes.shape[-1]
    total = torch.zeros_like(slopes)
    while size >= _SMALLEST_SIDE:
        coarse = F.adaptive_avg_pool2d(slopes, size)
        grown = F.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)
        total, size = total + grown, size // 2
    return total


_SPREADS = {"fourier": _fourier, "pyramid": _pyramid}


def _in_colours(slopes: Tensor) -> Tensor:
    """Of colour images, the share of each axis of colour that photographs have."""
    if slopes.shape[1] != len(_COLOURS):
        return slopes
    axes = F.normalize(slopes.new_tensor(_COLOURS), dim=1) * slopes.new_tensor(_SHARES)[:, None]
    return torch.einsum("nchw,cd->ndhw", slopes, axes.T @ axes)
