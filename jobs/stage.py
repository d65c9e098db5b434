"""What all jobs have in common: one attempt, recorded from claim to cause."""

import errno
import os
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import submitit

from checkpoints import CheckpointError, files
from gan.config import ConfigError
from gan.data import DataError
from jobs import records
from jobs.records import Attempt, Cause
from jobs.run import Run, RunError
from slurm.preemption import StopRequest, deadline_from_environment

# What a launcher tells its jobs through their environment.
TAKE_OVER = "GANYMEDE_TAKE_OVER"  # go on even if another attempt seems alive
GPUS = "GANYMEDE_GPUS"  # CUDA_VISIBLE_DEVICES as the user had it; submitit's local jobs see none

_EXIT_STATUS = {
    Cause.REFUSED: 2,
    Cause.DISK_FULL: 1,
    Cause.OUT_OF_MEMORY: 1,
    Cause.SUPERSEDED: 1,
}
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


@dataclass(frozen=True)
class StageJob(ABC):
    """A picklable callable that holds only a path; the scheduler, or nobody, runs it."""

    path: Path
    stage: ClassVar[str]

    @abstractmethod
    def work(self, context: Context) -> Result:
        """Do it. Raises Stopped after saving, if asked to stop."""

    def __call__(self) -> str:
        """Run one attempt; returns its cause.

        A crash is recorded and raised; failures that a user can mend raise SystemExit.
        """
        run = Run(self.path)
        if records.completion(run, self.stage):
            return Cause.FINISHED
        _restore_gpus()
        take_over = bool(os.environ.get(TAKE_OVER))
        try:
            attempt = Attempt.begin(run, self.stage, take_over, job_id=job_id())
        except RunError as error:  # another attempt is at it: a second launcher's job
            say(f"{self.stage} not begun: {error}")
            raise SystemExit(_EXIT_STATUS[Cause.REFUSED]) from error
        with StopRequest(deadline_from_environment()).listening() as request:
            try:
                result = self.work(Context(run, attempt, Stop(request, run), say))
                attempt.guard()
                # In this order: the stage is never seen as neither running nor finished.
                records.complete(run, self.stage, result.outputs, result.figures)
                attempt.end(Cause.FINISHED)
                return Cause.FINISHED
            except Stopped as stopped:
                cause = Cause.CANCELLED if run.cancel_file.exists() else Cause(str(stopped))
                attempt.end(cause)
                say(f"{self.stage} stopped: {cause}")
                return cause
            except BaseException as error:
                cause = _record_failure(attempt, error)
                if cause in _EXIT_STATUS:  # told in words; a traceback would bury them
                    raise SystemExit(_EXIT_STATUS[cause]) from error
                raise


def _restore_gpus() -> None:
    visible = os.environ.get(GPUS)
    if visible == "all":
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    elif visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible


def _record_failure(attempt: Attempt, error: BaseException) -> Cause:
    cause = cause_of(error)
    message = str(error) or type(error).__name__
    say(f"{attempt.stage} ended: {cause}: {message}")
    trace = "".join(traceback.format_exception(error))
    try:
        attempt.end(cause, error=message, traceback=trace)
    except OSError as unwritten:
        say(f"the end could not be recorded: {unwritten}")
    return cause


def cause_of(error: BaseException) -> Cause:
    """The named cause behind an error."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Cause.DISK_FULL
    if isinstance(error, CheckpointError | ConfigError | DataError | RunError):
        return Cause.REFUSED
    if isinstance(error, records.Superseded):
        return Cause.SUPERSEDED
    if isinstance(error, KeyboardInterrupt):
        return Cause.INTERRUPTED
    if isinstance(error, MemoryError) or "out of memory" in str(error):
        return Cause.OUT_OF_MEMORY
    return Cause.CRASHED


def job_id() -> str | None:
    """The scheduler's name for this job; None outside of one."""
    try:
        return str(submitit.JobEnvironment().job_id)
    except RuntimeError:
        return None


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
