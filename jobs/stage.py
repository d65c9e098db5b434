"""What all jobs have in common: one attempt, recorded from claim to cause."""

import contextlib
import errno
import os
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from checkpoints import CheckpointError, files
from gan.config import ConfigError
from gan.data import DataError
from gan.divergence import NonFiniteLoss
from jobs import energy, liveness, ranks, records, sharing
from jobs.folders import Unwritable
from jobs.ranks import Meeting, Place
from jobs.records import Attempt, Cause
from jobs.run import Run, RunError
from slurm.errors import SchedulerError
from slurm.preemption import StopRequest, deadline_from_environment
from slurm.schedulers import SCHEDULERS

# What a launcher tells its jobs through their environment.
TAKE_OVER = "GANYMEDE_TAKE_OVER"  # go on even if another attempt seems alive
GPUS = "GANYMEDE_GPUS"  # CUDA_VISIBLE_DEVICES as the user had it; submitit's local jobs see none

EXIT_STATUS = {
    Cause.REFUSED: 2,
    Cause.DISK_FULL: 1,
    Cause.OUT_OF_MEMORY: 1,
    Cause.UNWRITABLE: 1,
    Cause.SUPERSEDED: 1,
    Cause.DIVERGED: 1,
}
EXIT_REQUEUE = 85  # as in slurm/scripts/attempt.sh: saved, and wants to go on
_EXIT_CANCELLED = _EXIT_CRASHED = 1
UNASKED = "the scheduler could not be asked why"  # in the log, where it does not answer
_IDLE = 3  # attempts without progress before a time limit counts as too short
_NO_MEMORY = ("out of memory", "can't allocate memory")  # CUDA's allocator, and the CPU's
_NOTE_S = 3.0
_LOOK_EVERY_S = 2.0  # seconds between two looks for a cancellation


class Stopped(Exception):
    """The work was told to stop, and has saved what it had."""


@dataclass(frozen=True)
class Result:
    """What a finished stage leaves: its files, and its figures for the record."""

    outputs: list[Path] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


class Stop:
    """Why to stop, or None: a signal, the deadline, or a cancellation made on another machine."""

    def __init__(self, request: StopRequest, run: Run) -> None:
        self.request, self.run = request, run
        self._cancelled, self._next_look = False, 0.0

    def reason(self, save_s: float = 0.0) -> str | None:
        """As `StopRequest.reason`; once there is a reason, there always is one."""
        now = time.monotonic()
        if now > self._next_look:
            self._next_look = now + _LOOK_EVERY_S
            self._cancelled = self._cancelled or self.run.cancel_file.exists()
        return str(Cause.CANCELLED) if self._cancelled else self.request.reason(save_s)


@dataclass(frozen=True)
class Context:
    """What a job has at hand while it works."""

    run: Run
    attempt: Attempt
    stop: Stop
    say: Callable[[str], None]
    place: Place = field(default_factory=Place)
    meeting: Meeting | None = None  # where its ranks meet, if there are several


@dataclass(frozen=True)
class StageJob(ABC):
    """A picklable callable that holds only paths; the scheduler, or nobody, runs it.

    `needs` are the stages that must be finished first, by folder and name. A scheduler's dependency
    is a hint: it is let go when the job behind it is forgotten. So they are verified here.
    """

    path: Path
    needs: tuple[tuple[Path, str], ...] = field(default=(), kw_only=True)
    stage: ClassVar[str]

    @abstractmethod
    def work(self, context: Context) -> Result:
        """Do it. Raises Stopped after saving, if asked to stop."""

    def saved_step(self, run: Run) -> int:
        """Up to which step the work would not have to be done again; 0 if it starts anew."""
        return 0

    def __call__(self) -> str:
        """Run one attempt; returns its cause.

        A crash is recorded and raised; failures that a user can mend raise SystemExit, and so does,
        under a scheduler, a stop after which the work wants to go on.
        """
        run, place = Run(self.path), ranks.here()
        if records.completion(run, self.stage):
            return Cause.FINISHED
        sharing.adopt(run)
        _restore_gpus()
        request = StopRequest(deadline_from_environment())
        with request.listening(), files.lasting(run.path), contextlib.ExitStack() as stack:
            stop = Stop(request, run)
            if place.rank > 0:
                return self._assist(run, place, stop)
            attempt = self._begin(run, place)
            cause = self._attempt(Context(run, attempt, stop, say, place), stack)
        if place.scheduler in SCHEDULERS and cause != Cause.FINISHED:
            raise SystemExit(_EXIT_CANCELLED if cause == Cause.CANCELLED else EXIT_REQUEUE)
        return cause

    def _begin(self, run: Run, place: Place) -> Attempt:
        take_over = bool(os.environ.get(TAKE_OVER))
        try:
            if not run.path.is_dir():
                raise RunError(f"{run.path} is not there; it was removed or moved")
            liveness.settle(run, self.stage, place)
            _refuse_after_failure(run, self.stage, place)
            _refuse_idling(run, self.stage, self.saved_step(run))
            return Attempt.begin(
                run,
                self.stage,
                take_over,
                alive=lambda record: liveness.is_alive(record, place),
                from_step=self.saved_step(run),
                **place.facts,
            )
        except RunError as error:  # another attempt is at it: a second launcher's job
            say(f"{self.stage} not begun: {error}")
            raise SystemExit(EXIT_STATUS[Cause.REFUSED]) from error

    def _attempt(self, context: Context, stack: contextlib.ExitStack) -> Cause:
        """Work, and record how it ended; the ranks part as `stack` is left."""
        run, attempt = context.run, context.attempt
        try:
            if context.place.size > 1:
                meeting = stack.enter_context(ranks.meeting(attempt, context.place))
                stack.push(lambda error, *_: None if error else meeting.part())
                context = replace(context, meeting=meeting)
            for path, stage in self.needs:
                records.require(Run(path), stage)
            with energy.metered(attempt, context.place):
                result = self.work(context)
            attempt.guard()
            # In this order: the stage is never seen as neither running nor finished.
            records.complete(run, self.stage, result.outputs, result.figures)
            attempt.end(Cause.FINISHED)
            return Cause.FINISHED
        except Stopped as stopped:
            cause = _cause_of_stop(context, str(stopped))
            attempt.end(cause, saved=time.time())
            say(f"{self.stage} stopped: {cause}")
            return cause
        except BaseException as error:
            cause = _record_failure(attempt, error)
            if cause in EXIT_STATUS:  # told in words; a traceback would bury them
                raise SystemExit(EXIT_STATUS[cause]) from error
            raise

    def _assist(self, run: Run, place: Place, stop: Stop) -> str:
        """Work as another rank than the first: take part, record nothing but a failure."""
        attempt = ranks.find_attempt(run, self.stage, place)
        with ranks.meeting(attempt, place) as meeting:
            try:
                self.work(Context(run, attempt, stop, say, place, meeting))
            except Stopped:
                pass
            except BaseException as error:
                trace = "".join(traceback.format_exception(error))
                attempt.note(place.rank, cause_of(error), str(error), trace)
                raise
            meeting.part()
        return Cause.FINISHED


