"""What is called a collapse, of diversity within classes as `diversity` measures it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ANY = -1  # the label of images that were asked for without a class
# A class is said to have collapsed when its latest diversity is below this share of that of real
# images. Of 27 trainings on digits and points, good ones ended at 0.76 to 1.06 of it, in pixels,
# and the three that had failed at 0.04 to 0.21.
BELOW_REAL = 0.5
# ... or below this share of its own best, which counts up to the real one's: images of noise are
# more diverse than real ones, and losing that is no collapse.
BELOW_BEST = 0.5
# A diversity that still rises by this factor over as many snapshots is of a generator that learns.
RISING, RISING_OVER = 1.1, 3


@dataclass(frozen=True)
class Collapse:
    """A class whose images have become alike."""

    label: int  # ANY where there are no classes
    since: int  # training step of the first snapshot from which on it has been so
    step: int  # of the latest
    value: float  # diversity at that step
    best: float  # highest, up to that of real images
    best_step: int
    real: float


@dataclass(frozen=True)
class Diversity:
    """Mean distance between two images of a class, at every snapshot and of real images."""

    steps: NDArray[np.int64]  # (T,)
    labels: tuple[int, ...]  # of the K classes; (ANY,) where there are none
    values: NDArray[np.float64]  # (T, K)
    real: NDArray[np.float64]  # (K,)
    unit: str  # "pixels of 255" or "features"

    @property
    def share(self) -> NDArray[np.float64]:
        """Diversity as a share of that of real images, mean over the classes, (T,)."""
        shares: NDArray[np.float64] = (self.values / self.real).mean(1)
        return shares

    def collapsed(self) -> list[Collapse]:
        """The classes that are collapsed at the latest snapshot."""
        found = (self._collapse(place) for place in range(len(self.labels)))
        return [collapse for collapse in found if collapse]

    def _collapse(self, place: int) -> Collapse | None:
        values, real = self.values[:, place], float(self.real[place])
        capped = np.minimum(values, real)
        best = int(capped.argmax())
        low = values < BELOW_REAL * real
        low[best:] |= values[best:] < BELOW_BEST * capped[best]
        earlier = values[max(len(values) - 1 - RISING_OVER, 0)]
        rising = len(values) == 1 or values[-1] > RISING * earlier
        if not low[-1] or rising:
            return None
        since = 0 if low.all() else len(low) - int(low[::-1].argmin())
        first, last, peak = (int(self.steps[at]) for at in (since, -1, best))
        highest = float(capped[best])
        return Collapse(self.labels[place], first, last, float(values[-1]), highest, peak, real)
