"""Where many runs are: looked at by several processes, since each run is many small files."""

import gc
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from jobs.answers import Queue
from jobs.run import Run, RunError
from jobs.status import StageStatus, run_status

_FEW = 400  # below that another process costs more than it brings
_PORTION = 250  # runs
_MOST_PROCESSES = 4  # a login node belongs to many users


@dataclass(frozen=True)
class Seen:
    """What was found of some runs, in their order."""

    rows: list[StageStatus] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # a line for each run that cannot be read


@dataclass(frozen=True)
class Overview:
    """Where `chosen` runs are, as named below the folder `runs`.

    The first few are looked at here. By then the scheduler has answered, if it had to be asked,
    and what it said of all jobs goes to the other processes as they part from this one. (If only
    later runs want an answer, each of these asks for itself.)
    """

    chosen: Sequence[Run]
    runs: Path
    queued: Queue = field(default_factory=Queue)
    few: int = _FEW
    portion: int = _PORTION

    _of_process: ClassVar["Overview"]  # in a process of the pool

    def __call__(self) -> Seen:
        count = len(self.chosen)
        processes = min(_MOST_PROCESSES, len(os.sched_getaffinity(0)))
        if processes == 1 or count <= 2 * self.few:
            return self.look(0, count)
        starts = range(self.few, count, self.portion)
        parts = [self.look(0, self.few)]
        fork = multiprocessing.get_context("fork")  # nothing that was read is read again, or sent
        with ProcessPoolExecutor(processes, fork, _adopt, (self,)) as pool:
            parts += pool.map(_look, starts)
        return Seen(
            [r for p in parts for r in p.rows], [line for p in parts for line in p.problems]
        )

    def look(self, start: int, end: int) -> Seen:
        """At the runs from `start` to before `end`. One that is unreadable hides no other."""
        seen = Seen()
        for run in self.chosen[start:end]:
            try:
                seen.rows.extend(run_status(run, self.runs, self.queued))
            except RunError as error:
                seen.problems.append(str(error))
        return seen


def _adopt(overview: Overview) -> None:
    Overview._of_process = overview
    gc.disable()  # the process ends with the answer: nothing needs to be cleared away


def _look(start: int) -> Seen:
    overview = Overview._of_process
    return overview.look(start, start + overview.portion)
