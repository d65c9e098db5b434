"""The table of `ganymede status`: plain, since a library's took a second for 1,000 runs."""

import textwrap
from collections.abc import Iterator, Sequence

from jobs.status import StageStatus

_TITLES = ("run", "stage", "state", "step", "attempts", "job", "why")
_GAP = "  "
_NARROWEST = 24  # of the last column, on a narrow terminal


def lines(rows: Sequence[StageStatus], width: int | None = None) -> Iterator[str]:
    """A line for each stage, below a line of titles.

    On a terminal of `width` columns the last cell goes on in further lines; without a width each
    stage has one line, for other programs to search in.
    """
    *cells, last = zip(_TITLES, *map(_cells, rows), strict=True)
    widths = [max(map(len, column)) for column in cells]
    indent = sum(widths) + len(widths) * len(_GAP)
    for *row, why in zip(*cells, last, strict=True):
        wrapped = textwrap.wrap(why, max(width - indent, _NARROWEST)) if width else []
        first, *more = wrapped or [why]
        start = "".join(f"{cell:<{n}}{_GAP}" for cell, n in zip(row, widths, strict=True))
        yield (start + first).rstrip()
        yield from (" " * indent + line for line in more)


def _cells(row: StageStatus) -> tuple[str, ...]:
    step = "" if row.step is None else f"{row.step}/{row.total_steps}"
    why = "" if row.cause in (None, row.state) else str(row.cause)
    why += f": {row.error}" if row.error else ""
    why = ", ".join(filter(None, [row.queue, why.removeprefix(": ")]))
    one_line = " ".join(why.split())
    return row.run, row.stage, row.state, step, str(row.attempts), row.job_id or "", one_line
