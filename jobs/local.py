"""Running a pipeline on this machine, through submitit's local executor.

The jobs are the objects that a cluster gets; this launcher plays the scheduler: it starts each
stage once what it needs is finished, shows how far it is, and passes a request to stop on. Killing
it loses nothing: the jobs go on, and the same command finds them.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import submitit

from jobs import processes, records, status
from jobs.display import Display, make_display
from jobs.pipeline import Stage, stages, withdraw_damaged
from jobs.run import Run
from jobs.stage import GPUS, TAKE_OVER
from slurm.foreground import LocalExecutor
from slurm.preemption import MINUTES, StopRequest

_POLL_S = 0.2
_SIGNAL_AGAIN_S = 2.0
_NO_TIMEOUT_MIN = 60 * 24 * 365  # submitit's local executor wants a number
_EXIT_FINISHED, _EXIT_FAILED, _EXIT_REFUSED = 0, 1, 2


@dataclass(frozen=True)
class Options:
    """How the attempts started here are to run; none of it changes a result."""

    minutes: float | None = None  # time limit of each attempt
    take_over: bool = False  # go on even if another attempt seems alive
    max_running: int | None = None  # jobs of a sweep at the same time; 1 if left out


@dataclass
class _Launched:
    """A stage that this launcher has started, or found running."""

    stage: Stage
    job: "submitit.Job[str] | None"
    attempts_before: int
    signalled: float = 0.0

    def is_active(self, current: status.StageStatus, stopping: bool = False) -> bool:
        """Whether to wait for it; once told to stop, not for what another machine runs."""
        if self.job is not None and not self.job.done():
            return True
        return current.state == "running" and not (stopping and not self._is_here())

    def _is_here(self) -> bool:
        record = records.latest(self.stage.run, self.stage.name)
        return record is not None and processes.is_here(record)


@dataclass
class LocalLauncher:
    """Brings one run or pipeline to its end."""

    run: Run
    runs: Path
    options: Options = field(default_factory=Options)
    _launched: dict[int, _Launched] = field(default_factory=dict)

    def follow(self) -> int:
        """Start what can start, wait for all of it; returns the exit status.

        0: all finished; 1: something failed, was cancelled or reached its time limit; 2: something
        refused its input; 128 + signal: told to stop, and everything was saved.
        """
        graph = stages(self.run)
        for stage in graph:
            stage.run.cancel_file.unlink(missing_ok=True)
        with StopRequest().listening() as stop, make_display() as display:
            withdraw_damaged(graph, display.note)
            while True:
                stopping = stop.reason() is not None or self.run.cancel_file.exists()
                if stopping:
                    self._signal_all(display)
                current = status.run_status(self.run, self.runs)
                started = not stopping and self._start_ready(graph, current, display)
                # Both answers from one look: what ends right after it is seen the next time.
                if not started and not self._any_active(current, stopping):
                    break
                self._show(current, display)
                time.sleep(_POLL_S)
            current = status.run_status(self.run, self.runs)
            self._show(current, display)
            for place, row in enumerate(current):
                display.stage_ended(row)
                self._tell_if_it_never_began(place, row, display)
        return self._exit_status(current, stop)

    def _start_ready(
        self, graph: list[Stage], current: list[status.StageStatus], display: Display
    ) -> bool:
        """Start every stage that can start; returns whether there was any."""
        rows = list(zip(graph, current, strict=True))
        finished = {id(stage) for stage, row in rows if row.state == "finished"}
        started = False
        for place, (stage, row) in enumerate(rows):
            if place in self._launched or row.state == "finished":
                continue
            if row.state == "running" and not self.options.take_over:
                self._launched[place] = _Launched(stage, None, row.attempts)
                host = (records.latest(stage.run, stage.name) or {}).get("host")
                display.note(f"{row.run} {row.stage}: already running, job {row.job_id} on {host}")
                started = True
            elif all(id(need) in finished for need in stage.after) and self._has_room(current):
                self._launched[place] = _Launched(stage, self._submit(stage), row.attempts)
                started = True
        return started

    def _has_room(self, current: list[status.StageStatus]) -> bool:
        """Whether another job may start: of a sweep, only so many run at the same time."""
        if not self.run.is_sweep:
            return True
        active = sum(known.is_active(current[place]) for place, known in self._launched.items())
        return active < (self.options.max_running or 1)

    def _any_active(self, current: list[status.StageStatus], stopping: bool) -> bool:
        return any(
            launched.is_active(current[place], stopping)
            for place, launched in self._launched.items()
        )

    def _show(self, current: list[status.StageStatus], display: Display) -> None:
        for place, launched in self._launched.items():
            row = current[place]
            job_id = launched.job.job_id if launched.job else row.job_id
            log = launched.stage.run.logs / f"{job_id}_0_log.out"
            begun = row.attempts > launched.attempts_before or launched.job is None
            progress = status.read_progress(launched.stage.run, row.stage) if begun else None
            display.stage(row, launched.is_active(row), log, progress)

    def _tell_if_it_never_began(
        self, place: int, row: status.StageStatus, display: Display
    ) -> None:
        launched = self._launched.get(place)
        if launched is None or launched.job is None or row.state == "finished":
            return
        if row.attempts == launched.attempts_before:
            display.note(f"{row.stage}: its job ended early; see {launched.job.paths.stdout}")

    def _submit(self, stage: Stage) -> "submitit.Job[str]":
        executor = LocalExecutor(stage.run.logs)
        executor.update_parameters(timeout_min=_NO_TIMEOUT_MIN, stderr_to_stdout=True)
        with _ignored(signal.SIGINT), _environment(self._environment()):
            return executor.submit(stage.job)

    def _environment(self) -> dict[str, str]:
        values = {GPUS: os.environ.get("CUDA_VISIBLE_DEVICES", "all")}
        if self.options.minutes is not None:
            values[MINUTES] = str(self.options.minutes)
        if self.options.take_over:
            values[TAKE_OVER] = "1"
        return values

    def _signal_all(self, display: Display) -> None:
        """Ask what is running to save and stop; again and again, since a job may be too young to
        listen. Asking twice does no harm.
        """
        for launched in self._launched.values():
            now = time.monotonic()
            if now - launched.signalled > _SIGNAL_AGAIN_S:
                if not launched.signalled and launched.job and not launched.job.done():
                    name = f"{launched.stage.run.path.name} {launched.stage.name}"
                    display.note(f"{name}: asked to save and stop")
                launched.signalled = now
                signal_attempt(launched.stage)

    def _exit_status(self, current: list[status.StageStatus], stop: StopRequest) -> int:
        if all(row.state == "finished" for row in current):
            return _EXIT_FINISHED
        if any(row.state == "failed" for row in current):
            refused = any(row.cause == records.Cause.REFUSED for row in current)
            return _EXIT_REFUSED if refused else _EXIT_FAILED
        return _EXIT_FAILED if stop.signal is None else 128 + stop.signal


def signal_attempt(stage: Stage) -> bool:
    """Send SIGTERM to the stage's live attempt on this machine; returns whether there was one.

    One on another machine notices a cancellation by itself.
    """
    record = records.latest(stage.run, stage.name)
    if record is None or not processes.is_here(record) or not processes.is_alive(record):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(record["pid"], signal.SIGTERM)
    return True


@contextlib.contextmanager
def _ignored(number: signal.Signals) -> Iterator[None]:
    """Child processes started in here ignore the signal, until they say otherwise.

    Ctrl-C reaches the whole foreground group, and submitit's controller would answer it by killing
    its job one second later. The jobs themselves listen.
    """
    previous = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, previous)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