def _refuse_after_failure(run: Run, stage: str, place: Place) -> None:
    """Raise RunError if the job before this one has ended for good: of a chain that was submitted
    beforehand, the rest comes all the same.
    """
    last = records.latest(run, stage)
    if last is None or last.get("job_id") == place.job_id or records.line_of(last) != place.line:
        return
    if last.get("next") == "failed" or last.get("cause") == Cause.CANCELLED:
        raise RunError(f"job {last['job_id']} before it ended for good: {last['cause']}")


def _refuse_idling(run: Run, stage: str, saved_step: int) -> None:
    """Raise RunError if time limits alone have ended the last attempts, none of which got on."""
    last = [records.read(run.attempt_file(stage, n)) for n in records.numbers(run, stage)[-_IDLE:]]
    idle = all(
        r.get("cause") == Cause.TIME_LIMIT and r.get("from_step") == saved_step for r in last
    )
    if len(last) == _IDLE and idle and records.line_of(last[-1]) == ranks.here().line:
        raise RunError(
            f"{_IDLE} attempts came to their time limit without any progress beyond step "
            f"{saved_step}; give more --minutes"
        )


def _cause_of_stop(context: Context, reason: str) -> Cause:
    """What the request to stop meant. The scheduler is asked after the save, when time is short."""
    if context.run.cancel_file.exists():
        return Cause.CANCELLED
    place = context.place
    scheduler = SCHEDULERS.get(place.scheduler or "")
    if scheduler and reason in (Cause.TERMINATED, Cause.PREEMPTED):
        try:
            meant = scheduler.why_stopped(str(place.job_id), place.restarts)
            return Cause(meant or reason)
        except SchedulerError as error:
            say(f"{UNASKED}: {error}")
    return Cause(reason)


def _restore_gpus() -> None:
    visible = os.environ.get(GPUS)
    if visible == "all":
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    elif visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible


def _record_failure(attempt: Attempt, error: BaseException) -> Cause:
    cause = cause_of(error)
    message = str(error) or type(error).__name__
    trace = "".join(traceback.format_exception(error))
    if cause == Cause.KILLED and (noted := _noted_end(attempt)):
        cause, message, trace = Cause(noted["cause"]), noted["error"], noted["traceback"]
    say(f"{attempt.stage} ended: {cause}: {message}")
    try:
        status = EXIT_STATUS.get(cause, _EXIT_CRASHED)
        attempt.end(cause, error=message, traceback=trace, exit_status=status)
    except OSError as unwritten:
        say(f"the end could not be recorded: {unwritten}")
    return cause


def _noted_end(attempt: Attempt) -> dict[str, Any] | None:
    """Why another rank left, if it could still say so; it may be a moment behind."""
    end = time.monotonic() + _NOTE_S
    while time.monotonic() < end:
        if noted := attempt.noted_end():
            return noted
        time.sleep(0.1)
    return None


def cause_of(error: BaseException) -> Cause:
    """The named cause behind an error."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Cause.DISK_FULL
    if isinstance(error, Unwritable):
        return Cause.UNWRITABLE
    if isinstance(error, CheckpointError | ConfigError | DataError | RunError):
        return Cause.REFUSED
    if isinstance(error, records.Superseded):
        return Cause.SUPERSEDED
    if isinstance(error, NonFiniteLoss):
        return Cause.DIVERGED
    if isinstance(error, KeyboardInterrupt):
        return Cause.INTERRUPTED
    if type(error).__name__ == "PeerLost":  # by name: torch is not loaded just to tell
        return Cause.KILLED
    if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
        return Cause.OUT_OF_MEMORY
    return Cause.CRASHED


def say(message: str) -> None:
    """A line for the log, with its time. A log that cannot be written stops nothing."""
    try:
        print(f"{time.strftime('%H:%M:%S')} {message}", flush=True)
    except OSError:
        # The old stream would fail again when the interpreter exits.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115


def save_progress(run: Run, stage: str, values: dict[str, Any]) -> None:
    """Where a stage is, for `status`. Not synced, and not worth an error."""
    try:
        files.write_json(run.progress_file(stage), values, sync=False)
    except OSError:
        return
