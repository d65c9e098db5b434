"""Receptive fields drawn on an image, layer by layer."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gan import batches
from gan.visual import plots
from gan.visual.receptive import Seen

_COLUMNS = 4
_DIM = 0.35  # what is left of the light where the unit does not see
_EDGE = "#d62728"


def plot(seen: Sequence[Seen], image: Tensor) -> bytes:
    """A panel for each layer as SVG: the image (C, S, S) in [-1, 1], bright where its middle unit
    sees, and a red square by arithmetic, which goes on into the padding. Raises ValueError for no
    layers.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    if not seen:
        raise ValueError("no layers to draw; allowed: one or more")
    pixels, side = batches.to_bytes(image[None])[0], image.shape[-1]
    low, high = _limits(seen, side)
    rows = math.ceil(len(seen) / _COLUMNS)
    with plots.styled():
        figure = Figure(figsize=(plots.WIDTH_IN, 2.0 * rows), layout="constrained")
        for place, one in enumerate(seen, 1):
            axes = figure.add_subplot(rows, _COLUMNS, place)
            plots.picture(axes, _dimmed(pixels, one), _title(one))
            if one.field is not None:
                start, size = one.field.start + one.unit * one.field.step - 0.5, one.field.size
                axes.add_patch(Rectangle((start, start), size, size, fill=False, edgecolor=_EDGE))
            axes.set_xlim(low, high)
            axes.set_ylim(high, low)
        return plots.svg(figure)


def _title(one: Seen) -> str:
    if one.field is not None:
        return f"{one.layer}: {one.field.size} x {one.field.size}"
    return f"{one.layer}: {len(one.rows)} x {len(one.columns)} of it"


def _limits(seen: Sequence[Seen], side: int) -> tuple[float, float]:
    """One frame for all panels, around the image and every square."""
    starts, ends = [0], [side]
    for one in seen:
        if one.field is not None:
            starts.append(one.field.start + one.unit * one.field.step)
            ends.append(starts[-1] + one.field.size)
    return min(starts) - 1.0, max(ends) + 0.0


def _dimmed(pixels: NDArray[np.uint8], one: Seen) -> NDArray[np.uint8]:
    light = np.full((*pixels.shape[:2], 1), _DIM)
    light[one.rows.start : one.rows.stop, one.columns.start : one.columns.stop] = 1
    shown: NDArray[np.uint8] = np.rint(pixels * light).astype(np.uint8)
    return shown
