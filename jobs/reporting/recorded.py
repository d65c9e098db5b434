"""Tables and warnings that stages leave in their completion records, for the report.

A stage puts them into its figures (`Result.figures`), in these forms:

    "tables": [{"title": ..., "how": ..., "columns": ["class", "recall"],
                "units": ["", "share"], "rows": [["cat", 0.81], ...]}, ...]
    "warnings": [{"name": "critic too strong", "seen": "...", "advice": "..."}, ...]
    "left_out": ["classes against noise: the generator is not asked for classes", ...]

`units` may be left out; the one called share is shown in percent.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

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
            if record := figures.reliable(owner, stage):
                whole = "/".join(filter(None, [run.path.name, name]))
                outputs = tuple(record["outputs"])
                found.append(Record(owner, name, whole, stage, outputs, record["result"]))
    return found


def tables(run: Run, found: Iterable[Record]) -> list[Table]:
    """All tables of values, that of the classes first."""
    return _by_class(run) + [
        Table(
            title=str(table["title"]),
            columns=tuple(table["columns"]),
            rows=tuple(tuple(row) for row in table["rows"]),
            units=tuple(table.get("units", ())),
            how=str(table.get("how", "")),
            run=record.whole,
            stage=record.stage,
        )
        for record in found
        for table in record.result.get("tables", [])
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


def _by_class(run: Run) -> list[Table]:
    f = figures.evaluation(run)
    if not f or "gan_test_accuracy_by_class" not in f:
        return []
    how = (
        "share of the images asked for as this class in which the classifier (weights "
        f"{f['judge_sha256'][:12]}) sees it"
    )
    rows = tuple(f["gan_test_accuracy_by_class"].items())
    return [
        Table(
            "GAN-test accuracy by class", ("Class", "Seen as asked for"), rows, ("", SHARE), how,
            run.path.name, "evaluate",
        )
    ]  # fmt: skip


_STRENGTHS = {  # a column of the table of perturbations: what stands in the record
    "Taken for the true class": "accuracy_after",
    "For the class after it": "hit_rate",
    "For the true class, random signs": "control_accuracy",
}


def strengths(facts: dict[str, Any], run: str) -> Table | None:
    """What is left of a classifier's accuracy after steps of each size, as `visualize` found."""
    if "epsilon" not in facts:
        return None
    steps = sorted([*facts.get("by_epsilon", ()), facts], key=lambda step: step["epsilon"])
    return Table(
        title="Steps of several sizes",
        columns=("Every pixel moved by", *_STRENGTHS),
        units=("", *(SHARE for _ in _STRENGTHS)),
        rows=tuple(
            (f"{step['epsilon']:g}/255", *(step[key] for key in _STRENGTHS.values()))
            for step in steps
        ),
        how=f"on {facts['images']} test images",
        run=run,
        stage="visualize",
    )
