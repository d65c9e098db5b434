"""Plots as SVG: one style for all, and the same bytes for the same figures."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: dict[Any, Any] = {
    "svg.fonttype": "path",  # looks the same wherever the file is opened
    "svg.hashsalt": "ganymede",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}
WIDTH_IN, ROW_IN = 7.2, 2.4


@contextmanager
def styled() -> Iterator[None]:
    """Within it, figures are made and written in the style of all."""
    import matplotlib

    with matplotlib.rc_context(STYLE):
        yield


def svg(figure: "Figure") -> bytes:
    """A figure as a file, without time and program in it; to be called while `styled`."""
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def as_svg(draw_on: Callable[["Figure"], None], height_in: float = ROW_IN) -> bytes:
    """What `draw_on` draws on a figure, as a file."""
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        draw_on(figure)
        return svg(figure)


def picture(axes: "Axes", image: NDArray[np.uint8], title: str = "") -> None:
    """An image (H, W, 1 or 3) without ticks; a pixel is a square around its place."""
    shown = image[..., 0] if image.shape[-1] == 1 else image
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(title, fontsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)
