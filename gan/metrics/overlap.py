"""Whether two sets lie in the same places: precision and recall, density and coverage.

Written here, since torchmetrics has none of the four for images.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gan.config import FEWEST_COMPARED
from gan.evaluation import Interrupted
from gan.neighbours import rows_at_once, squared_distances

NEIGHBOURS = 3  # Kynkaanniemi et al.
DENSITY_NEIGHBOURS = 5  # Naeem et al.
_SLACK = 1 + 1e-9  # the same distance, computed with other rows, may differ in its last bits


@dataclass(frozen=True)
class Support:
    """The space that real images take up is made of balls: around each one, as far as its k-th
    nearest neighbour among the real ones; likewise for the others.
    """

    precision: float  # share of the others that lie where real images are; k is 3
    recall: float  # share of the real images that lie where the others are; k is 3
    density: float  # real balls around one of the others, over k: may exceed 1; k is 5
    coverage: float  # share of the real balls that hold one of the others; k is 5
    real_count: int
    other_count: int


def support(real: Tensor, other: Tensor, stop: Callable[[], object] = lambda: None) -> Support:
    """Compare features (N, F) of real images with (M, F) of others.

    Kynkaanniemi et al., "Improved precision and recall metric for assessing generative models"
    (2019), equations 1 and 2; Naeem et al., "Reliable fidelity and diversity metrics for generative
    models" (2020), density and coverage. Figures of other numbers of images are not comparable.

    Raises ValueError for fewer than 4 images on either side, Interrupted when `stop` says so.
    """
    if min(len(real), len(other)) < FEWEST_COMPARED:
        raise ValueError(
            f"{len(real)} and {len(other)} images given; allowed: {FEWEST_COMPARED} or more each"
        )
    real_ball, wide_ball = _radii(real, stop)
    other_ball, _ = _radii(other, stop)
    recalled, covered = torch.zeros(2, len(real), dtype=torch.bool, device=real.device)
    precise = dense = 0
    size = rows_at_once(len(real))
    for some, balls in zip(other.split(size), other_ball.split(size), strict=True):
        if stop():
            raise Interrupted
        squared = squared_distances(some, real)  # (B, N)
        inside = squared <= wide_ball
        precise += int((squared <= real_ball).any(1).sum())
        recalled |= (squared <= balls[:, None]).any(0)
        dense += int(inside.sum())
        covered |= inside.any(0)
    return Support(
        precision=precise / len(other),
        recall=float(recalled.double().mean()),
        density=dense / (min(DENSITY_NEIGHBOURS, len(real) - 1) * len(other)),
        coverage=float(covered.double().mean()),
        real_count=len(real),
        other_count=len(other),
    )


def _radii(features: Tensor, stop: Callable[[], object]) -> Tensor:
    """Squared distances to the 3rd and to the 5th of the nearest others in the set, (2, N)."""
    size, widest = rows_at_once(len(features)), min(DENSITY_NEIGHBOURS, len(features) - 1)
    radii = []
    for start in range(0, len(features), size):
        if stop():
            raise Interrupted
        squared = squared_distances(features[start : start + size], features)
        squared.diagonal(start).fill_(torch.inf)  # nothing is its own neighbour
        nearest = squared.topk(widest, dim=1, largest=False).values
        radii.append(nearest[:, [NEIGHBOURS - 1, widest - 1]])
    return torch.cat(radii).T * _SLACK
