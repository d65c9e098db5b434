"""What a GAN's snapshots and its critic show: a film, diversity, scores, checkerboards."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jobs.sampling.album import Album

if TYPE_CHECKING:
    from gan.samples import Samples
    from gan.visual.collapse import Diversity

_FRAMES = 30  # of the film: with more of them a page with a GIF of photographs becomes too large
_MOST = 2000  # images of each kind that are held against each other
_FEWEST = 2  # that a threshold can be found between
_DIGITS = 4  # significant ones of what goes into the record


def draw(album: Album, snapshots: "Samples", generated: "np.ndarray") -> None:
    """All of it; `generated` (N, H, W, C) are the images of the finished run. Raises Interrupted
    and what `gan.visual.film` raises for grids that cannot be read."""
    _film(album)
    _diversity(album, snapshots)
    _scores(album, generated)
    _checkerboard(album, generated)


def _film(album: Album) -> None:
    from gan.visual import film

    made = film.make(album.model.run.figures, album.notes("epochs"), album.stop, _FRAMES)
    if made is None:
        album.left_out.append("film: there are no grids")
        return
    album.outputs += [made.gif, *([made.mp4] if made.mp4 else [])]
    if made.told:
        album.left_out.append(made.told)


def _diversity(album: Album, snapshots: "Samples") -> None:
    """Diversity within classes from snapshot to snapshot, and how much the pictures still move."""
    from gan.visual import diversity, figures, readings

    album.facts["movement"] = [_short(value) for value in diversity.movement(snapshots)]
    watched = diversity.watch(snapshots, album.model.data, stop=album.stop)
    if watched is None:
        album.left_out.append("diversity: no class has two images, generated and held out")
        return
    album.keep("diversity.svg", figures.diversity_over_time(watched, album.classes))
    album.facts["diversity"] = _at_the_end(watched, album.classes) | {
        "images": snapshots.images.shape[1]
    }
    if caution := readings.collapse(watched):
        album.warn(caution)


def _at_the_end(watched: "Diversity", classes: Sequence[str]) -> dict[str, Any]:
    """The latest diversity over that of real images, and of which class it is lowest."""
    from gan.visual.collapse import ANY

    shares = watched.values[-1] / watched.real
    lowest = int(shares.argmin())
    label = watched.labels[lowest]
    return {
        "share": _short(watched.share[-1]),
        "lowest": _short(shares[lowest]),
        "lowest_class": "" if label == ANY else classes[label],
        "collapsed": len(watched.collapsed()),
        "classes": len(watched.labels),
        "unit": watched.unit,
        "step": int(watched.steps[-1]),
    }


def _scores(album: Album, generated: "np.ndarray") -> None:
    """What the critic of the finished run makes of real and generated images."""
    from gan.visual import figures, scores

    data, fakes = album.model.data, np.ascontiguousarray(generated.transpose(0, 3, 1, 2))
    if min(map(len, (data.train_images, data.test_images, fakes))) < _FEWEST:
        album.left_out.append("scores: fewer than two images of a kind")
        return
    found = scores.scores_of(album.adversarial, data, fakes, album.stop)
    kinds = found.training, found.held_out, found.generated
    if not all(np.isfinite(kind).all() for kind in kinds):
        album.left_out.append("scores: those of this critic are no finite numbers")
        return
    album.keep("scores.svg", figures.score_distributions(found))
    split = found.separation
    album.facts["critic"] = {
        "threshold": _short(split.threshold),
        "accuracy": _short(split.accuracy),
        "gap": _short(split.gap),
        "told_apart": _short(found.told_apart),
        "own_threshold": album.adversarial.loss.threshold,
        "held_out": split.real_count,
        "generated": split.fake_count,
    }


def _checkerboard(album: Album, generated: "np.ndarray") -> None:
    from gan.data.images import chosen
    from gan.visual import checkerboard

    tests = album.model.data.test_images
    real = tests[chosen(len(tests), _MOST)].transpose(0, 2, 3, 1)
    fakes = generated[:_MOST]
    found = checkerboard.measure(fakes, real)
    if not found:
        album.left_out.append("checkerboard: no stride's period divides the sides of these images")
        return
    album.tables.append(
        {
            "title": "Checkerboard energy",
            "how": "part of an image's spectral energy at the frequencies of a pattern that "
            f"repeats with this period, its mean left out; of {len(fakes)} generated and "
            f"{len(real)} held-out images. Layers of stride 2, transposed convolutions above all, "
            "leave such patterns: far more than in real images is a fault.",
            "columns": ["Period", "Generated", "Real", "White noise"],
            "units": ["px", "%", "%", "%"],
            "rows": [
                [c.period, *(_short(100 * share) for share in (c.generated, c.real, c.noise))]
                for c in found
            ],
        }
    )


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
