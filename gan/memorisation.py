"""Does a generator give back its training images? What their nearest neighbours say.

Held-out images are the measure: they are as near to the training images as new images of the same
kind are. Samples that are nearer than that were not all made up. The statement has one side:
samples that are no nearer may still be copies that were shifted or mirrored.

Smooth or dull samples are near to many training images, in pixels above all, without copying one.
So the distance to the nearest is also set against the distance to those that follow, which falls
for a copy alone (Carlini et al., "Extracting training data from diffusion models", 2023; here
without a factor of one's choice, since held-out images say what is usual).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan.data.sources import ImageSource
from gan.neighbours import Nearest, Rows, nearest

_NEAREST_SHARE = 0.01  # of the held-out images, which the others are set against
_FOLLOWING = 50  # neighbours that say what is usual around an image
_CHANCE = 1e-3  # of a statement that is wrong


@dataclass(frozen=True)
class Excess:
    """How many samples lie below the lowest hundredth of the held-out images."""

    share: float  # of the samples
    expected: float  # of held-out images: one in a hundred, or what comes next above it
    chance: float  # of so many or more, were the samples like the held-out images

    @property
    def significant(self) -> bool:
        return self.chance < _CHANCE


@dataclass(frozen=True)
class Memorisation:
    """Distances to the nearest training image, as root mean squares over pixels or features."""

    median: float  # of the samples
    held_out_median: float
    nearer: Excess  # by this distance
    alike: Excess  # by this distance over the mean of those to the 49 training images that follow
    training_count: int
    held_out_count: int
    sample_count: int

    @property
    def copies(self) -> bool:
        """Whether more samples than chance allows are near to one training image alone."""
        return self.nearer.significant and self.alike.significant

    def statement(self) -> str:
        """The finding in one or two sentences."""
        told = (
            f"The median distance of {self.sample_count} samples to their nearest of "
            f"{self.training_count} training images is {self.median:.3g}, that of "
            f"{self.held_out_count} held-out images {self.held_out_median:.3g}; "
            f"{100 * self.nearer.share:.1f} % of the samples are nearer than the nearest "
            f"{100 * self.nearer.expected:.1f} % of the held-out images. "
        )
        if self.copies:
            return told + "That is a sign of training images given back."
        if self.nearer.significant:
            return told + (
                "They are near to many training images, not to one each: smooth samples are, and "
                "this is no sign of training images given back."
            )
        return told + "That is no sign of training images given back."


@dataclass(frozen=True)
class Examined:
    """The figures, and the training images that are nearest to each sample."""

    figures: Memorisation
    nearest: Nearest  # (M, up to 50)

    def suspects(self, count: int) -> NDArray[np.intp]:
        """The samples that are most like one training image, the most alike first."""
        order = _alikeness(self.nearest.distances).sort(stable=True).indices
        return order[:count].cpu().numpy()


def examine(
    training: Rows,
    held_out: Rows,
    samples: Rows,
    device: torch.device | str = "cpu",
    stop: Callable[[], object] = lambda: None,
) -> Examined:
    """Are `samples` nearer to the training images than `held_out` real images are?

    All of them (N, ...) as pixels, uint8, or all as features of a judge. In its features the
    measure is less strict: a judge that has learned the training images by heart sees held-out
    ones farther away. Some thousand samples and held-out images are enough.

    Raises ValueError for fewer than 2 training images or none of the others, Interrupted when
    `stop` says so.
    """
    counts = len(training), len(held_out), len(samples)
    if counts[0] < 2 or min(counts) < 1:
        raise ValueError(
            f"{counts[0]} training, {counts[1]} held-out images and {counts[2]} samples given; "
            "allowed: 2, 1 and 1 or more"
        )
    found, usual = (
        nearest(training, rows, _FOLLOWING, device, stop) for rows in (samples, held_out)
    )
    size = math.sqrt(math.prod(training.shape[1:]))
    medians = [float(part.distances[:, 0].median()) / size for part in (found, usual)]
    figures = Memorisation(
        median=medians[0],
        held_out_median=medians[1],
        nearer=_excess(found.distances[:, 0], usual.distances[:, 0]),
        alike=_excess(_alikeness(found.distances), _alikeness(usual.distances)),
        training_count=counts[0],
        held_out_count=counts[1],
        sample_count=counts[2],
    )
    return Examined(figures, found)


def _alikeness(distances: Tensor) -> Tensor:
    """Of distances (M, k), the first over the mean of the others; (M,), 0 for a copy."""
    return distances[:, 0] / distances[:, 1:].mean(1).clamp_min(torch.finfo(torch.float64).tiny)


def _excess(samples: Tensor, held_out: Tensor) -> Excess:
    """If samples and held-out images are alike, all orders of them are as probable. Then the k-th
    sample comes before the r-th held-out image just if k of the first k + r - 1 are samples.
    """
    from scipy.stats import hypergeom  # takes a second

    rank = math.ceil(_NEAREST_SHARE * len(held_out))
    threshold = held_out.sort().values[rank - 1]
    below = int((samples < threshold).sum())
    together = len(samples) + len(held_out)
    chance = hypergeom.sf(below - 1, together, len(samples), below + rank - 1)
    return Excess(below / len(samples), rank / (len(held_out) + 1), float(chance))


def beside_neighbours(
    samples: ImageSource, training: ImageSource, found: Nearest, rows: NDArray[np.intp], count: int
) -> NDArray[np.uint8]:
    """Some samples, each followed by its `count` nearest training images, for a contact sheet of
    1 + count columns: (len(rows) (1 + count), S, S, C) uint8, from images (N, C, S, S) uint8.
    """
    shown = []
    for row in rows:
        places = found.places[row, :count].cpu().numpy()
        shown += [samples[row : row + 1], training[places]]
    return np.concatenate(shown).transpose(0, 2, 3, 1)
