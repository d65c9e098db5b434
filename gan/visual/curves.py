"""Curves over training, as SVG."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gan.scalars import Curves
from gan.visual import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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

    return plots.as_svg(draw_on, plots.ROW_IN * rows)
