"""What a generator makes of the way from one noise vector to another."""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gan import evaluation

PathKind = Literal["linear", "spherical"]
_PARALLEL = 1e-6  # sine of the angle below which a great circle has no direction


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
    cosine = ((start * end).sum(-1) / lengths).clamp(-1, 1)[..., None]  # (R, 1, 1)
    angle = torch.acos(cosine)
    sine = torch.sin(angle)
    arc = (torch.sin((1 - alphas) * angle) * start + torch.sin(alphas * angle) * end) / sine
    return torch.where(sine.abs() < _PARALLEL, torch.lerp(start, end, alphas), arc)


def strips(sampler: nn.Module, noise: Tensor, company: Tensor) -> NDArray[np.uint8]:
    """Images (R, steps, H, W, C) uint8 of noise (R, steps, latent).

    Each strip is made in one batch, filled up with `company` (TOGETHER, latent): a generator whose
    BatchNorm uses the statistics of the batch then sees the same ones along the strip, and ones
    like those of its training.
    """
    steps = noise.shape[1]
    made = [
        evaluation.generate(sampler, torch.cat([strip, company[steps:]]))[:steps] for strip in noise
    ]
    return np.stack(made)
