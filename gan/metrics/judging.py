"""What a judge sees of images: features, and how it would name them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan import batches, evaluation
from gan.data.images import chosen
from gan.data.sources import ImageSource
from gan.variants import Variant

# Of images (B, C, S, S) uint8: features (B, F) and class logits (B, K), float32, without a graph.
Look = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Judged:
    """A set of images as a judge sees it."""

    features: Tensor  # (N, F) float32
    logits: Tensor  # (N, K) float32
    labels: Tensor  # (N,) int64 on the host: the true class, or the one asked for; -1 for none

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, which: slice | NDArray[Any]) -> "Judged":
        """Some of the images."""
        rows = which if isinstance(which, slice) else torch.from_numpy(which)
        return Judged(self.features[rows], self.logits[rows], self.labels[rows])

    def like(self, labels: Tensor) -> "Judged":
        """As many images as `labels` (M,) has entries, of each class as many as there; -1 is any.

        If a class has not so many, others stand in; M is up to N. The same ones every time.
        """
        taken = [np.zeros(0, dtype=np.int64)]
        for label, wanted in zip(*labels.unique(return_counts=True), strict=True):
            rows = (self.labels == label).nonzero().flatten().numpy()
            taken.append(rows[chosen(len(rows), int(wanted))])
        found = np.concatenate(taken)
        left = np.setdiff1d(np.arange(len(self)), found)
        more = left[chosen(len(left), len(labels) - len(found))]
        return self.rows(np.sort(np.concatenate([found, more])))

    def of_class(self, label: int) -> "Judged":
        """The images of one class."""
        return self.rows((self.labels == label).nonzero().flatten().numpy())


def look_of(variant: Variant) -> Look:
    """The eyes of a trained system that names classes."""

    def look(images: Tensor) -> tuple[Tensor, Tensor]:
        with evaluation.eval_mode(*variant.networks.values()):
            features, logits = variant.see(batches.to_unit(images))
        return features.float(), logits.float()

    return look


def judged(
    look: Look,
    images: ImageSource,
    labels: NDArray[np.int64] | None,
    device: torch.device | str,
    stop: Callable[[], object] = lambda: None,
    together: int | None = None,
) -> Judged:
    """Images (N, C, S, S) uint8 as `look` sees them, which works on `device`; N is 1 or more.

    So many `together`, 256 unless told otherwise: between them it is asked whether to stop. Raises
    Interrupted when `stop` says so.
    """
    seen, size = [], together or evaluation.BATCH
    for start in range(0, len(images), size):
        if stop():
            raise evaluation.Interrupted
        batch = torch.from_numpy(np.ascontiguousarray(images[start : start + size]))
        seen.append(look(batch.to(device)))
    features, logits = map(torch.cat, zip(*seen, strict=True))
    known = np.full(len(images), -1) if labels is None else labels
    return Judged(features, logits, torch.from_numpy(known))
