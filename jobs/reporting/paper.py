"""The paper to hand in: what S0 asks for, an item each, then whatever else there is; as PDF.

S0 wants five to six pictures over training; a batch of real images, their gradients and the altered
images; class maximisation for both discriminators; features for at least two layers; the test
accuracy of both discriminators. A run that has less gets what it has.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from jobs.reporting import gallery
from jobs.reporting.content import CURVES, Content, Shown
from jobs.reporting.figures import Row
from jobs.reporting.recorded import Table
from jobs.reporting.sheets import BODY, NOTE, SMALL, SOFT, STRONG, TITLE, Font, Plate, Sheets

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gan.scalars import Curves
    from gan.visual.curves import Panels

_COLUMNS = 6  # of values, beside the first, that fit on a sheet
_SUBJECT = "Training report; the pictures marked as generated were made by a neural network"
_MISUSE = (
    "The pictures marked as generated were made by a neural network: they show nothing that was "
    "ever in front of a camera or a scanner. Do not pass them off as real, do not put anybody's "
    "likeness into them without consent, and do not use them as evidence or as measured data."
)


def draw(content: Content, curves: Mapping[str, "Curves"], panels: "Panels") -> bytes:
    """The PDF; the same bytes for the same content. `curves` are the members' by name."""
    with Sheets(f"Report on {content.name}", _SUBJECT) as sheets:
        _head(sheets, content)
        items = _items(content)
        for number, (title, text, body) in enumerate(items, 1):
            sheets.heading(f"{number}. {title}" if len(items) > 1 else title)
            sheets.text(text, after=6, keep=True)
            body(sheets)
        _rest(sheets, content)
        _plots(sheets, curves, panels)
        _end(sheets, content)
        return sheets.finish()


def _head(sheets: Sheets, content: Content) -> None:
    sheets.text(content.name, TITLE, 2)
    sheets.text(f"Recipe {content.recipe}", Font(9, SOFT), 0)
    for line in content.data:
        sheets.text(line, Font(9, SOFT), 0)
    if content.missing:
        sheets.space(6)
        said = "something is" if len(content.missing) == 1 else f"{len(content.missing)} things are"
        sheets.text(f"Not complete: {said} missing, as the last section says.", STRONG, 0)


Item = tuple[str, str, Callable[[Sheets], None]]  # a title, what to look for, what to show


def _items(content: Content) -> list[Item]:
    """S0's five, as far as there are any."""
    bodies: dict[str, Callable[[Sequence[Shown], Sheets], None]] = {
        "over time": lambda pictures, sheets: _plates(pictures, 3, sheets),
        "perturbation": partial(_perturbed, content),
        "classes": partial(_named, content, 1),
        "features": partial(_named, content, 2),
    }
    found: list[Item] = []
    for item, (title, text) in gallery.ITEMS.items():
        if own := [picture for picture in _pictures(content) if picture.item == item]:
            found.append((title, text, partial(bodies[item], own)))
    if accuracies := [row for row in content.figures if _is_accuracy(row)]:
        found.append(("Test accuracy", "", partial(_rows, accuracies)))
    return found


def _pictures(content: Content) -> list[Shown]:
    return [picture for section in content.sections for picture in section.pictures]


def _is_accuracy(row: Row) -> bool:
    """Of a network that names classes, on held-out images."""
    return row.key.startswith(("test_accuracy", "classifier_test", "discriminator_test"))


def _perturbed(content: Content, pictures: Sequence[Shown], sheets: Sheets) -> None:
    """Each network's batches, below what came of them."""
    for section in content.sections:
        if own := [picture for picture in section.pictures if picture in pictures]:
            sheets.text(section.title, STRONG, 2, keep=True)
            sheets.text(section.text, after=6, keep=True)
            _plates(own, 3, sheets)
            for table in section.tables:
                _values(table, sheets)


def _plates(pictures: Sequence[Shown], columns: int, sheets: Sheets) -> None:
    sheets.plates([_plate(picture) for picture in pictures if not picture.is_plot], columns)


