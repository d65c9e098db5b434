"""Several runs on one page: figures side by side, curves in common panels, the last grids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checkpoints import files
from gan.config import flatten, portable
from jobs import report
from jobs.folders import require_writable
from jobs.reporting import content, figures, page, recorded, warned
from jobs.reporting.figures import Row
from jobs.reporting.page import Picture
from jobs.reporting.recorded import Reading
from jobs.run import Run, RunError, find
from jobs.status import display_name

NAME = "comparison.html"  # in the runs folder
_MARKS = (b'content="Ganymede"', b'"made_by": "ganymede"', b"/Creator (Ganymede)")  # a report's own


@dataclass(frozen=True)
class Line:
    """One figure of all runs that have it."""

    name: str
    rows: Mapping[str, Row]  # by run
    best: frozenset[str]  # the runs whose value is the best; none where that cannot be said
    note: str = ""

    @property
    def hows(self) -> dict[str, list[str]]:
        """How the values were obtained, each with its runs."""
        found: dict[str, list[str]] = {}
        for run, row in self.rows.items():
            found.setdefault(row.how, []).append(run)
        return found

    def as_json(self) -> dict[str, Any]:
        first = next(iter(self.rows.values()))
        return {
            "key": first.key,
            "name": self.name,
            "unit": first.unit,
            "better": first.better,
            "values": {run: row.number for run, row in self.rows.items()},
            "best": sorted(self.best),
            "note": self.note,
        }


@dataclass(frozen=True)
class Compared:
    """One of the runs."""

    name: str
    run: Run
    figures: list[Row]
    readings: list[Reading] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def make(names: Sequence[str], folder: Path, out: Path | None = None) -> Path:
    """Write the report of a run, or of several runs of the `folder` side by side; returns the page.

    Of one run as `out`, or where its own report is; of a sweep its runs are compared; of several
    runs `comparison.html` in the folder. Raises RunError, and has then written nothing.
    """
    found = [find(name, folder) for name in names]
    runs = {display_name(run, folder): run for run in found}
    first, run = next(iter(runs.items()))
    if len(runs) == 1 and not run.is_sweep:
        if out is None:
            report.rewrite(run)
            return run.report_file
        report.write(run, checked(out))
        return out
    usual = run.report_file if len(runs) == 1 else folder / NAME
    title = first if len(runs) == 1 else "Comparison"
    target = checked(out or usual)
    write(expand(runs), target, title)
    return target


def checked(target: Path) -> Path:
    """`target` itself. Raises RunError if a report cannot be written there, or if it or the file of
    figures beside it is something else, which would be lost.
    """
    for path in (target, *(target.with_suffix(ending) for ending in (".json", ".pdf"))):
        if path.is_dir():
            raise RunError(f"{path} is a folder; give another --out")
        if path.is_file() and not any(mark in path.read_bytes() for mark in _MARKS):
            raise RunError(f"{path} is there and is no report; give another --out")
    require_writable(target.absolute().parent)
    return target


def expand(runs: Mapping[str, Run]) -> dict[str, Run]:
    """The runs by their names, those of a sweep in its place."""
    found: dict[str, Run] = {}
    for name, run in runs.items():
        if run.is_sweep:
            found |= {f"{name}/{own}": member for own, member in run.members().items()}
        else:
            found[name] = run
    return found


def write(runs: Mapping[str, Run], target: Path, title: str) -> list[Path]:
    """Write the page as `target` (.html) and its figures as .json beside it; returns the files.

    Raises RunError if a run's settings or attempts cannot be read; nothing is written then.
    """
    compared = [_look_at(name, run) for name, run in runs.items()]
    lines = align(compared)
    outputs = {
        target: _page(compared, lines, title).encode(),
        target.with_suffix(".json"): report.table(_as_json(compared, lines, title)),
    }
    for path, data in outputs.items():
        files.write_bytes(path, data)
    return list(outputs)


def _look_at(name: str, run: Run) -> Compared:
    found = recorded.records_of(run)
    missing = content.missing(run, content.stages(run))
    return Compared(name, run, figures.rows(run), warned.of(run, found).readings, missing)


def align(compared: Sequence[Compared]) -> list[Line]:
    """The same figures of all runs, in the order in which they come."""
    by_key: dict[str, dict[str, Row]] = {}
    for each in compared:
        for row in each.figures:
            by_key.setdefault(row.key, {})[each.name] = row
    return [_line(rows) for rows in by_key.values()]


def _line(rows: Mapping[str, Row]) -> Line:
    first = next(iter(rows.values()))
    # A run's own name is in the title where the report of that run alone needs it.
    name = first.name.removesuffix(f" of {first.run}")
    if len({row.basis for row in rows.values()}) > 1:
        told = "not measured on the same, and so not to be compared"
        return Line(name, rows, frozenset(), told)
    return Line(name, rows, _best(rows) if first.better and len(rows) > 1 else frozenset())


def _best(rows: Mapping[str, Row]) -> frozenset[str]:
    """The best, and all that are no further from it than its deviation; none if that is all."""
    sign = 1 if next(iter(rows.values())).better == "higher" else -1
    best = max(rows.values(), key=lambda row: sign * row.number)
    near = {
        run for run, row in rows.items() if abs(row.number - best.number) <= (best.spread or 0.0)
    }
    return frozenset(near) if len(near) < len(rows) else frozenset()


def _page(compared: Sequence[Compared], lines: Sequence[Line], title: str) -> str:
    return page.render(
        "comparison.html",
        name=title,
        compared=compared,
        lines=lines,
        settings=differing({each.name: _settings(each.run) for each in compared}),
        curves=_curves(compared),
        grids=[grid for each in compared for grid in content.last_grids(each.run)],
    )


def _settings(run: Run) -> dict[str, Any]:
    """The recipe and all settings that change a result; a pipeline's with its runs' names."""
    known: dict[str, Any] = {"recipe": run.settings()["recipe"]}
    for name, member in run.members().items():
        prefix = f"{name}." if name else ""
        known |= {
            f"{prefix}{key}": value for key, value in flatten(portable(member.config())).items()
        }
    return known


def differing(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """The settings in which runs differ: one value a run, '' where it has no such setting."""
    names = dict.fromkeys(name for known in settings.values() for name in known)
    values = {name: [str(known.get(name, "")) for known in settings.values()] for name in names}
    return {name: found for name, found in values.items() if len(set(found)) > 1}


def _curves(compared: Sequence[Compared]) -> Picture:
    names = ", ".join(each.name for each in compared)
    return Picture(
        report.draw_together({each.name: each.run for each in compared}),
        "svg+xml",
        f"Training curves of {names}",
        "Running means since the epoch began, a colour for each run. Losses of different kinds "
        "cannot be compared with each other; accuracies can.",
        provenance=f"{names} · train",
        span=3,
    )


def _as_json(compared: Sequence[Compared], lines: Sequence[Line], title: str) -> dict[str, Any]:
    return {
        "format": 1,
        "made_by": "ganymede",
        "name": title,
        "figures": [line.as_json() for line in lines],
        "settings": differing({each.name: _settings(each.run) for each in compared}),
        "runs": [
            {
                "name": each.name,
                "recipe": each.run.settings()["recipe"],
                "figures": [row.as_json() for row in each.figures],
                "warnings": [vars(reading) for reading in each.readings],
                "missing": each.missing,
            }
            for each in compared
        ],
    }
