"""All figures of a set of generated images, and beside each the floor: real against real.

The reference is the training images. Generated images are set against it, and so are as many real
images that were held out: no generator has to do better than these. (It may: a judge of one's own
has learned the training images by heart, and sees more of them in images made after them.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gan.config import FEWEST_COMPARED
from gan.data.images import chosen
from gan.metrics.distance import Distances, distances
from gan.metrics.judging import Judged
from gan.metrics.overlap import Support, support
from gan.metrics.score import Score, class_score

Stop = Callable[[], object]


@dataclass(frozen=True)
class Comparison:
    """A set of images against the reference."""

    distances: Distances
    support: Support
    score: Score | None  # of the set alone; None within a class, where there is nothing to score


@dataclass(frozen=True)
class Beside:
    """Generated images, and as many held-out real ones, both against the reference."""

    generated: Comparison
    floor: Comparison


def _never() -> None:
    return None


def compare(reference: Judged, others: Judged, seed: int = 0, stop: Stop = _never) -> Comparison:
    """Any images against the reference.

    The distances take all of the reference, which steadies them. Precision and its like need sets
    of one size: of the larger set some are taken. `seed` is for the parts that kernel distance and
    score work on. Raises ValueError for fewer than 4 images, Interrupted when `stop` says so.
    """
    count = min(len(reference), len(others))
    alike = [part.rows(chosen(len(part), count)) for part in (reference, others)]
    return Comparison(
        distances=distances(reference.features, others.features, seed),
        support=support(alike[0].features, alike[1].features, stop),
        score=class_score(others.logits, seed),
    )


def beside_floor(
    reference: Judged, held_out: Judged, generated: Judged, seed: int = 0, stop: Stop = _never
) -> Beside:
    """The figures and their floor, on sets of one size: the first of the generated images, and as
    many held-out ones of the same classes, since the shares of the classes move every distance.
    Raises like `compare`.
    """
    count = min(len(held_out), len(generated))
    made = generated.rows(slice(count))
    return Beside(
        generated=compare(reference, made, seed, stop),
        floor=compare(reference, held_out.like(made.labels), seed, stop),
    )


def by_class(
    reference: Judged,
    held_out: Judged,
    generated: Judged,
    classes: Sequence[str],
    seed: int = 0,
    stop: Stop = _never,
) -> dict[str, Beside]:
    """The same within each class, by its name.

    A class of which one of the sets has fewer than 4 images is left out. Where a class has fewer
    images than the judge has features, its Frechet distance is mostly that lack; its floor has it
    too. Raises Interrupted when `stop` says so.
    """
    found = {}
    for label, name in enumerate(classes):
        first, second, third = (part.of_class(label) for part in (reference, held_out, generated))
        if min(len(first), len(second), len(third)) >= FEWEST_COMPARED:
            pair = beside_floor(first, second, third, seed, stop)
            found[name] = Beside(*(replace(c, score=None) for c in (pair.generated, pair.floor)))
    return found
