"""Collapse watch: how different the images of each class are from each other, over training.

A generator that has collapsed makes the same few images from all noise. Snapshots of training hold
images of the same noise after every epoch, so that their diversity can be followed, and held
against that of real images of the same class. Measured is the mean distance between two images of a
class: in pixels, or between a judge's features, which are less misled by blur and by shifts.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan import evaluation
from gan.data import ImageSet
from gan.data.images import chosen
from gan.evaluation import Interrupted
from gan.samples import Samples
from gan.variants import Variant
from gan.visual.collapse import ANY, Diversity

Stop = Callable[[], object]
_REAL = 200  # real images of a class that are compared, at most


def watch(
    samples: Samples, data: ImageSet, judge: Variant | None = None, stop: Stop = lambda: None
) -> Diversity | None:
    """The diversity of a run's snapshots against that of held-out images of the same classes.

    In pixels, or in the features of a `judge`, which must take images of this size. Classes of
    which there are fewer than two images, here or there, are left out, and those whose real images
    are all the same; None if that leaves none. Raises Interrupted when `stop` says so.
    """
    vectors = _in_features(judge, stop) if judge else in_pixels
    asked = sorted({*samples.labels.tolist()})
    known = data.test_labels if asked != [ANY] else np.full_like(data.test_labels, ANY)
    real = {}
    for label in asked:
        images = data.test_images[known == label]
        images = images[chosen(len(images), _REAL)].transpose(0, 2, 3, 1)
        of_label = samples.labels == label
        if len(images) > 1 and of_label.sum() > 1:
            real[label] = mean_distance(vectors(images)), of_label
    real = {label: (value, places) for label, (value, places) in real.items() if value > 0}
    if not real:
        return None
    values = []
    for images in samples.images:
        if stop():
            raise Interrupted
        found = vectors(images)
        values.append([mean_distance(found[places]) for _, places in real.values()])
    return Diversity(
        samples.steps,
        tuple(real),
        np.array(values),
        np.array([value for value, _ in real.values()]),
        "features" if judge else "pixels of 255",
    )


def movement(samples: Samples) -> NDArray[np.float64]:
    """How far the images of the same noise moved from each snapshot to the next, (T - 1,): the mean
    difference of a pixel, in pixels of 255."""
    pairs = zip(samples.images, samples.images[1:], strict=False)
    return np.array([np.abs(b.astype(np.int16) - a.astype(np.int16)).mean() for a, b in pairs])


def mean_distance(vectors: Tensor) -> float:
    """Mean distance between two different rows of (N, F), N at least 2, each pair once.

    In float64 and about the mean, so that nothing is lost in the squares of a matrix product.
    """
    centred = vectors.double() - vectors.double().mean(0)
    apart = torch.cdist(centred, centred, compute_mode="use_mm_for_euclid_dist")
    return float(apart.triu(1).sum()) / (len(vectors) * (len(vectors) - 1) / 2)


def in_pixels(images: NDArray[np.uint8]) -> Tensor:
    """Images (N, H, W, C) as vectors (N, F) whose distance is the root mean square difference of
    their pixels, in pixels of 255."""
    flat = torch.from_numpy(images.reshape(len(images), -1)).double()
    return flat / flat.shape[1] ** 0.5


def _in_features(judge: Variant, stop: Stop) -> Callable[[NDArray[np.uint8]], Tensor]:
    """Images (N, H, W, C) to what the judge's last layer sees of them, (N, F) on the host."""

    def features(images: NDArray[np.uint8]) -> Tensor:
        channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        with evaluation.eval_mode(*judge.networks.values()):
            return evaluation.predict(judge.features, channels_first, judge.device, stop).cpu()

    return features
