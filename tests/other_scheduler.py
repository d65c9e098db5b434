"""A scheduler that is not Slurm, in memory: its ids are no numbers, it takes no arrays, and a run
goes on under a new id.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from slurm.errors import SchedulerError
from slurm.orders import Order
from slurm.scheduler import JobState, Phase, Scheduler
from slurm.schedulers import SCHEDULERS


class Other(Scheduler):
    """What was submitted waits for ever, until a test puts it elsewhere."""

    name, title, renumbers, marks = "other", "The Other", True, ("other says:",)

    def __init__(self) -> None:
        self.states: dict[str, JobState] = {}
        self.orders: dict[str, Order] = {}
        self.cancelled: list[list[str]] = []
        self.asked = 0  # how often, for all jobs
        self.problem: SchedulerError | None = None  # the answer to everything
        self.meaning: str | None = None  # of a signal
        self.is_this_machine = False

    def put(self, job_id: str, phase: Phase, token: str | None = None) -> None:
        """Have a job there, or change it."""
        token = token or (self.states[job_id].token if job_id in self.states else None)
        self.states[job_id] = JobState(job_id, phase[0].upper(), "as it likes", token, phase)

    def is_here(self) -> bool:
        return self.is_this_machine

    def is_inside(self) -> bool:
        return False

    def check_folder(self, folder: Path) -> Path:
        return folder

    def jobs(
        self, patience_s: float = 0.0, say: Callable[[str], None] = print
    ) -> dict[str, JobState]:
        self.asked += 1
        self._answer()
        return dict(self.states)

    def submit(
        self,
        folder: Path,
        order: Order,
        functions: Sequence[Callable[[], Any]],
        say: Callable[[str], None] = print,
    ) -> str:
        self._answer()
        job_id = f"{len(self.orders) + 9}.there"
        self.orders[job_id] = order
        self.put(job_id, Phase.WAITING, order.token)
        return job_id

    def task_id(self, job_id: str, index: int | None) -> str:
        assert index is None
        return job_id

    def split_id(self, job_id: str) -> tuple[str, int | None]:
        return job_id, None

    def after(self, job_ids: Iterable[str]) -> str:
        return " and ".join(sorted(set(job_ids)))

    def after_any(self, job_ids: Iterable[str]) -> str:
        return f"any of {self.after(job_ids)}"

    def after_corresponding(self, arrays: Iterable[str]) -> str:
        raise NotImplementedError("there are no arrays here")

    def largest_array(self) -> int:
        return 0

    def cancel(self, job_ids: Iterable[str]) -> None:
        self._answer()
        if wanted := list(job_ids):
            self.cancelled.append(wanted)

    def is_live(self, job_id: str) -> bool:
        self._answer()
        return job_id in self.states and self.states[job_id].is_live

    def why_stopped(self, job_id: str, restarts: int, signalled: bool = True) -> str | None:
        self._answer()
        return self.meaning

    def lost_node(self, nodes: str, started: float) -> bool:
        self._answer()
        return "lost" in nodes

    def _answer(self) -> None:
        if self.problem:
            raise self.problem


def register(monkeypatch: pytest.MonkeyPatch) -> Other:
    """Have it beside Slurm, and no third one."""
    for name in set(SCHEDULERS) - {"slurm"}:
        monkeypatch.delitem(SCHEDULERS, name)
    other = Other()
    monkeypatch.setitem(SCHEDULERS, other.name, other)
    return other
