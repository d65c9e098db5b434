"""Whether a GAN gives back its training images, in pixels and in what the judge sees of them."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan.data.images import chosen
from jobs.measuring.sampled import Sampled
from jobs.stage import Result

if TYPE_CHECKING:
    from gan.memorisation import Examined
    from gan.neighbours import Rows

_MOST = 2000  # samples and held-out images that are compared with all training images
_SUSPECTS, _NEIGHBOURS = 8, 5  # rows and further columns of a picture
_ADVICE = (
    "Look at the pictures of the nearest training images; more training images, less training or "
    "a smaller network help. Do not publish samples of private pictures."
)


def look(sampled: Sampled) -> Result:
    """Figures, statements, and pictures of the samples that are most like one training image.

    Raises Interrupted.
    """
    from gan import memorisation

    judge, data, stop = sampled.judge, sampled.judge.model.data, sampled.judge.stop
    fakes = sampled.images[0][:_MOST]
    held = chosen(len(data.test_images), _MOST)
    real, out, made = judge.training, judge.held_out.rows(held), sampled.seen.rows(slice(_MOST))
    device = judge.model.device
    ways: dict[str, tuple[Rows, Rows, Rows]] = {
        "pixels": (data.train_images, data.test_images[held], fakes),
        "features": (real.features, out.features, made.features),
    }
    outputs, copies = [], []
    facts: dict[str, Any] = {}
    for way, (training, held_out, samples) in ways.items():
        found = memorisation.examine(training, held_out, samples, device, stop)
        figures = found.figures
        facts[way] = asdict(figures) | {"statement": figures.statement(), "copies": figures.copies}
        copies += [f"In {way}: {figures.statement()}"] if figures.copies else []
        outputs.append(_draw(sampled, way, found))
    seen = {"name": "training images given back", "seen": " ".join(copies), "advice": _ADVICE}
    known: dict[str, Any] = {"memorisation": facts}
    return Result(outputs, known | ({"warnings": [seen]} if copies else {}))


def _draw(sampled: Sampled, way: str, found: "Examined") -> Path:
    """Each of the suspects, followed by its nearest training images."""
    from gan import memorisation
    from gan.visual import grids, origin

    rows = found.suspects(_SUSPECTS)
    training = sampled.judge.model.data.train_images
    shown = memorisation.beside_neighbours(
        sampled.images[0], training, found.nearest, rows, _NEIGHBOURS
    )
    path = sampled.picture(f"nearest-{way}.png")
    columns = len(shown) // len(rows)
    grids.save(path, shown, columns, sampled.notes(origin.MIXED))
    return path
