"""Pictures of the training images that an encoder puts nearest to held-out ones."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gan.data.images import chosen
from jobs.reporting import gallery
from jobs.reporting.figures import percent
from jobs.stage import Context
from jobs.trained import Trained

if TYPE_CHECKING:
    from gan.neighbours import Nearest
    from gan.variants.simclr import Represented

_ASKED = 1000  # held-out images whose neighbours are looked at, at most
_SHOWN = 8
_NEIGHBOURS = 5


def draw(
    model: Trained, represented: "Represented", title: str, context: Context
) -> tuple[Path, str]:
    """Some held-out images, each followed by its nearest training images by cosine, as a picture
    of this title; and the share of all neighbours that show the class of their image, in words.

    Raises Interrupted.
    """
    from gan import memorisation, stored
    from gan.visual import grids

    data, run = model.data, model.run
    rows = chosen(len(data.test_images), _ASKED)
    found = _nearest(represented, rows, context)
    shown = np.unique(np.linspace(0, len(rows) - 1, _SHOWN).round().astype(np.intp))
    images = memorisation.beside_neighbours(
        data.test_images[rows], data.train_images, found, shown, found.places.shape[1]
    )
    known = {"recipe": stored.provenance(run.settings())["recipe"], "seed": run.config().seed}
    path = context.run.figures / f"{run.path.name}-{title}.png"
    notes = gallery.kind_of(title).origin.notes(known)
    grids.save(path, images, 1 + found.places.shape[1], notes)
    alike = data.train_labels[found.places.cpu().numpy()] == data.test_labels[rows][:, None]
    return path, percent(float(alike.mean()))


def _nearest(represented: "Represented", rows: "np.ndarray", context: Context) -> "Nearest":
    """The nearest training images by their place among all of them."""
    import torch
    from torch.nn import functional as F

    from gan import neighbours

    # Between vectors of length 1 the order of distances is that of cosines.
    queries = represented.queries[torch.from_numpy(rows).to(represented.queries.device)]
    bank, queries = (F.normalize(part.float(), dim=1) for part in (represented.bank, queries))
    stop = context.stop.reason
    found = neighbours.nearest(bank, queries, _NEIGHBOURS, bank.device, stop)
    places = torch.from_numpy(represented.chosen).to(found.places.device)
    return replace(found, places=places[found.places])
