"""How sure a judge is of each image, and how many classes it sees in all of them."""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from gan import rng
from gan.config import FEWEST_COMPARED
from gan.metrics.distance import Given

_PARTS = 10  # Salimans et al.
_PART = 100  # images in a part: with fewer the score is well below that of many images
_LEAST = -700.0  # logarithm of a probability that float64 still tells from 0, which gives NaN


@dataclass(frozen=True)
class Score:
    """From 1 (nothing is told of any image, or all are of one class) to the number of classes."""

    mean: float  # over the parts
    spread: float  # standard deviation over the parts, n - 1 in its denominator
    parts: int
    count: int  # images, in all parts together


def class_score(logits: Tensor, seed: int = 0) -> Score:
    """The Inception score, on any judge's class logits (N, K): exp(mean KL(p(y|x) || p(y))).

    Salimans et al., "Improved techniques for training GANs" (2016), section 4. On ten parts of the
    images, or on fewer of a hundred each, but two at least; `seed` says which image is in which.
    It grows with the size of a part. Only on the logits of the Inception network is it that score.
    By torchmetrics, in float64.

    Raises ValueError for fewer than 4 images.
    """
    from torchmetrics.image.inception import InceptionScore

    if len(logits) < FEWEST_COMPARED:
        raise ValueError(f"{len(logits)} images given; allowed: {FEWEST_COMPARED} or more")
    parts = max(2, min(_PARTS, len(logits) // _PART))
    with warnings.catch_warnings():  # it warns of its memory use, which is small here
        warnings.simplefilter("ignore", UserWarning)
        metric = InceptionScore(feature=Given(logits.shape[1]), splits=parts)
    metric.update(logits.cpu().double().log_softmax(1).clamp_min(_LEAST))
    with torch.random.fork_rng(devices=[]):
        rng.seed_torch(seed, rng.Stream.EVALUATE, 1)
        mean, spread = metric.compute()
    return Score(float(mean), float(spread), parts, len(logits))
