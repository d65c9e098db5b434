"""What a generator makes of the way from one noise vector to another."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gan import evaluation, rng
from gan.evaluation import TOGETHER
from gan.generation import Request
from gan.variants import Variant

Stop = Callable[[], object]
PathKind = Literal["linear", "spherical"]
_PARALLEL = 1e-6  # sine of the angle below which a great circle has no direction
_SHORTEST = 1e-30  # so that nothing is divided by 0


def between(first: Tensor, second: Tensor, steps: int, path: PathKind, straight: int = 0) -> Tensor:
    """Noise (R, steps, latent) on the way from `first` to `second`, both (R, latent); ends exact.

    linear: z1 + alpha (z2 - z1), alpha from 0 to 1 (S1). spherical: along a great circle, so that
    the vectors keep the length that normal noise has, which those in the middle of a straight line
    fall short of (White, "Sampling generative networks", 2016). The first `straight` numbers, the
    class's one-hot part, always go straight.
    """
    alphas = torch.linspace(0, 1, steps, dtype=torch.float64, device=first.device)[:, None]
    start, end = first[:, None].double(), second[:, None].double()  # (R, 1, latent)
    line = torch.lerp(start, end, alphas)  # exact at both ends, as its formula in float32 is not
    if path == "spherical":
        line[..., straight:] = _arc(start[..., straight:], end[..., straight:], alphas)
    return line.float()


def _arc(start: Tensor, end: Tensor, alphas: Tensor) -> Tensor:
    lengths = torch.linalg.vector_norm(start, dim=-1) * torch.linalg.vector_norm(end, dim=-1)
    cosine = ((start * end).sum(-1) / lengths.clamp_min(_SHORTEST)).clamp(-1, 1)[..., None]
    angle = torch.acos(cosine)
    sine = torch.sin(angle)
    arc = (torch.sin((1 - alphas) * angle) * start + torch.sin(alphas * angle) * end) / sine
    return torch.where(sine.abs() < _PARALLEL, torch.lerp(start, end, alphas), arc)


def strips(
    sampler: nn.Module, noise: Tensor, company: Tensor, stop: Stop = lambda: None
) -> NDArray[np.uint8]:
    """Images (R, steps, H, W, C) uint8 of noise (R, steps, latent). Raises Interrupted.

    Each strip is made in one batch, filled up with `company` (TOGETHER, latent): a generator whose
    BatchNorm uses the statistics of the batch then sees the same ones along the strip, and ones
    like those of its training.
    """
    steps = noise.shape[1]
    made = [
        evaluation.generate(sampler, torch.cat([strip, company[steps:]]), stop)[:steps]
        for strip in noise
    ]
    return np.stack(made)


@dataclass(frozen=True)
class Walk:
    """Strips of a seed: each goes from one noise vector to another, or from one class to another.

    A strip's left end has the noise of the seed's image of the same number (`gan.generation`).
    With `to` the noise stays, and the class alone goes from `label` to it. Otherwise the class
    stays: `label`, or every class in turn.
    """

    rows: int
    steps: int  # images in a strip, up to TOGETHER
    path: PathKind = "linear"
    seed: int = 0
    label: int | None = None
    to: int | None = None

    def noise(self, variant: Variant) -> Tensor:
        """Noise (rows, steps, latent)."""
        first = self._drawn(variant, self.rows, self.label, 0)
        if self.to is None:
            second = self._drawn(variant, self.rows, self.label, 1)
        else:
            second = self._drawn(variant, self.rows, self.to, 0)
        return between(first, second, self.steps, self.path, variant.conditions)

    def pictures(self, variant: Variant, stop: Stop = lambda: None) -> NDArray[np.uint8]:
        """Images (rows, steps, H, W, C) uint8. Only for a variant that has a `sampler`.

        Raises Interrupted when `stop` says so.
        """
        assert variant.sampler is not None, "only systems with a generator make images"
        company = self._drawn(variant, TOGETHER, self.label, 2)
        return strips(variant.sampler, self.noise(variant), company, stop)

    def _drawn(self, variant: Variant, count: int, label: int | None, batch: int) -> Tensor:
        labels = Request(count, label=label).labels(variant).to(variant.device)
        draws = rng.Draws(self.seed, batch, variant.device)
        return variant.noise(labels, rng.Stream.SAMPLE, draws)
