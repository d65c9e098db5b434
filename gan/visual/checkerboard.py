"""Checkerboard artefacts: how much of a picture repeats itself with the stride of a layer.

A transposed convolution paints each pixel of its output from the kernel weights that fall on the
pixel's place within the stride, so that neighbouring places are painted from different weights, and
a pattern of the stride's period stays in the picture (Odena et al., "Deconvolution and checkerboard
artifacts", 2016). Doubling by interpolation and then convolving treats all places alike. Two layers
of stride 2 leave periods 2 and 4.

Measured is the energy of an image's Fourier spectrum at exactly these frequencies, as a share of
all but the mean. At period p that is also the share of its variance that is explained by the place
modulo p. White noise has a share of its own, by chance, and real images have theirs: both stand
beside what is measured.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

PERIODS = (2, 4, 8)  # pixels: one, two, three layers of stride 2 from the picture
UPSAMPLINGS = ("transposed", "nearest", "bilinear")
_TOGETHER = 256  # images that are transformed at once


@dataclass(frozen=True)
class Checkerboard:
    """Shares of spectral energy at the frequencies of one period, means over the images."""

    period: int  # pixels
    generated: float
    real: float
    noise: float  # of white noise in images of this size


def measure(generated: NDArray[np.uint8], real: NDArray[np.uint8]) -> list[Checkerboard]:
    """Of images (N, H, W, C) and (M, H, W, C) uint8, for each period that divides both sides.

    Each period has only the frequencies that no shorter one has. Nothing is found if the images of
    one kind are all of one colour, or too small, or if no period divides their sides.
    """
    (ours, theirs), (height, width) = map(_spectrum, (generated, real)), generated.shape[1:3]
    found = []
    for period in PERIODS:
        divides = height % period == width % period == 0 and min(height, width) > period
        if divides and ours is not None and theirs is not None:
            places = _frequencies(height, width, period)
            of_ours, of_theirs = float(ours[places].sum()), float(theirs[places].sum())
            noise = float(places.sum()) / (height * width - 1)
            found.append(Checkerboard(period, of_ours, of_theirs, noise))
    return found


def _spectrum(images: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """The mean over the images of each frequency's share (H, W) of an image's energy.

    Energies are added over the channels. Images of one colour have none and are left out; None if
    there are no others.
    """
    total, count = np.zeros(images.shape[1:3]), 0
    for start in range(0, len(images), _TOGETHER):
        pixels = images[start : start + _TOGETHER].astype(np.float64)
        pixels -= pixels.mean((1, 2), keepdims=True)
        energies = (np.abs(np.fft.fft2(pixels, axes=(1, 2))) ** 2).sum(3)
        whole = energies.sum((1, 2))
        varied = whole > 0
        total += (energies[varied] / whole[varied, None, None]).sum(0)
        count += int(varied.sum())
    return total / count if count else None


def _frequencies(height: int, width: int, period: int) -> NDArray[np.bool_]:
    """Where (H, W) a spectrum has the frequencies of a period, and of none that divides it."""

    def of(p: int) -> NDArray[np.bool_]:
        rows = np.arange(height) % (height // p) == 0
        return np.outer(rows, np.arange(width) % (width // p) == 0)

    return of(period) & ~of(period // 2)


def with_upsampling(network: nn.Module, kind: str) -> nn.Module:
    """The network, each of whose doublings by a transposed convolution is done another way.

    "transposed": as it is. "nearest", "bilinear": interpolation and a convolution 3 of as many
    channels, freshly initialised. Changes the network in place and returns it. Raises ValueError
    for another kind.
    """
    if kind not in UPSAMPLINGS:
        raise ValueError(f"upsampling is {kind!r}; allowed: {', '.join(UPSAMPLINGS)}")
    if kind != "transposed":
        for parent in [*network.modules()]:
            for name, layer in parent.named_children():
                if isinstance(layer, nn.ConvTranspose2d):
                    setattr(parent, name, _interpolated(layer, kind))
    return network


def _interpolated(layer: nn.ConvTranspose2d, kind: str) -> nn.Sequential:
    bias = layer.bias is not None
    convolution = nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1, bias=bias)
    return nn.Sequential(nn.Upsample(scale_factor=layer.stride[0], mode=kind), convolution)
