"""Sheets of A4, filled from top to bottom: headings, text, tables, pictures, plots; as PDF.

By matplotlib, which the project has for its curves: its PDF embeds the fonts, keeps pictures as
they are, pixel by pixel, and is the same bytes every time. Lengths are in points, 72 to the inch,
and heights are measured from the top of the sheet.
"""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 595.276, 841.89  # A4
_SIDE, _TOP, _BOTTOM = 50.0, 50.0, 58.0
_GAP = 12.0  # between two columns
_HIGHEST = 500.0  # of a picture
_SHORT = 160.0  # of a table that is kept together
INK, SOFT, MARK, HAIR = "#1b2430", "#566273", "#1f6091", "#c9d1da"
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "pdf.fonttype": 42,  # TrueType, embedded: text can be searched and copied
    "pdf.compression": 9,
}


@dataclass(frozen=True)
class Font:
    size: float
    color: str = INK
    weight: str = "normal"

    @property
    def line(self) -> float:
        """From one line to the next."""
        return 1.4 * self.size

    @property
    def _properties(self) -> Any:
        from matplotlib.font_manager import FontProperties

        return FontProperties(family="DejaVu Sans", size=self.size, weight=self.weight)

    def width(self, text: str) -> float:
        from matplotlib.textpath import text_to_path

        known: float = text_to_path.get_text_width_height_descent(text, self._properties, False)[0]
        return known

    def wrap(self, text: str, width: float) -> list[str]:
        """Lines that are not wider; a word that is wider by itself is broken."""
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if self.width(longer) <= width:
                lines[-1] = longer
                continue
            lines += self._broken(word, width)
        return [line for line in lines if line]

    def _broken(self, word: str, width: float) -> Iterator[str]:
        piece = ""
        for letter in word:
            if piece and self.width(piece + letter) > width:
                yield piece
                piece = ""
            piece += letter
        yield piece


BODY, SMALL = Font(9), Font(7, SOFT)
NOTE, _HEAD = Font(8, SOFT), Font(7.5, SOFT, "bold")
TITLE, HEADING, STRONG = Font(20, weight="bold"), Font(13, weight="bold"), Font(9, weight="bold")


@dataclass(frozen=True)
class Plate:
    """A picture for a sheet, with its texts."""

    content: bytes  # PNG
    caption: str
    small: str


