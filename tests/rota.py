"""A scheduler in memory, whose jobs are lockstep processes: it does whatever a test tells it to."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lockstep
from lockstep import Actor

from jobs.records import Attempt
from jobs.stage import StageJob
from slurm.errors import Unreachable
from slurm.of_slurm import Slurm
from slurm.orders import Order
from slurm.preemption import StopRequest
from slurm.scheduler import JobState, Phase


class Told(StopRequest):
    """Signals are given to it by the test."""

    def listening(self) -> AbstractContextManager[StopRequest]:
        return nullcontext(self)


class Process(Actor):
    """An actor with what the machine and the run know of it."""

    def __init__(self, host: str, environment: dict[str, str], work: Callable[[], Any]) -> None:
        super().__init__(host, environment, work)
        self.pid = 0
        self.request: StopRequest | None = None  # while it listens to signals
        self.attempt: Attempt | None = None
        self.commits_too_late = 0
        self.spared = False  # only its process is to be killed: the script goes on


def terminate(actor: Process) -> None:
    """SIGTERM: noted, or deadly if nobody listens yet."""
    if actor.request:
        actor.request.handle(15, None)
    elif actor.pid:
        kill_process(actor)


def kill_process(actor: Process) -> None:
    """SIGKILL to what a batch script, or a shell, has started."""
    actor.spared = True
    actor.kill()


@dataclass(eq=False)
class Job:
    """A job as the scheduler has it."""

    job_id: str
    work: StageJob
    order: Order
    phase: Phase = Phase.WAITING
    restarts: int = 0
    succeeded: bool = False
    meaning: str | None = None  # of the signal that it got
    cancelled: bool = False
    actors: list[Process] = field(default_factory=list)  # of this start of it

    @property
    def needs(self) -> list[str]:
        return [
            job_id for job_id in self.order.dependency.removeprefix("afterok:").split(":") if job_id
        ]


class Rota(Slurm):
    """Slurm's place taken: a job keeps its number, and what waits for a failed one is stuck."""

    def __init__(self) -> None:
        self.queue: dict[str, Job] = {}
        self.count = 0
        self.is_silent = False
        self.loses_answers = False

    def jobs(
        self, patience_s: float = 0.0, say: Callable[[str], None] = print
    ) -> dict[str, JobState]:
        self._answer()
        return {job.job_id: self._state(job) for job in self.queue.values()}

    def _state(self, job: Job) -> JobState:
        stuck, token = self.is_stuck(job), job.order.token
        return JobState(job.job_id, job.phase.upper(), "", token, job.phase, stuck)

    def is_stuck(self, job: Job) -> bool:
        before = [self.queue[need] for need in job.needs if need in self.queue]
        failed = any(need.phase == Phase.OVER and not need.succeeded for need in before)
        return job.phase == Phase.WAITING and failed

    def may_start(self, job: Job) -> bool:
        """A job that is forgotten holds nothing back any more."""
        before = [self.queue[need] for need in job.needs if need in self.queue]
        return job.phase == Phase.WAITING and all(need.succeeded for need in before)

    def submit(
        self,
        folder: Path,
        order: Order,
        functions: Sequence[Callable[[], Any]],
        say: Callable[[str], None] = print,
    ) -> str:
        lockstep.stand_still()
        self._answer()
        (work,) = functions
        assert isinstance(work, StageJob)
        self.count += 1
        job = Job(str(self.count), work, order)
        self.queue[job.job_id] = job
        lockstep.stand_still()
        if self.loses_answers:
            raise Unreachable("Socket timed out on send/recv operation")
        return job.job_id

    def largest_array(self) -> int:
        return 0

    def cancel(self, job_ids: Iterable[str]) -> None:
        for job_id in job_ids:
            lockstep.stand_still()
            self._answer()
            if job := self.queue.get(job_id):
                self.end_by(job, "cancelled")

    def end_by(self, job: Job, meaning: str) -> None:
        """What waits is gone at once; what runs gets SIGTERM."""
        job.meaning, job.cancelled = meaning, job.cancelled or meaning == "cancelled"
        if job.phase == Phase.WAITING and job.cancelled:
            job.phase = Phase.OVER
        for actor in job.actors:
            terminate(actor)

    def is_live(self, job_id: str) -> bool:
        self._answer()
        return job_id in self.queue and self.queue[job_id].phase != Phase.OVER

    def why_stopped(self, job_id: str, restarts: int, signalled: bool = True) -> str | None:
        self._answer()
        job = self.queue.get(job_id)
        return job.meaning if job else None

    def lost_node(self, nodes: str, started: float) -> bool:
        self._answer()
        return False

    def _answer(self) -> None:
        if self.is_silent:
            raise Unreachable("slurm_load_jobs error: Unable to contact slurm controller")
