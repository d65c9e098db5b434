"""S0's single step as its document has it, by itself: what attacks are held against."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gan.visual.perturbation import DEFAULT_EPSILON, PIXEL


@dataclass(frozen=True)
class Perturbation:
    """Real images, what the gradient says, and what became of them."""

    gradients: Tensor  # (B, C, S, S), of the loss towards the target class
    altered: Tensor  # (B, C, S, S) in [-1, 1]
    accuracy_before: float  # share classified as the true label
    accuracy_after: float
    hit_rate: float  # share of altered images classified as the target
    control_accuracy: float  # after a step of the same size in random directions


def perturb(
    classify: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    control: Tensor,
    epsilon: float = DEFAULT_EPSILON,
) -> Perturbation:
    """One signed step of `epsilon` pixels towards the class after the true one.

    `images` (B, C, S, S) in [-1, 1], `labels` (B,), `control` uniform numbers in [0, 1) of the
    images' shape, whose signs about 0.5 are the random directions. Goodfellow et al., "Explaining
    and harnessing adversarial examples" (2015), with a target: (label + 1) mod classes.
    """
    found = _perturb(classify, images, labels, control, epsilon)
    gradients, altered, before, after, hit, by_chance = found
    shares = (float(hits.float().mean()) for hits in (before, after, hit, by_chance))
    return Perturbation(gradients, altered, *shares)


def _perturb(
    classify: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    control: Tensor,
    epsilon: float,
) -> tuple[Tensor, ...]:
    """Gradients and altered images; then (B,) each whether the true label is seen before, whether
    it is after, whether the target is, and whether the true label is after the random step.
    """
    attacked = images.detach().requires_grad_()
    before = classify(attacked)
    target = (labels + 1) % before.shape[1]
    loss = F.cross_entropy(before, target, reduction="sum")
    (gradients,) = torch.autograd.grad(loss, attacked)
    altered = (images - epsilon * PIXEL * gradients.sign()).clamp(-1, 1)
    random = (images - epsilon * PIXEL * (control - 0.5).sign()).clamp(-1, 1)
    with torch.no_grad():
        after, by_chance = classify(altered).argmax(1), classify(random).argmax(1)
    seen = before.argmax(1)
    return gradients, altered, seen == labels, after == labels, after == target, by_chance == labels
