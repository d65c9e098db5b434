"""Training curves as means over equal stretches of training.

What is logged are running means since each epoch's beginning: the longer the epoch, the more they
hide what happened last. Here they are taken apart again.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan.scalars import Curves

Series = NDArray[np.float64]

FEWEST = 12  # entries, below which there are not four in each third
_MOST = 48  # stretches: enough for a curve's shape, few enough for each to average noise away


@dataclass(frozen=True)
class Stretches:
    """Training in equal parts, with the mean of each term over each of them."""

    edges: Series  # (P + 1,) steps
    means: dict[str, Series]  # (P,) by the name of the term

    @classmethod
    def of(cls, curves: Curves, steps_per_epoch: int) -> "Stretches | None":
        """None if the curves have too few entries. Gradient norms are no means and left out."""
        terms = {
            tag.removeprefix("train/"): curve
            for tag, curve in curves.items()
            if tag.startswith("train/") and "gradient_norm" not in tag and len(curve[0]) >= FEWEST
        }
        if not terms:
            return None
        points = min(_MOST, *(len(steps) for steps, _ in terms.values()))
        last = min(int(steps[-1]) for steps, _ in terms.values())
        edges = np.linspace(0, last, points + 1)
        means = {
            name: np.diff(_sums(*curve, steps_per_epoch, edges)) / np.diff(edges)
            for name, curve in terms.items()
        }
        return cls(edges, means)

    def has(self, *names: str) -> bool:
        return self.means.keys() >= {*names}

    def __getitem__(self, name: str) -> Series:
        return self.means[name]

    @property
    def gap(self) -> Series:
        """Mean score of real images less that of generated ones."""
        return self["real_source"] - self["fake_source"]

    def thirds(self, series: Series) -> tuple[float, float, float]:
        """Means of the first, the middle and the last third."""
        first, middle, last = (float(part.mean()) for part in np.array_split(series, 3))
        return first, middle, last

    def last(self, series: Series) -> Series:
        """The last third."""
        return np.array_split(series, 3)[2]

    @property
    def when(self) -> str:
        """The steps of the last third, in words."""
        start = self.edges[-1 - len(self.last(self.edges[1:]))]
        return f"from step {start:.0f} to {self.edges[-1]:.0f}"


def _sums(steps: NDArray[np.int64], means: Series, steps_per_epoch: int, edges: Series) -> Series:
    """What the term added up to from the beginning to each edge, from its running means."""
    epochs = (steps - 1) // steps_per_epoch
    inside = means * (steps - epochs * steps_per_epoch)  # since the epoch began
    ends = np.flatnonzero(np.diff(epochs, append=epochs[-1] + 1))  # the last entry of each epoch
    whole = np.concatenate([[0.0], np.cumsum(means[ends] * steps_per_epoch)])
    before = whole[np.searchsorted(epochs[ends], epochs)]
    sums: Series = np.interp(edges, [0, *steps], [0.0, *(before + inside)])
    return sums