def _plate(picture: Shown) -> Plate:
    small = " · ".join(filter(None, [picture.label, picture.provenance]))
    return Plate(picture.content, picture.caption, small)


def _named(content: Content, columns: int, pictures: Sequence[Shown], sheets: Sheets) -> None:
    """Pictures of several networks, each below its network's name."""
    for section in content.sections:
        if own := [picture for picture in section.pictures if picture in pictures]:
            sheets.text(section.title, STRONG, keep=True)
            _plates(own, columns, sheets)


def _rows(rows: Sequence[Row], sheets: Sheets) -> None:
    shown = [(row.name, row.value, row.how) for row in rows]
    titles = ("What", "Value", "How it was obtained")
    sheets.table(titles, shown, (28, 20, 52), (BODY, STRONG, NOTE))


def _values(table: Table, sheets: Sheets) -> None:
    """A table of values; one with many columns is divided, the first column in every part."""
    rows = table.texts()
    for first in range(1, max(2, len(table.columns)), _COLUMNS):
        own = [0, *range(first, min(first + _COLUMNS, len(table.columns)))]
        shown = [[row[place] for place in own] for row in rows]
        titles = [table.columns[place] for place in own]
        sheets.table(titles, shown, [1] * len(own), [BODY] * len(own))


def _moves_or_plots(picture: Shown) -> bool:
    """What paper does not take: a still of a film tells less than the grids beside it."""
    return picture.is_plot or picture.is_film


def _rest(sheets: Sheets, content: Content) -> None:
    """The pictures and figures that no item has shown."""
    for section in content.sections:
        if left := [p for p in section.pictures if not p.item and not _moves_or_plots(p)]:
            sheets.heading(section.title)
            for span, columns in ((3, 1), (2, 2), (1, 3)):
                _plates([picture for picture in left if picture.span == span], columns, sheets)
    if others := [p for p in _pictures(content) if _moves_or_plots(p) and p.title != CURVES]:
        sheets.heading("On the page only")
        for picture in others:
            sheets.text(f"{picture.alt}: {picture.caption}")
    if rows := [row for row in content.figures if not _is_accuracy(row)]:
        sheets.heading("Figures" if len(rows) == len(content.figures) else "Other figures")
        _rows(rows, sheets)
    for table in content.tables:
        sheets.heading(table.title)
        _values(table, sheets)
        sheets.text(table.how, SMALL)


def _plots(sheets: Sheets, curves: Mapping[str, "Curves"], panels: "Panels") -> None:
    from gan.visual import curves as drawing
    from gan.visual import plots

    found = {name: drawing.shown(known, panels) for name, known in curves.items()}
    if not any(found.values()):
        return
    sheets.heading("Curves")
    for name, lines in found.items():
        if lines:
            sheets.text(f"{name}: running means since the epoch began", STRONG, 0, keep=True)
            functions = [_panel(title, own) for title, own in lines.items()]
            sheets.plots(functions, plots.STYLE | {"font.size": 7})


def _panel(title: str, lines: Sequence[Any]) -> Callable[["Axes"], None]:
    from gan.visual import curves as drawing

    return lambda axes: drawing.plot(axes, title, lines)


def _end(sheets: Sheets, content: Content) -> None:
    """Warnings, what is missing, and what to mind with these pictures."""
    if content.readings or content.without_warning:
        sheets.heading("Warnings")
        for reading in content.readings:
            sheets.text(f"{reading.name} ({reading.run}, {reading.stage})", STRONG, 0)
            sheets.text(f"{reading.seen} {reading.advice}")
        for line in content.without_warning:
            sheets.text(line)
    if content.missing:
        sheets.heading("What is missing")
        for line in content.missing:
            sheets.text(line)
    if content.generates:
        sheets.heading("Generated pictures")
        sheets.text(_MISUSE)
    for line in content.numerics:
        sheets.text(line, SMALL, 1)
