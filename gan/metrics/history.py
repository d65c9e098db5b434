"""How the figures of a run's images changed while it trained."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gan.metrics.comparison import Comparison, compare
from gan.metrics.judging import Judged
from gan.samples import Samples
from gan.scalars import Curves

_REAL = "_of_real_images"  # ends the name of a floor's curve
_DRAWN = {
    "Frechet distance": ["frechet"],
    "Kernel distance": ["kernel"],
    "Precision and recall": ["precision", "recall"],
    "Class score": ["class_score"],
}
# For `gan.visual.curves.draw`: the title of each panel and its curves.
PANELS: Mapping[str, Sequence[str]] = {
    title: [*names, *(f"{name}{_REAL}" for name in names)] for title, names in _DRAWN.items()
}


@dataclass(frozen=True)
class History:
    """The figures of one snapshot after the other, all of as many images, and their floor."""

    steps: tuple[int, ...]  # training steps, ascending
    figures: tuple[Comparison, ...]
    floor: Comparison  # of as many held-out real images
    count: int  # images in each

    def curves(self) -> Curves:
        """For drawing, see PANELS; the floors are level lines."""
        steps = np.array(self.steps, dtype=np.int64)
        rows = [_plain(figures) for figures in self.figures]
        found: Curves = {name: (steps, np.array([row[name] for row in rows])) for name in rows[0]}
        for name, value in _plain(self.floor).items():
            found[f"{name}{_REAL}"] = steps, np.full(len(steps), value)
        return found


def _plain(figures: Comparison) -> dict[str, float]:
    assert figures.score is not None, "snapshots hold all classes together"
    return {
        "frechet": figures.distances.frechet,
        "kernel": figures.distances.kernel,
        "precision": figures.support.precision,
        "recall": figures.support.recall,
        "class_score": figures.score.mean,
    }


def snapshots(
    samples: Samples, most: int = 40
) -> Iterable[tuple[int, NDArray[np.uint8], NDArray[np.int64]]]:
    """Step, images (N, C, S, S) and labels (N,) of a samples file: of at most so many of its
    snapshots, at equal distances, the first and the last among them.
    """
    last = len(samples.steps) - 1
    for place in np.unique(np.linspace(0, last, min(most, last + 1)).round().astype(int)):
        images = np.ascontiguousarray(samples.images[place].transpose(0, 3, 1, 2))
        yield int(samples.steps[place]), images, samples.labels


def over_training(
    seen: Iterable[tuple[int, Judged]],
    reference: Judged,
    held_out: Judged,
    stop: Callable[[], object] = lambda: None,
) -> History:
    """Figures of snapshots (step and what the judge saw of its images) against the reference.

    A snapshot is a hundred images as a rule: its Frechet distance is far above that of many, and
    good for nothing but the curve and the floor beside it. The kernel distance is without bias.
    All are cut to the size of the smallest, or of the held-out images if these are fewer; the floor
    has the classes of the last snapshot.

    Raises ValueError if there is none, or fewer than 4 images, Interrupted when `stop` says so.
    """
    known = sorted(seen, key=lambda item: item[0])
    if not known:
        raise ValueError("no snapshots given; allowed: one or more")
    count = min(len(held_out), *(len(judged) for _, judged in known))
    cut = [judged.rows(slice(count)) for _, judged in known]
    return History(
        steps=tuple(step for step, _ in known),
        figures=tuple(compare(reference, judged, stop=stop) for judged in cut),
        floor=compare(reference, held_out.like(cut[-1].labels), stop=stop),
        count=count,
    )
