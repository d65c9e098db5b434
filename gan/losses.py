"""Losses, each a few lines, each with its source."""

from collections.abc import Callable

import torch
from torch import Tensor


def gradient_penalty(
    score: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, alpha: Tensor
) -> Tensor:
    """E(|grad_x score(x)|_2 - 1)^2 at x = alpha real + (1 - alpha) fake; a scalar.

    Gulrajani et al., "Improved training of Wasserstein GANs" (2017), equation 3, without lambda.
    `alpha` is (B, 1, 1, 1) in [0, 1), one number per sample; `score` maps images to (B,) and must
    treat every image by itself. Computed in float32.
    """
    mixed = (alpha * real + (1 - alpha) * fake).detach().requires_grad_()
    (slope,) = torch.autograd.grad(score(mixed).sum(), mixed, create_graph=True)
    # vector_norm has a gradient of 0 at 0, where sqrt(sum of squares) has NaN.
    norms = torch.linalg.vector_norm(slope.flatten(1).float(), dim=1)  # (B,)
    return (norms - 1).square().mean()
