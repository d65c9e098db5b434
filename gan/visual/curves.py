"""Curves over training, as SVG."""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gan.scalars import Curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "path",  # looks the same wherever the file is opened
    "svg.hashsalt": "ganymede",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}
_WIDTH_IN, _ROW_IN = 7.2, 2.4


def as_svg(draw_on: Callable[["Figure"], None], height_in: float = _ROW_IN) -> bytes:
    """What `draw_on` draws, as SVG in the style of all plots; the same bytes every time."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
        draw_on(figure)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def draw(curves: Curves, panels: Mapping[str, Sequence[str]]) -> bytes:
    """One panel for each title, with the curves of its tags; those not logged are left out."""
    shown = {title: [t for t in tags if t in curves] for title, tags in panels.items()}
    shown = {title: tags for title, tags in shown.items() if tags}
    rows = max(1, math.ceil(len(shown) / 2))

    def draw_on(figure: "Figure") -> None:
        for place, (title, tags) in enumerate(shown.items(), 1):
            axes = figure.add_subplot(rows, 2, place)
            for tag in tags:
                steps, values = curves[tag]
                axes.plot(steps, values, label=tag.replace("_", " "), linewidth=1.3)
            axes.set_title(title, fontsize=10, loc="left")
            axes.set_xlabel("training step")
            axes.legend(frameon=False, fontsize=8)
        if not shown:
            figure.text(0.5, 0.5, "nothing has been logged yet", ha="center", va="center")

    return as_svg(draw_on, _ROW_IN * rows)
