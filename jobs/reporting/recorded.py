"""Tables and warnings that stages leave in their completion records, for the report.

A stage puts them into its figures (`Result.figures`), in these forms:

    "tables": [{"title": ..., "how": ..., "columns": ["class", "recall"],
                "units": ["", "share"], "rows": [["cat", 0.81], ...]}, ...]
    "warnings": [{"name": "critic too strong", "seen": "...", "advice": "..."}, ...]
    "left_out": ["classes against noise: the generator is not asked for classes", ...]

`units` may be left out; the one called share is shown in percent. `visualize` has tables among the
figures of each network, which are shown with its pictures; one with an "item" of the paper, as in
`gallery.ITEMS`, stands there with that item's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs import records
from jobs.reporting import figures
from jobs.reporting.figures import SHARE, number, percent
from jobs.run import Run

STAGES = (
    "train",
    "sample",
    "evaluate",
    "visualize",
    "compare",
)  # which are looked into, in this order
Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """Values of one kind in each column; None where there is none."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    units: tuple[str, ...] = ()  # none: no column has one
    how: str = ""
    run: str = ""
    stage: str = ""
    item: str = ""  # of the paper, with whose pictures it stands

    def texts(self) -> list[list[str]]:
        """The rows as they are shown."""
        units = self.units or ("",) * len(self.columns)
        return [
            [_text(cell, unit) for cell, unit in zip(row, units, strict=True)] for row in self.rows
        ]

    def as_json(self) -> dict[str, Any]:
        units = self.units or ("",) * len(self.columns)
        columns = [{"name": n, "unit": u} for n, u in zip(self.columns, units, strict=True)]
        return {
            "title": self.title, "columns": columns, "rows": [list(row) for row in self.rows],
            "how": self.how, "run": self.run, "stage": self.stage,
        }  # fmt: skip


def _text(cell: Cell, unit: str) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if unit == SHARE:
        return percent(cell)
    text = str(cell) if isinstance(cell, int) else number(cell)
    return f"{text} {unit}" if unit else text


@dataclass(frozen=True)
class Reading:
    """A named warning: what was seen, and what may help."""

    name: str
    seen: str
    advice: str
    run: str
    stage: str


@dataclass(frozen=True)
class Record:
    """What a finished stage of a run, or of a pipeline, has left."""

    run: Run
    member: str  # of the pipeline; "": the run, or the pipeline, itself
    whole: str  # the run's name, a member's with that of its pipeline
    stage: str
    outputs: tuple[str, ...]
    result: dict[str, Any]


def records_of(run: Run) -> list[Record]:
    """Of the members, then of the whole: all stages whose files are as they left them."""
    owners = run.members() | {"": run}
    found = []
    for name, owner in owners.items():
        for stage in STAGES:
            record = records.reliable(owner, stage)
            if record and (stage != "evaluate" or figures.evaluation(owner)):  # of these weights
                whole = "/".join(filter(None, [run.path.name, name]))
                outputs = tuple(record["outputs"])
                found.append(Record(owner, name, whole, stage, outputs, record["result"]))
    return found


def tables(found: Iterable[Record]) -> list[Table]:
    """All tables of values."""
    return [
        table for record in found for table in tables_in(record.result, record.whole, record.stage)
    ]


def tables_in(facts: Mapping[str, Any], run: str, stage: str) -> list[Table]:
    """The tables among the figures of a stage, or among those of one network in it."""
    return [
        Table(
            title=str(table["title"]),
            columns=tuple(table["columns"]),
            rows=tuple(tuple(row) for row in table["rows"]),
            units=tuple(table.get("units", ())),
            how=str(table.get("how", "")),
            run=run,
            stage=stage,
            item=str(table.get("item", "")),
        )
        for table in facts.get("tables", [])
    ]


def readings(found: Iterable[Record]) -> list[Reading]:
    """All warnings that the stages left."""
    return [
        Reading(str(w["name"]), str(w["seen"]), str(w["advice"]), record.whole, record.stage)
        for record in found
        for w in record.result.get("warnings", [])
    ]


def left_out(found: Iterable[Record]) -> list[str]:
    """What stages say that they did not draw or measure, and why."""
    return [
        f"{record.whole} {record.stage}, left out: {line}."
        for record in found
        for line in record.result.get("left_out", [])
    ]