class Sheets:
    """A document that grows downwards, and onto another sheet where there is no room left.

    What is kept (a heading) waits for what comes below it, and goes to the next sheet with it.

    To be used in a `with`, in which matplotlib is as it comes, whatever the user's own settings,
    and draws letters that its font lacks as a box, without a word.
    """

    width = _WIDTH - 2 * _SIDE

    def __init__(self, title: str, subject: str) -> None:
        from matplotlib.backends.backend_pdf import PdfPages

        self.title = title
        self._closing = contextlib.ExitStack()
        self._stream = io.BytesIO()
        known = {"Title": title, "Subject": subject, "Creator": "Ganymede", "CreationDate": None}
        self._pdf = PdfPages(self._stream, metadata=known)
        self._figure: Figure | None = None
        self._number = 0
        self._y = 0.0
        self._kept: list[tuple[float, _Draw]] = []

    def __enter__(self) -> "Sheets":
        import matplotlib.style

        self._closing.enter_context(matplotlib.style.context(["default", _STYLE]))
        self._closing.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.close()

    def finish(self) -> bytes:
        """The document, whole."""
        self._place(0, lambda y: None)
        self._turn()
        self._pdf.close()
        return self._stream.getvalue()

    def _place(self, height: float, draw: "_Draw", keep: bool = False) -> None:
        """Put down what is `height` high, below what was kept for it."""
        self._kept.append((height, draw))
        if keep:
            return
        room = _HEIGHT - _BOTTOM - self._y
        if self._figure is None or room < sum(h for h, _ in self._kept):
            self._new()
        for own, function in self._kept:
            function(self._y)
            self._y += own
        self._kept = []

    def _new(self) -> None:
        from matplotlib.figure import Figure

        self._turn()
        self._figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72))
        self._number += 1
        self._y = _TOP

    def _turn(self) -> None:
        if self._figure is None:
            return
        y = _HEIGHT - _BOTTOM / 2
        self._put(self.title, SMALL, _SIDE, y)
        self._put(str(self._number), SMALL, _WIDTH - _SIDE, y, ha="right")
        self._pdf.savefig(self._figure)
        self._figure = None

    def _put(self, text: str, font: Font, x: float, y: float, **more: Any) -> None:
        """A line of text whose baseline is at `y`."""
        assert self._figure is not None
        self._figure.text(
            x / _WIDTH, 1 - y / _HEIGHT, text,
            fontsize=font.size, color=font.color, weight=font.weight,
            va="baseline", parse_math=False, **more,
        )  # fmt: skip

    def space(self, height: float) -> None:
        self._place(height, lambda y: None, keep=True)

    def text(self, text: str, font: Font = BODY, after: float = 4.0, keep: bool = False) -> None:
        """A paragraph; what is to be kept with the next thing is not divided."""
        lines = font.wrap(text, self.width)
        if keep and lines:
            height = len(lines) * font.line + after
            self._place(height, lambda y: self._lines(lines, font, _SIDE, y), keep=True)
            return
        for line in lines:
            self._place(font.line, partial(self._lines, [line], font, _SIDE))
        self.space(after)

    def _lines(self, lines: Sequence[str], font: Font, x: float, y: float) -> None:
        """Lines of text below `y`."""
        for number, line in enumerate(lines, 1):
            self._put(line, font, x, y + number * font.line - 0.35 * font.size)

    def heading(self, text: str) -> None:
        """A heading, kept with what comes below it."""
        self.space(14)
        self.text(text, HEADING, 2, keep=True)
        self._place(8, lambda y: self._rule(y, MARK, 1.2), keep=True)

    def _rule(self, y: float, color: str = HAIR, thickness: float = 0.5) -> None:
        """A line across the sheet."""
        from matplotlib.lines import Line2D

        assert self._figure is not None
        ends, height = [_SIDE / _WIDTH, 1 - _SIDE / _WIDTH], 1 - y / _HEIGHT
        line = Line2D(ends, [height, height], color=color, linewidth=thickness)
        self._figure.add_artist(line)

    def plates(self, plates: Sequence[Plate], columns: int) -> None:
        """Pictures side by side, each with its caption below, in as many rows as it takes."""
        width = (self.width - (columns - 1) * _GAP) / columns
        for first in range(0, len(plates), columns):
            self._row(plates[first : first + columns], width)

    def _row(self, plates: Sequence[Plate], width: float) -> None:
        images = [_pixels(plate.content) for plate in plates]
        shapes = [image.shape[0] / image.shape[1] for image in images]
        # Those higher than most of a sheet are made narrower.
        size = min(width, _HIGHEST / max(shapes))
        high = size * max(shapes)
        texts = [(BODY.wrap(p.caption, width), SMALL.wrap(p.small, width)) for p in plates]

        def draw(y: float) -> None:
            for place, (image, (caption, small)) in enumerate(zip(images, texts, strict=True)):
                x, below = _SIDE + place * (width + _GAP), y + size * shapes[place] + 2
                axes = self._axes(x, y, size, size * shapes[place])
                axes.imshow(image, interpolation="none", aspect="auto")
                axes.axis("off")
                self._lines(caption, BODY, x, below)
                self._lines(small, SMALL, x, below + len(caption) * BODY.line)

        below = max(len(c) * BODY.line + len(s) * SMALL.line for c, s in texts)
        self._place(high + below + 12, draw)

    def _axes(self, x: float, y: float, width: float, height: float) -> "Axes":
        """Axes whose upper left corner is at (x, y)."""
        assert self._figure is not None
        box = (x / _WIDTH, 1 - (y + height) / _HEIGHT, width / _WIDTH, height / _HEIGHT)
        return self._figure.add_axes(box)

    def plots(self, draw: Sequence[Callable[["Axes"], None]], style: dict[Any, Any]) -> None:
        """Plots in two columns; each is drawn into axes that it is given."""
        import matplotlib

        margin, height, above, below = 26.0, 105.0, 20.0, 34.0
        width = (self.width - _GAP) / 2 - margin

        def row(first: int, y: float) -> None:
            for place, function in enumerate(draw[first : first + 2]):
                x = _SIDE + margin + place * (width + margin + _GAP)
                with matplotlib.rc_context(style):
                    function(self._axes(x, y + above, width, height))

        for first in range(0, len(draw), 2):
            self._place(above + height + below, partial(row, first))

    def table(
        self,
        titles: Sequence[str],
        rows: Sequence[Sequence[str]],
        shares: Sequence[float],
        fonts: Sequence[Font],
    ) -> None:
        """Rows of cells below titles, which a new sheet has again; the columns take their `shares`
        of the width and have their `fonts`. A short table is not divided.
        """
        widths = [self.width * share / sum(shares) for share in shares]
        head = self._cells(titles, widths, [_HEAD] * len(titles))
        made = [self._cells(row, widths, fonts) for row in rows]
        self._place(*head, keep=True)
        whole = sum(height for height, _ in made) < _SHORT
        for number, (height, draw) in enumerate(made, 1):
            if not self._kept and self._y + height > _HEIGHT - _BOTTOM:
                self._new()
                self._place(*head, keep=True)
            self._place(height, draw, keep=whole and number < len(made))
        self.space(8)

    def _cells(
        self, row: Sequence[str], widths: Sequence[float], fonts: Sequence[Font]
    ) -> tuple[float, "_Draw"]:
        """How high a row of a table is, and what draws it."""
        cells = [
            (font, font.wrap(cell, width - 8))
            for cell, width, font in zip(row, widths, fonts, strict=False)
        ]
        height = max(len(lines) * font.line for font, lines in cells) + 6

        def draw(y: float) -> None:
            x = _SIDE
            for (font, lines), width in zip(cells, widths, strict=True):
                self._lines(lines, font, x, y + 2)
                x += width
            self._rule(y + height)

        return height, draw


_Draw = Callable[[float], None]  # told how far down the sheet to begin


def _pixels(content: bytes) -> Any:
    """A PNG as an array (H, W, 3) uint8."""
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB"))
