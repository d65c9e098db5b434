"""Stopping a run for good, wherever its jobs are."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from checkpoints import files
from jobs import followers, records, submissions
from jobs.local import signal_attempt
from jobs.pipeline import Stage, stages
from jobs.run import Run
from slurm import schedulers
from slurm.errors import SchedulerError
from slurm.scheduler import JobState, Scheduler

_PATIENCE_S = 60.0


def cancel(run: Run) -> str:
    """Mark the run as cancelled, and ask its jobs to save and stop; says what was asked.

    Raises SchedulerError if jobs are queued and a scheduler cannot be told; the mark stays, and
    the jobs notice it by themselves.
    """
    graph = stages(run)
    for marked in {stage.run.path: stage.run for stage in graph}.values():
        files.write_json(marked.cancel_file, {"by": "ganymede cancel"})
    here = [stage.name for stage in graph if signal_attempt(stage)]
    traces = [_Trace.of(stage) for stage in graph]
    removed: list[str] = []
    problem = None
    for name in dict.fromkeys(name for trace in traces for name in trace.schedulers):
        try:
            removed += _remove(schedulers.of(name), traces)
        except SchedulerError as error:  # the others are told all the same
            problem = problem or error
    if problem:
        raise problem
    told = [f"asked to save and stop: {', '.join(here)}"] if here else []
    told += [f"removed from the queue: {', '.join(removed)}"] if removed else []
    told += _restored(run, traces)
    return "; ".join(told) or "nothing ran here, and nothing was queued"


def _restored(run: Run, traces: list["_Trace"]) -> list[str]:
    """What came back of a sweep's other runs, in words: with a job PBS deletes all that waits for
    its end.
    """
    said: list[str] = []
    sweep = Run(run.path.resolve().parent)
    at_pbs = any(followers.SCHEDULER in trace.schedulers for trace in traces)
    if at_pbs and sweep.exists and sweep.is_sweep:
        followers.restore(str(sweep.path), said.append)
    return said


@dataclass(frozen=True)
class _Trace:
    """What is on record of a stage's jobs."""

    attempt: dict[str, Any]
    submission: dict[str, Any]
    is_done: bool

    @classmethod
    def of(cls, stage: Stage) -> "_Trace":
        return cls(
            records.latest(stage.run, stage.name) or {},
            submissions.latest(stage.run, stage.name) or {},
            records.completion(stage.run, stage.name) is not None,
        )

    @property
    def schedulers(self) -> list[str]:
        """Those that may have a job of the stage."""
        ran_under = records.scheduler_of(self.attempt)
        found = [ran_under] if ran_under and "cause" not in self.attempt else []
        if submissions.is_open(self.submission):
            found.append(submissions.scheduler_of(self.submission))
        return found

    @property
    def has_no_answer(self) -> bool:
        """Whether the client died right after submitting."""
        return submissions.is_open(self.submission) and "job_id" not in self.submission

    def jobs(self, scheduler: str) -> Iterator[str]:
        """Those that may still wait or run, as far as is on record."""
        if records.scheduler_of(self.attempt) == scheduler and "cause" not in self.attempt:
            yield str(self.attempt["job_id"])
        record = self.submission
        ours = submissions.is_open(record) and submissions.scheduler_of(record) == scheduler
        if ours and "job_id" in record and not self.is_done:
            yield str(record["job_id"])

    def others(self, scheduler: Scheduler, states: dict[str, JobState]) -> Iterator[str]:
        """Live jobs that are not on record: of a lost answer, or those that go on from a job."""
        found = []
        if submissions.scheduler_of(self.submission) == scheduler.name:
            lost = submissions.live(self.submission, states) if self.has_no_answer else None
            found += [lost] if lost else []
            found += submissions.later(self.submission, states)
        if records.scheduler_of(self.attempt) == scheduler.name:
            found += submissions.later(self.attempt, states)
        yield from (state.job_id for state in found)


def _remove(scheduler: Scheduler, traces: list[_Trace]) -> list[str]:
    """Have one scheduler remove all jobs; returns their ids. Raises SchedulerError."""
    found = [job_id for trace in traces for job_id in trace.jobs(scheduler.name)]
    if scheduler.renumbers or any(trace.has_no_answer for trace in traces):
        states = scheduler.jobs(patience_s=_PATIENCE_S)
        found += [job_id for trace in traces for job_id in trace.others(scheduler, states)]
    found = list(dict.fromkeys(found))
    if found:
        # First what waits: a job that ends must not let its followers go.
        scheduler.cancel(reversed(found))
    return found
