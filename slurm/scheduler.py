"""What runs need of a scheduler, and what it says of a job."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from slurm.errors import SchedulerError
from slurm.orders import Order


class Phase(StrEnum):
    """Where a job is on its way, whatever its scheduler calls that."""

    WAITING = "waiting"  # in the queue, or held there
    RUNNING = "running"  # on its nodes, or suspended there
    ENDING = "ending"  # being taken off its nodes: it may be queued again, or be gone
    OVER = "over"


@dataclass(frozen=True)
class JobState:
    """A job, or a task of an array, as the scheduler has it."""

    job_id: str
    state: str  # in the scheduler's own words
    reason: str  # why it waits, or ended, likewise
    token: str | None  # of the submission that made it
    phase: Phase
    # Held for a job that never ran: it neither starts nor ends by itself, and can only be removed.
    is_stuck: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it waits or runs."""
        return self.phase != Phase.OVER

    @property
    def is_ending(self) -> bool:
        """Whether it is being taken off its nodes."""
        return self.phase == Phase.ENDING

    @property
    def is_waiting(self) -> bool:
        return self.phase == Phase.WAITING


class Scheduler(ABC):
    """One kind of scheduler; `slurm.schedulers` holds one object of each.

    Methods that ask it raise SchedulerError, or Unreachable if it does not answer. A `job_id` is
    the number of a job, or of a task of an array, as its scheduler prints it.
    """

    name: ClassVar[str]  # in flags and records: slurm, pbs
    title: ClassVar[str]  # in sentences: Slurm, PBS
    renumbers: ClassVar[bool] = False  # a run goes on as a new job, of the same token
    marks: ClassVar[tuple[str, ...]] = ()  # begin the lines that it adds to a job's log itself

    @abstractmethod
    def is_here(self) -> bool:
        """Whether this machine submits to such a scheduler."""

    @abstractmethod
    def is_inside(self) -> bool:
        """Whether this process belongs to one of its jobs."""

    @abstractmethod
    def check_folder(self, folder: Path) -> Path:
        """`folder` itself, if its jobs can be there. Raises SchedulerError."""

    @abstractmethod
    def jobs(
        self, patience_s: float = 0.0, say: Callable[[str], None] = print
    ) -> dict[str, JobState]:
        """All jobs of this user that it still knows, by id, tasks of arrays one by one.

        While it does not answer it is asked again for `patience_s` seconds.
        """

    @abstractmethod
    def submit(
        self,
        folder: Path,
        order: Order,
        functions: Sequence[Callable[[], Any]],
        say: Callable[[str], None] = print,
    ) -> str:
        """Submit one job, or one array with a task for each function, once; returns its id.

        `folder` gets pickles, scripts and logs. Raises SubmitLimit too. After Unreachable it is
        unknown whether there is such a job, and the order's token will tell.
        """

    @abstractmethod
    def task_id(self, job_id: str, index: int | None) -> str:
        """The id of an array's task; `job_id` itself if `index` is None."""

    @abstractmethod
    def split_id(self, job_id: str) -> tuple[str, int | None]:
        """The id of a job or of an array, and a task's index."""

    @abstractmethod
    def after(self, job_ids: Iterable[str]) -> str:
        """The dependency of a job that starts once all of these have succeeded; '' for none."""

    @abstractmethod
    def after_any(self, job_ids: Iterable[str]) -> str:
        """The dependency of a job that starts once all of these have ended, well or not."""

    @abstractmethod
    def after_corresponding(self, arrays: Iterable[str]) -> str:
        """The dependency of an array each of whose tasks waits for the task of the same index."""

    @abstractmethod
    def largest_array(self) -> int:
        """How many tasks an array of a sweep may have; 0: each run gets a job of its own."""

    @abstractmethod
    def cancel(self, job_ids: Iterable[str]) -> None:
        """Have jobs removed, in this order; those that run get SIGTERM first. Gone is no error."""

    @abstractmethod
    def is_live(self, job_id: str) -> bool:
        """Whether it has the job waiting or running."""

    @abstractmethod
    def why_stopped(self, job_id: str, restarts: int, signalled: bool = True) -> str | None:
        """What a signal to stop meant, while the job that got it still lives; None: nothing
        special. "preempted", "time limit", "node lost" or "cancelled".

        `restarts` is how often this attempt of the job had been started again. Without a signal,
        that the limit is near explains nothing.
        """

    def how_ended(self, job_id: str) -> str | None:
        """Why a job has ended that left no record of it, as `why_stopped`; None: not known."""
        return None

    def go_on_with(
        self, folder: Path, token: str, job_id: str, count: int, say: Callable[[str], None] = print
    ) -> list[str]:
        """Submit `count` jobs that go on one after the other with the work of a job that was
        submitted in `folder` under `token`; returns their ids. They are fewer if it takes no more.

        Raises SchedulerError where a job goes on under its own id.
        """
        raise SchedulerError(f"{self.title} queues a job again under its number: it needs no chain")

    @abstractmethod
    def lost_node(self, nodes: str, started: float) -> bool:
        """Whether one of the nodes of a record is down, or has started since (UTC seconds)."""


def by_token(states: Iterable[JobState], token: str) -> JobState | None:
    """The job that a submission made; of an array, one of its tasks."""
    return next((state for state in states if state.token == token), None)
