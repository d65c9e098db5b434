"""Losses, each a few lines, each with its source."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gan.slopes import SlopeOfImages


@dataclass(frozen=True)
class SourceLoss:
    """The loss of real against generated, for both players; scores are raw, (B,), any sign.

    `threshold` is the score above which an image counts as taken for real; None where scores have
    no zero of their own.
    """

    critic: Callable[[Tensor, Tensor], Tensor]  # real and fake scores to a scalar
    generator: Callable[[Tensor], Tensor]  # fake scores to a scalar
    threshold: float | None


def bce_critic(real: Tensor, fake: Tensor) -> Tensor:
    """-E[log s(D(x))] - E[log(1 - s(D(G(z))))], s the sigmoid, on logits.

    Goodfellow et al., "Generative adversarial nets" (2014), equation 1. log s(x) = -softplus(-x)
    never overflows, where the logarithm of a sigmoid does.
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def non_saturating_generator(fake: Tensor) -> Tensor:
    """-E[log s(D(G(z)))]: large gradients while the critic sees through the fakes (ibid., 3)."""
    return F.softplus(-fake).mean()


def saturating_generator(fake: Tensor) -> Tensor:
    """E[log(1 - s(D(G(z))))]: the minimax game itself; vanishes where the critic wins (ibid.)."""
    return -F.softplus(fake).mean()


def least_squares_critic(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 E[(D(x) - 1)^2] + 1/2 E[D(G(z))^2].

    Mao et al., "Least squares generative adversarial networks" (2017), equation 9.
    """
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


def least_squares_generator(fake: Tensor) -> Tensor:
    """1/2 E[(D(G(z)) - 1)^2] (ibid.)."""
    return 0.5 * (fake - 1).square().mean()


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """E[D(G(z))] - E[D(x)].

    Arjovsky et al., "Wasserstein GAN" (2017), equation 3; the slope of D must be bounded elsewhere.
    """
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """-E[D(G(z))] (ibid.)."""
    return -fake.mean()


SOURCE_LOSSES = {
    "non-saturating": SourceLoss(bce_critic, non_saturating_generator, 0.0),
    "saturating": SourceLoss(bce_critic, saturating_generator, 0.0),
    "least-squares": SourceLoss(least_squares_critic, least_squares_generator, 0.5),
    "wasserstein": SourceLoss(wasserstein_critic, wasserstein_generator, None),
}


def told_apart(real: Tensor, fake: Tensor, threshold: float | None) -> Tensor:
    """Share of real and generated images that the scores (B,) tell right; a scalar.

    Without a threshold, the middle between the two mean scores takes its place.
    """
    middle = (real.mean() + fake.mean()) / 2 if threshold is None else threshold
    return ((real > middle).float().mean() + (fake <= middle).float().mean()) / 2


def gradient_penalty(
    score: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, alpha: Tensor
) -> Tensor:
    """E(|grad_x score(x)|_2 - 1)^2 at x = alpha real + (1 - alpha) fake; a scalar.

    Gulrajani et al., "Improved training of Wasserstein GANs" (2017), equation 3, without lambda.
    `alpha` is (B, 1, 1, 1) in [0, 1), one number per sample; `score` maps images to (B,) and must
    treat every image by itself. Computed in float32.
    """
    mixed = (alpha * real + (1 - alpha) * fake).detach().requires_grad_()
    with SlopeOfImages():
        scores = score(mixed)
    (slope,) = torch.autograd.grad(scores.sum(), mixed, create_graph=True)
    # vector_norm has a gradient of 0 at 0, where sqrt(sum of squares) has NaN.
    norms = torch.linalg.vector_norm(slope.flatten(1).float(), dim=1)  # (B,)
    return (norms - 1).square().mean()


def nt_xent(projections: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of finding each view's partner among all others by cosine similarity; a scalar.

    Chen et al., "A simple framework for contrastive learning of visual representations" (2020),
    equation 1, its pairs ordered as in S4: `projections` (2N, D) has the two views of image k in
    rows k and k + N. If all are alike the loss is ln(2N - 1). Computed in float32; a vector of
    zeros counts as similar to none.
    """
    units = F.normalize(projections.float(), dim=1, eps=1e-6)  # (2N, D)
    count = len(units)
    itself = torch.eye(count, dtype=torch.bool, device=units.device)
    scores = (units @ units.T / temperature).masked_fill(itself, -torch.inf)
    partners = torch.arange(count, device=units.device).roll(count // 2)
    return F.cross_entropy(scores, partners)
