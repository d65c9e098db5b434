"""Warnings of a report: those that stages have left, and what the curves of training say now.

The curves are read when a report is made, of a run that still trains too. What needs the snapshots
was found by the stage that samples: a collapse, and how much the pictures still move.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.reporting import recorded
from jobs.reporting.recorded import Reading, Record
from jobs.run import Run

if TYPE_CHECKING:
    from gan.scalars import Curves
    from gan.visual.readings import Reading as OfCurves


@dataclass(frozen=True)
class Looked:
    """What a run was looked through for."""

    run: str
    sought: tuple[str, ...]  # names of warnings
    told: str  # why its curves say nothing
    found: bool

    @property
    def outcome(self) -> str:
        """In words; nothing where warnings speak for themselves."""
        if self.told or self.found or not self.sought:
            return self.told
        return f"no warning; looked for were {', '.join(self.sought)}"


@dataclass(frozen=True)
class Warned:
    readings: list[Reading]
    looked: list[Looked]


def of(run: Run, found: Iterable[Record], logs: Mapping[str, "Curves"] | None = None) -> Warned:
    """All warnings of a run or a pipeline, each once; `logs` are its members' curves by name."""
    records = list(found)
    known = logged(run) if logs is None else logs
    left, readings, looked = recorded.readings(records), [], []
    for name, member in run.members().items():
        whole = "/".join(filter(None, [run.path.name, name]))
        drawn = next((r.result for r in records if (r.whole, r.stage) == (whole, "sample")), {})
        curves = known[name or run.path.name]
        read = _read(member, curves, drawn.get("movement"))
        own = [Reading(c.name, c.seen, c.advice, whole, "train") for c in read.cautions]
        own += [reading for reading in left if reading.run == whole]
        readings += own
        if curves:
            sought = (*read.sought, *(["collapse"] if "diversity" in drawn else []))
            looked.append(Looked(whole, sought, read.told, bool(own)))
    readings += [reading for reading in left if reading not in readings]
    return Warned(readings, looked)


def lines(looked: Iterable[Looked]) -> list[str]:
    """What else is to be said beside the warnings: runs of which the same is told, in one line."""
    by_outcome: dict[str, list[str]] = {}
    for each in looked:
        if each.outcome:
            by_outcome.setdefault(each.outcome, []).append(each.run)
    return [f"{', '.join(runs)}: {outcome}." for outcome, runs in by_outcome.items()]


def _read(run: Run, curves: "Curves", movement: list[float] | None) -> "OfCurves":
    import numpy as np

    from gan.visual import readings

    settings = run.settings()
    steps_per_epoch = settings["total_steps"] // run.config(settings).train.epochs
    moved = None if movement is None else np.array(movement)
    return readings.read(curves, steps_per_epoch, movement=moved)


def logged(run: Run) -> dict[str, "Curves"]:
    """The curves of a run's members by their name; none of those that have not begun."""
    return {name or run.path.name: _logged(member) for name, member in run.members().items()}


def _logged(run: Run) -> "Curves":
    from gan import scalars

    return scalars.read(run.scalars) if run.scalars.is_dir() else {}
