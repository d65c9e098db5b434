"""Curves over training, as SVG."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gan.scalars import Curves
from gan.visual import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panels = Mapping[str, Sequence[str]]  # titles, each with the tags of its curves
_LEGEND_IN = 0.22
_FEW = 10  # runs that can be told apart by the usual colours
_DASHES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Line:
    label: str
    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    color: Any = None  # the next one, if there is none
    dash: str = "-"


def shown(curves: Curves, panels: Panels) -> dict[str, list[Line]]:
    """The lines of each panel that has any."""
    found = {
        title: [Line(tag.replace("_", " "), *curves[tag]) for tag in tags if tag in curves]
        for title, tags in panels.items()
    }
    return {title: lines for title, lines in found.items() if lines}


def plot(axes: "Axes", title: str, lines: Sequence[Line], legend: bool = True) -> None:
    """One panel."""
    for line in lines:
        axes.plot(
            line.steps, line.values, line.dash, label=line.label, color=line.color, linewidth=1.3
        )
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel("training step")
    if legend:
        axes.legend(frameon=False, fontsize=8)


def draw(curves: Curves, panels: Panels) -> bytes:
    """One panel for each title, with the curves of its tags; those not logged are left out."""
    return _svg(shown(curves, panels), {})


def draw_together(runs: Mapping[str, Curves], panels: Panels) -> bytes:
    """As `draw`, with the curves of several runs in the same panels: a colour for each run, and
    a dash for each tag where a panel has several.
    """
    colors = dict(zip(runs, _colors(len(runs)), strict=True))
    found = {title: list(_together(runs, tags, colors)) for title, tags in panels.items()}
    return _svg({title: lines for title, lines in found.items() if lines}, colors)


def _together(
    runs: Mapping[str, Curves], tags: Sequence[str], colors: Mapping[str, Any]
) -> Iterator[Line]:
    """Lines of one panel, and, if it has several tags, one without points for each dash."""
    known = [tag for tag in tags if any(tag in curves for curves in runs.values())]
    for tag, dash in zip(known, _DASHES, strict=False):
        if len(known) > 1:
            empty = np.array([], np.int64), np.array([], np.float64)
            yield Line(tag.replace("_", " "), *empty, "0.3", dash)
        for name, curves in runs.items():
            if tag in curves:
                yield Line("_", *curves[tag], colors[name], dash)


def _colors(count: int) -> list[Any]:
    import matplotlib

    if count <= _FEW:
        return [f"C{number}" for number in range(count)]
    return [matplotlib.colormaps["turbo"](number / (count - 1)) for number in range(count)]


def _svg(found: Mapping[str, Sequence[Line]], colors: Mapping[str, Any]) -> bytes:
    """Panels in two columns, below a legend of the runs' `colors` if there are any."""
    from matplotlib.lines import Line2D

    rows, columns = max(1, math.ceil(len(found) / 2)), 2

    def draw_on(figure: "Figure") -> None:
        for place, (title, lines) in enumerate(found.items(), 1):
            labelled = any(not line.label.startswith("_") for line in lines)
            plot(figure.add_subplot(rows, columns, place), title, lines, labelled)
        if not found:
            figure.text(0.5, 0.5, "nothing has been logged yet", ha="center", va="center")
        if colors:
            handles = [Line2D([], [], color=color, label=name) for name, color in colors.items()]
            figure.legend(handles=handles, loc="outside upper left", ncols=columns, frameon=False)

    height = plots.ROW_IN * rows + _LEGEND_IN * math.ceil(len(colors) / columns)
    return plots.as_svg(draw_on, height)
