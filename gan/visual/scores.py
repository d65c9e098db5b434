"""What a critic's scores say of real and generated images, and how well they separate them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan import batches, evaluation, losses
from gan.data import ImageSet
from gan.data.images import chosen
from gan.evaluation import TOGETHER, Interrupted
from gan.variants.adversarial import Adversarial

Stop = Callable[[], object]
_MOST = 2000  # images of each kind


@dataclass(frozen=True)
class Separation:
    """The threshold that separates the scores of real images from those of generated ones best."""

    threshold: float  # real above, generated below
    accuracy: float  # mean of the shares of both that a threshold tells right
    gap: float  # mean score of the real images less that of the generated ones
    real_count: int
    fake_count: int


@dataclass(frozen=True)
class Scores:
    """Scores of images that the critic was trained on, of held-out ones and of generated ones."""

    training: NDArray[np.float64]
    held_out: NDArray[np.float64]
    generated: NDArray[np.float64]
    separation: Separation  # of the held-out from the generated ones
    told_apart: float  # the same accuracy at the threshold that is the loss's own


def scores_of(
    variant: Adversarial,
    data: ImageSet,
    generated: NDArray[np.uint8],
    stop: Stop = lambda: None,
    most: int = _MOST,
) -> Scores:
    """Scores of up to `most` images of each kind; `generated` is (N, C, S, S) uint8.

    In eval mode: without dropout, and BatchNorm on its running statistics. Raises Interrupted when
    `stop` says so.
    """
    kinds = (
        data.train_images[chosen(len(data.train_images), most)],
        data.test_images[chosen(len(data.test_images), most)],
        generated[:most],
    )
    training, held_out, fake = (critic_scores(variant, images, stop) for images in kinds)
    own = losses.told_apart(held_out, fake, variant.loss.threshold)
    a, b, c = (scores.double().numpy() for scores in (training, held_out, fake))
    return Scores(a, b, c, separate(b, c), float(own))


def critic_scores(
    variant: Adversarial, images: NDArray[np.uint8], stop: Stop = lambda: None
) -> Tensor:
    """The critic's scores (N,) float32, on the host, of images (N, C, S, S).

    Always in batches of one size, as far as there are so many images, since a critic that compares
    the images of a batch scores them by their company; the last batch is filled up with images
    before it.
    """
    scores = []
    with evaluation.eval_mode(*variant.networks.values()):
        for start in range(0, len(images), TOGETHER):
            if stop():
                raise Interrupted
            first = max(0, min(start, len(images) - TOGETHER))
            batch = torch.from_numpy(images[first : first + TOGETHER]).to(variant.device)
            found: Tensor = variant.critic(batches.to_unit(batch))[0]
            scores.append(found[start - first :].float().cpu())
    return torch.cat(scores)


def separate(real: NDArray[np.float64], fake: NDArray[np.float64]) -> Separation:
    """The best threshold for scores (N,) against (M,), two or more each, and its accuracy.

    The threshold is that of all scores. The accuracy is of two others, each found on every second
    score and tried on the rest: a threshold separates those best that it was chosen by, and scores
    that say nothing would come out above one half.
    """
    halves = [(real[i::2], fake[i::2]) for i in (0, 1)]
    found = [_best(*half) for half in halves]
    accuracy = np.mean([_told(*halves[1 - i], found[i]) for i in (0, 1)])
    gap = float(real.mean() - fake.mean())
    return Separation(_best(real, fake), float(accuracy), gap, len(real), len(fake))


def _best(real: NDArray[np.float64], fake: NDArray[np.float64]) -> float:
    """Of all places between two neighbouring scores the one that tells most right.

    Of equally good ones, the middle one.
    """
    known = np.unique(np.concatenate([real, fake]))
    places = (known[1:] + known[:-1]) / 2 if len(known) > 1 else known
    right = 1 - np.searchsorted(np.sort(real), places, "right") / len(real)
    right += np.searchsorted(np.sort(fake), places, "right") / len(fake)
    best = np.flatnonzero(np.isclose(right, right.max(), rtol=0, atol=1e-12))
    return float(places[best[len(best) // 2]])


def _told(real: NDArray[np.float64], fake: NDArray[np.float64], threshold: float) -> float:
    return float(((real > threshold).mean() + (fake <= threshold).mean()) / 2)
