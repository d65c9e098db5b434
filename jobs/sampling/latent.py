"""Pictures of what a generator makes of its noise: ways between vectors, classes, truncation."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from jobs.sampling.album import Album

if TYPE_CHECKING:
    from gan.visual.interpolation import PathKind
    from gan.visual.latent import Truncated, Truncation

_STRIPS, _STEPS = 8, 10
_MOST_CLASSES = 12  # that strips and columns show
_ROWS = 6  # noise vectors, each with every class
_COUNT = 128  # images at each psi: a whole batch
_TOLD: dict[str, str] = {  # of each kind of truncation, for the captions
    "scaled": "multiplied by psi",
    "redrawn": "redrawn until none is beyond psi",
}


def draw(album: Album) -> None:
    """All pictures of it; those with classes where the generator takes any. Raises Interrupted."""
    _strips(album, "interpolation", "linear")
    _strips(album, "interpolation-spherical", "spherical")
    if album.model.variant.conditions:
        _between_classes(album)
        _class_by_noise(album)
    else:
        album.left_out.append("classes against noise: the generator is not asked for classes")
    _truncation(album)


def _strips(album: Album, title: str, path: "PathKind") -> None:
    """What lies between two noise vectors, a strip for each of several pairs."""
    from gan.visual.interpolation import Walk

    walk = Walk(_STRIPS, _STEPS, path, seed=album.seed)
    _save_strips(album, title, walk.pictures(album.model.variant, album.stop))


def _between_classes(album: Album) -> None:
    """The same noise in all strips; from each class to the next one, from the last to the first."""
    from gan.visual.interpolation import Walk

    variant, classes = album.model.variant, album.model.variant.conditions
    walks = [
        Walk(1, _STEPS, seed=album.seed, label=label, to=(label + 1) % classes)
        for label in range(min(classes, _MOST_CLASSES))
    ]
    strips = [walk.pictures(variant, album.stop) for walk in walks]
    _save_strips(album, "interpolation-classes", np.concatenate(strips))


def _save_strips(album: Album, title: str, strips: "np.ndarray") -> None:
    images = strips.reshape(-1, *strips.shape[2:])  # (rows, steps, H, W, C)
    album.sheet(title, images, _STEPS)


def _class_by_noise(album: Album) -> None:
    from gan.visual import latent

    images = latent.class_by_noise(album.adversarial, _ROWS, album.seed, album.stop)
    images = images[:, :_MOST_CLASSES]  # (rows, classes, H, W, C)
    rows, columns = images.shape[:2]
    names = [*album.classes[:columns]]
    captions = [""] * columns * (rows - 1) + names
    album.captioned("class-by-noise", images.reshape(-1, *images.shape[2:]), captions, columns)


def _truncation(album: Album) -> None:
    """Uniform noise has no tail to be redrawn: it is scaled."""
    from gan.visual import figures, latent

    variant = album.adversarial
    kind: Truncation = "scaled" if variant.model.noise == "uniform" else "redrawn"
    study = latent.Study(kind, count=_COUNT, seed=album.seed)
    found = study.run(variant, stop=album.stop)
    album.facts["truncation"] = _TOLD[kind]
    shown = np.concatenate([one.shown for one in found])
    columns = len(found[0].shown)
    captions = [name for one in found for name in _row(one, columns)]
    album.captioned("truncation", shown, captions, columns)
    album.keep("truncation-curve.svg", figures.truncation(found))
    album.facts["truncated"] = [
        {key: value for key, value in asdict(one).items() if isinstance(value, float)}
        for one in found
    ]


def _row(one: "Truncated", columns: int) -> list[str]:
    """Captions of a row: psi below its first image."""
    return [f"psi {one.psi:g}"] + [""] * (columns - 1)
