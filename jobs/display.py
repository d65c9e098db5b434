"""What a person sees while a pipeline runs: bars on a terminal, plain lines in a log."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from jobs.status import StageStatus
from jobs.train import time_left

_SUBMITIT = "submitit "  # its own log lines begin so


class Display(Protocol):
    """How the launcher tells what happens."""

    def note(self, message: str) -> None:
        """Something that happened."""

    def stage(
        self, row: StageStatus, active: bool, log: Path, progress: dict[str, Any] | None
    ) -> None:
        """Where a started stage is; called again and again."""

    def stage_ended(self, row: StageStatus) -> None:
        """How a stage stands at the end."""


def make_display() -> contextlib.AbstractContextManager[Display]:
    """Bars if standard output is a terminal, else lines."""
    return _bars() if sys.stdout.isatty() else contextlib.nullcontext(Lines())


def describe_end(row: StageStatus) -> str:
    """One line on a stage that is not running any more."""
    if row.state == "finished":
        return f"{row.run} {row.stage}: finished in {row.seconds:.1f} s"
    why = f": {row.cause}" if row.cause and row.cause != row.state else ""
    detail = f" ({row.error})" if row.error else ""
    step = f" at step {row.step}/{row.total_steps}" if row.step is not None else ""
    return f"{row.run} {row.stage}: {row.state}{why}{step}{detail}"


class Lines:
    """The jobs' own lines, each with its stage, and what became of every stage."""

    def __init__(self) -> None:
        self._read: dict[Path, int] = {}
        self._told: set[tuple[str, str]] = set()

    def note(self, message: str) -> None:
        print(message, flush=True)

    def stage(
        self, row: StageStatus, active: bool, log: Path, progress: dict[str, Any] | None
    ) -> None:
        if log not in self._read:
            self._read[log] = 0
            self.note(f"{row.run} {row.stage}: started, log {log}")
        for line in self._new_lines(log):
            self.note(f"{row.run} {row.stage} | {line}")
        if not active and row.state == "finished":
            self.stage_ended(row)

    def _new_lines(self, log: Path) -> list[str]:
        """Whole lines since the last call, submitit's own left out."""
        with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
            file.seek(self._read[log])
            whole = file.read().rpartition(b"\n")[0]
            self._read[log] += len(whole) + 1 if whole else 0
            lines = whole.decode(errors="replace").splitlines()
            return [line for line in lines if not line.startswith(_SUBMITIT)]
        return []

    def stage_ended(self, row: StageStatus) -> None:
        if (row.run, row.stage) not in self._told:
            self._told.add((row.run, row.stage))
            self.note(describe_end(row))


class Bars:
    """One bar for each running stage."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._told: set[tuple[str, str]] = set()

    def note(self, message: str) -> None:
        self.bars.console.print(message, highlight=False, markup=False)

    def stage(
        self, row: StageStatus, active: bool, log: Path, progress: dict[str, Any] | None
    ) -> None:
        key = (row.run, row.stage)
        if not active:
            if row.state == "finished":
                self.stage_ended(row)
            return
        if key not in self._tasks:
            name = f"{row.run} {row.stage}"
            self._tasks[key] = self.bars.add_task(name, total=row.total_steps, detail="starting")
        if progress:
            rate = f"{progress['steps_per_second']:.1f} steps/s"
            where = f"epoch {progress['epoch']}/{progress['epochs']} {progress['phase']}"
            detail = f"{rate}  {where}  {time_left(progress)}"
            self.bars.update(self._tasks[key], completed=progress["step"], detail=detail)
        elif row.stage != "train":
            self.bars.update(self._tasks[key], detail="running")

    def stage_ended(self, row: StageStatus) -> None:
        key = (row.run, row.stage)
        if key in self._tasks:
            self.bars.remove_task(self._tasks.pop(key))
        if key not in self._told:
            self._told.add(key)
            self.note(describe_end(row))


@contextlib.contextmanager
def _bars() -> Iterator[Display]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=Console()) as bars:
        yield Bars(bars)
