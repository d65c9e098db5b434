"""How far two sets of features lie apart: the Frechet and the kernel distance.

The arithmetic is torchmetrics', which takes features directly where it expects a network.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan import rng
from gan.config import FEWEST_COMPARED

_SUBSETS = 100


class Given(nn.Identity):
    """Stands where torchmetrics expects the network: what that would say is given to it."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.num_features = count


@dataclass(frozen=True)
class Distances:
    """How far two sets of features lie apart; 0 for equal distributions."""

    frechet: float  # squared Frechet distance of the two fitted Gaussians
    kernel: float  # mean of the unbiased squared MMD over subsets, cubic polynomial kernel
    kernel_spread: float  # its standard deviation over the subsets
    first_count: int
    second_count: int


def distances(first: Tensor, second: Tensor, seed: int = 0) -> Distances:
    """Compare features (N, F) with (M, F), float32.

    Frechet: Heusel et al., "GANs trained by a two time-scale update rule" (2017), equation 6.
    Kernel: Binkowski et al., "Demystifying MMD GANs" (2018), section 4. `seed` picks its subsets.
    Raises ValueError for fewer than 4 images on either side.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    fewest = min(len(first), len(second))
    if fewest < FEWEST_COMPARED:
        raise ValueError(
            f"{len(first)} and {len(second)} images given; allowed: {FEWEST_COMPARED} or more each"
        )
    features = Given(first.shape[1])
    frechet = FrechetInceptionDistance(feature=features)
    with warnings.catch_warnings():  # it warns of its memory use, which is small here
        warnings.simplefilter("ignore", UserWarning)
        kernel = KernelInceptionDistance(
            feature=features, subsets=_SUBSETS, subset_size=min(1000, fewest // 2)
        )
    for metric in (frechet, kernel):
        metric.update(first.cpu().float(), real=True)
        metric.update(second.cpu().float(), real=False)
    with torch.random.fork_rng(devices=[]):
        rng.seed_torch(seed, rng.Stream.EVALUATE)
        mean, spread = kernel.compute()
    return Distances(float(frechet.compute()), float(mean), float(spread), len(first), len(second))
