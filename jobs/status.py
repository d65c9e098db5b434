"""What is running, what is done, what went wrong: told from the run's own records."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints import files, steps_in
from jobs import energy, processes, records, submissions
from jobs.answers import Queue
from jobs.pipeline import Stage, stages
from jobs.records import Cause
from jobs.run import Run
from slurm.errors import SchedulerError
from slurm.scheduler import JobState, Phase


@dataclass(frozen=True)
class StageStatus:
    """One row of `ganymede status`."""

    run: str
    path: str
    recipe: str
    stage: str
    state: str  # waiting, queued, running, finished, stopped, cancelled, failed, unknown
    step: int | None
    total_steps: int | None
    cause: str | None  # why the last attempt ended
    attempts: int
    job_id: str | None
    error: str | None
    seconds: float | None  # of all attempts of a finished stage
    queue: str | None = None  # state and reason of a job that waits
    energy_kwh: float | None = None  # of all measured attempts
    co2_kg: float | None = None

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))


_CLOCKS_S = 60.0  # the machines' clocks agree at least so well
_ENDED_BADLY = ("failed", "cancelled", "stopped")
_STATES = {
    Cause.FINISHED: "waiting",  # its completion record was taken back: to be done again
    Cause.TERMINATED: "stopped",
    Cause.INTERRUPTED: "stopped",
    Cause.PREEMPTED: "stopped",
    Cause.TIME_LIMIT: "stopped",
    Cause.KILLED: "stopped",
    Cause.NODE_LOST: "stopped",
    Cause.CANCELLED: "cancelled",
}


@dataclass(frozen=True)
class _Listing:
    """What a run is called, and its newest records by stage: each folder is looked into once."""

    name: str
    attempts: dict[str, int]
    submissions: dict[str, int]

    @classmethod
    def of(cls, run: Run, runs: Path) -> "_Listing":
        found = records.newest(run.attempts), records.newest(run.submissions)
        return cls(display_name(run, runs), *found)


@dataclass(frozen=True)
class _Known:
    """What is on record of one stage."""

    attempt: dict[str, Any] | None
    submission: dict[str, Any] | None

    @classmethod
    def of(cls, stage: Stage, listing: _Listing) -> "_Known":
        run, name = stage.run, stage.name
        attempt, submission = listing.attempts.get(name), listing.submissions.get(name)
        return cls(
            records.read(run.attempt_file(name, attempt)) if attempt else None,
            records.read(run.submission_file(name, submission)) if submission else None,
        )

    @property
    def never_began(self) -> bool:
        """Whether the newest submission has had no attempt."""
        return submissions.never_began(self.submission, self.attempt)

    @property
    def cause(self) -> str | None:
        return self.attempt.get("cause") if self.attempt else None

    @property
    def may_come_back(self) -> bool:
        """Whether the attempt's job may be in the queue without a submission of ours (run.sbatch)
        that would tell.
        """
        goes_on = self.submission is None and records.may_go_on(self.attempt or {})
        return self.cause is None or goes_on

    @property
    def open_at(self) -> set[str]:
        """The schedulers that alone can tell how it stands."""
        name = records.scheduler_of(self.attempt or {})
        found = {name} if name and self.may_come_back else set()
        if self.submission and submissions.is_open(self.submission):
            found.add(submissions.scheduler_of(self.submission))
        return found


def _stage_status(
    stage: Stage, listing: _Listing, queued: Queue, needs: Sequence[StageStatus]
) -> StageStatus:
    """The state of one stage; `needs` are the rows of the stages before it."""
    run, settings = stage.run, stage.settings
    # In this order: an attempt that ends in between is found finished, since it tells that last.
    known = _Known.of(stage, listing)
    done = records.completion(run, stage.name)
    last, job = known.attempt, None
    answered = True
    if not done:
        job, answered = _job(stage, known, queued)
    state, cause, error = _state(stage, known, done, job, answered)
    if state == "cancelled" and known.never_began:
        failed = [f"{need.stage} {need.state}" for need in needs if need.state in _ENDED_BADLY]
        error = f"never began, since {', '.join(failed)}" if failed else _how_it_left(known)
    job_id = job.job_id if job else _job_id(known)
    spent = energy.spent(run, stage.name) if _is_metered(stage, last) else None
    return StageStatus(
        run=listing.name,
        path=str(run.path),
        recipe=settings["recipe"],
        stage=stage.name,
        state=state,
        step=_step(stage, done),
        total_steps=settings.get("total_steps") if stage.name == "train" else None,
        cause=None if cause is None else str(cause),
        attempts=last["number"] if last else 0,
        job_id=job_id,
        error=None if done else error,
        seconds=done["seconds"] if done else None,
        queue=f"{job.state} ({job.reason})" if job and job.is_waiting else None,
        energy_kwh=spent.kwh if spent and spent.measured else None,
        co2_kg=spent.co2_kg if spent and spent.measured else None,
    )


def _is_metered(stage: Stage, attempt: dict[str, Any] | None) -> bool:
    """Whether energy is or was tracked, as far as is known without reading all records."""
    train = stage.settings.get("config", {}).get("train", {})
    return bool(train.get("energy_country")) or (attempt is not None and "energy" in attempt)


def _how_it_left(known: _Known) -> str:
    left = known.submission and known.submission.get("left")
    return f"never began; its job is {left or 'gone'}"


def _job_id(known: _Known) -> str | None:
    if known.never_began and known.submission:
        return str(known.submission["job_id"])
    return known.attempt.get("job_id") if known.attempt else None


def _job(stage: Stage, known: _Known, queued: Queue) -> tuple[JobState | None, bool]:
    """The stage's waiting or running job, and whether all schedulers answered that had to be asked.

    How a job left the queue is written down, since the scheduler soon forgets it.
    """
    answers = {name: queued.states(name) for name in known.open_at}
    answered = None not in answers.values()
    record, attempt = known.submission, known.attempt or {}
    went_to, ran_under = submissions.scheduler_of(record or {}), records.scheduler_of(attempt)
    live, found_by = submissions.live(record, answers.get(went_to) or {}), record
    if live is None and ran_under and known.may_come_back:
        live, found_by = submissions.live(attempt, answers.get(ran_under) or {}), attempt
    if live and live.is_stuck:
        _clear(stage, found_by, answers)
        return None, answered
    states = answers.get(went_to)
    if live or states is None or not record or not record.get("job_id"):
        return live, answered
    left, age = states.get(record["job_id"]), queued.asked_at(went_to) - record["submitted"]
    was_set_back = record["submitted"] - time.time() > _CLOCKS_S  # the clock, by so much
    if left is None and age < 0 and not was_set_back:  # the answer is older than the job
        return _just_submitted(record), answered
    if left or age > _CLOCKS_S or was_set_back:
        with contextlib.suppress(OSError):  # somebody else's run may be looked at
            submissions.left_queue(stage.run, record, left.state if left else "gone")
    return None, answered


def _clear(
    stage: Stage, record: dict[str, Any] | None, answers: dict[str, dict[str, JobState] | None]
) -> None:
    """Remove what its scheduler would hold for ever."""
    states = answers.get(submissions.scheduler_of(record or {})) or {}
    with contextlib.suppress(SchedulerError, OSError):  # somebody else's run may be looked at
        submissions.remove_stuck(stage.run, record, states)


def _just_submitted(record: dict[str, Any]) -> JobState:
    job_id, token = record["job_id"], record["token"]
    return JobState(job_id, "PENDING", "just submitted", token, Phase.WAITING)


def _state(
    stage: Stage,
    known: _Known,
    done: dict[str, Any] | None,
    job: JobState | None,
    answered: bool,
) -> tuple[str, str | None, str | None]:
    """State, cause and error of a stage."""
    last = known.attempt
    cause, error = (last.get("cause"), last.get("error")) if last else (None, None)
    if done:
        return "finished", "finished", None
    if job:
        return ("queued" if job.is_waiting else "running"), cause, error
    if not answered:
        return "unknown", cause, "the scheduler does not answer"
    if known.never_began:
        return "cancelled", Cause.CANCELLED, None
    if last is None:
        return ("cancelled" if stage.run.cancel_file.exists() else "waiting"), None, None
    if records.scheduler_of(last) is None and processes.is_alive(last):
        return "running", None, None
    cause = cause or Cause.KILLED
    state = _STATES.get(Cause(cause), "failed")
    return state, (None if state == "waiting" else cause), error


def _step(stage: Stage, done: dict[str, Any] | None) -> int | None:
    if stage.name != "train":
        return None
    if done:
        return int(done["result"]["steps"])
    progress = read_progress(stage.run, stage.name)
    if progress:
        return int(progress["step"])
    return max(steps_in(stage.run.checkpoints), default=0)


def read_progress(run: Run, stage: str) -> dict[str, Any] | None:
    """What the stage last said of its progress."""
    try:
        return dict(files.read_json(run.progress_file(stage)))
    except (OSError, ValueError):
        return None


def run_status(run: Run, runs: Path, queued: Queue | None = None) -> list[StageStatus]:
    """All stages of a run or pipeline, in the order in which they come."""
    rows: dict[int, StageStatus] = {}
    listings: dict[Path, _Listing] = {}
    queued = queued or Queue()
    for stage in stages(run):
        needs = [rows[id(need)] for need in stage.after]
        path = stage.run.path
        if path not in listings:
            listings[path] = _Listing.of(stage.run, runs)
        rows[id(stage)] = _stage_status(stage, listings[path], queued, needs)
    return list(rows.values())


def display_name(run: Run, runs: Path) -> str:
    """The run's name below the runs folder, as the commands take it; else its path."""
    with contextlib.suppress(ValueError):
        if ".." not in run.path.parts:
            return str(run.path.relative_to(runs))
    path, base = run.path.resolve(), runs.resolve()
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(run.path)
