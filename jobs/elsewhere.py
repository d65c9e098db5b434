"""Whether a stage is already at work, or waits, where a launcher's own scheduler cannot tell."""

from dataclasses import dataclass, field
from typing import Any

from jobs import processes, records, submissions
from jobs.pipeline import Stage
from jobs.run import RunError
from slurm import schedulers
from slurm.errors import SchedulerError
from slurm.scheduler import JobState, Scheduler


@dataclass
class Elsewhere:
    """All places but one scheduler's; the others are asked once each, if records name them."""

    scheduler: Scheduler
    patience_s: float
    _states: dict[str, dict[str, JobState]] = field(default_factory=dict)

    def refuse(
        self, stage: Stage, submission: dict[str, Any] | None, attempt: dict[str, Any] | None
    ) -> None:
        """Raise RunError if the stage is at work, or waits, in one of them, as far as its newest
        records tell.
        """
        where = f"{stage.name} of {stage.run.path}"
        if submission and submissions.is_open(submission):
            self._refuse_queued(where, submission)
        if not attempt:
            return
        name = records.scheduler_of(attempt)
        if name is None and processes.is_alive(attempt):
            raise RunError(
                f"{where} is running outside of {self.scheduler.title} (process "
                f"{attempt['pid']} on {attempt['host']}); cancel it, or wait for it"
            )
        if name and records.may_go_on(attempt):
            self._refuse_queued(where, attempt)

    def _refuse_queued(self, where: str, record: dict[str, Any]) -> None:
        name = submissions.scheduler_of(record)
        if name == self.scheduler.name:
            return
        try:
            other = schedulers.of(name)
            if name not in self._states:
                self._states[name] = other.jobs(patience_s=self.patience_s)
        except SchedulerError as error:
            raise RunError(
                f"{where} was given to {name}, which cannot be asked whether it still has it "
                f"({error}); ganymede resume --take-over goes on all the same"
            ) from None
        if job := submissions.live(record, self._states[name]):
            raise RunError(
                f"{where} is in the queue of {other.title} as job {job.job_id}; cancel it, or wait "
                "for it"
            )
