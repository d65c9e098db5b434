"""A small job that is really stopped on a cluster, and watched while it goes on."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from gan.recipes import classifier_digits
from jobs import logs, pipeline, records, submissions
from jobs.cancel import cancel
from jobs.cluster import ClusterLauncher, Options
from jobs.records import Cause
from jobs.run import Run
from jobs.stage import UNASKED
from jobs.stage import say as say_with_time
from jobs.status import read_progress
from slurm import queue, schedulers
from slurm.capabilities import Cluster
from slurm.errors import SchedulerError, Unreachable
from slurm.findings import Finding, Verdict
from slurm.resources import Profile, Resources
from slurm.scheduler import JobState

Seen = TypeVar("Seen")

_RECIPE = "classifier-digits"
_MINUTES = 10.0  # time limit of the job
_START_S = 1800.0  # how long it may wait in the queue
_FIRST_STEP_S = 600.0  # from its start: Python may load slowly
_SAVE_S = 120.0
REQUEUE_S = 300.0
_END_S = 120.0
_LOOK_S = 0.2  # seconds between two looks at the run's records
_ASK_S = 3.0  # seconds between two questions to the scheduler


class Failed(Exception):
    """The rehearsal could not go on; the message says at what, and what to read."""


def rehearse(
    runs: Path,
    profile: Profile,
    flags: Resources,
    say: Callable[[str], None] = say_with_time,
    kind: "type[Rehearsal] | None" = None,
) -> list[Finding]:
    """Submit a small training, stop it by a signal, watch it go on, and cancel it.

    All is told as it happens. The run's folder is removed if all went well. `kind` is for another
    scheduler than Slurm. Raises RunError or ConfigError for a folder that cannot be used.
    """
    kind = kind or Rehearsal
    flags = replace(flags, minutes=flags.minutes or _MINUTES)
    run = _prepare(runs, profile, flags)
    played = kind(run, say)
    try:
        options = Options(profile, flags, scheduler=kind.scheduler)
        played.submit(ClusterLauncher(run, runs, options, say))
        played.stop()
        played.go_on()
        played.cancel()
    except (Failed, SchedulerError) as error:
        say(f"failed: {error}")
        played.found.append(Finding("rehearsal", "failed", str(error), Verdict.FAILS))
    finally:
        played.clear()
    return played.found


def _prepare(runs: Path, profile: Profile, flags: Resources) -> Run:
    """A minute or two of training on a slow core, and many seconds on the fastest."""
    base = classifier_digits()
    config = replace(
        base,
        data=replace(base.data, image_size=8),
        model=replace(base.model, width=4),
        train=replace(base.train, epochs=20, passes_per_epoch=60),
    )
    path = runs / time.strftime("rehearsal-%Y%m%d-%H%M%S")
    cores = profile.for_stage("train", flags).cpus_per_task or 1
    return pipeline.prepare(_RECIPE, config, path, cores, shared=False)


class Rehearsal:
    """What has happened so far, and what was found by it: on Slurm."""

    scheduler: ClassVar[str] = "slurm"

    def __init__(self, run: Run, say: Callable[[str], None]) -> None:
        self.run, self.say = run, say
        self.stage = pipeline.stages(run)[0]
        self.found: list[Finding] = []
        self.job_id = ""
        self._saved = 0  # the step at which it was stopped
        self._job: dict[str, str] = {}  # as the scheduler last had it
        self._told = ""
        self._next_ask, self._absent = 0.0, 0
        self._succeeded = False

    def submit(self, launcher: ClusterLauncher) -> None:
        """Have it start, and train."""
        self.say(f"submitting a small training, {self.run.path}")
        if launcher.submit():
            raise Failed("the cluster takes no more jobs for now; try again later")
        record = submissions.latest(self.run, self.stage.name) or {}
        self.job_id = str(record["job_id"])
        self.say(f"waiting for job {self.job_id} to start, {_START_S / 60:.0f} min at most")
        begun = self._wait("it has not started", _START_S, lambda: self._attempt(1))
        self.say(f"started on {_where(begun)}; waiting for its first step")
        self._wait("it has made no step", _FIRST_STEP_S, lambda: self._step(1, above=0))

    def stop(self) -> None:
        """Signal it, and see what it saves."""
        self.say(f"it trains, step {self._step(1, above=0)}: sending SIGTERM to its tasks")
        sent = time.monotonic()
        self._send_sigterm()
        ended = self._wait("it has not saved", _SAVE_S, lambda: self._attempt(1, ended=True))
        took, cause = time.monotonic() - sent, ended["cause"]
        if cause not in (Cause.TERMINATED, Cause.PREEMPTED, Cause.TIME_LIMIT):
            raise Failed(f"it was to save and stop, but: {_why(ended)}")
        self._saved = max(self.run.store().steps(), default=0)
        self.say(f"it saved step {self._saved} and ended ({cause}), {took:.1f} s after the signal")
        name, limit = self._grace()
        is_slow = limit is not None and took > limit
        meaning = f"longer than {name}" if is_slow else "in good time, even where nothing warns"
        value = f"step {self._saved}, {took:.1f} s after the signal"
        verdict = Verdict.MIND if is_slow else Verdict.HOLDS
        self.found.append(Finding("saves when told to stop", value, meaning, verdict))

    def _send_sigterm(self) -> None:
        queue.call("scancel", "--signal=TERM", self.job_id, patience_s=_SAVE_S, say=self.say)

    def _grace(self) -> tuple[str, float | None]:
        """What the cluster calls the time to save, and how many seconds it is."""
        return "KillWait", Cluster(queue.settings()).seconds("KillWait")

    def go_on(self) -> None:
        """See it queued again, started again and going on from what it saved."""
        self._see_requeue()
        queued, delay = time.monotonic(), Cluster(queue.settings()).requeue_delay_s
        self.say(
            f"queued again as job {self.job_id}; Slurm may hold it back for {delay} s: waiting"
        )
        self._see_progress(queued, delay)

    def _see_progress(self, queued: float, delay: float = 0.0) -> None:
        """See it start again, after `delay` seconds in the queue at least, and make a step."""
        again = self._wait("it has not started", delay + _START_S, lambda: self._attempt(2))
        self.say(f"started again on {_where(again)}, from step {again['from_step']}")
        step = self._wait(
            "it has made no new step", _FIRST_STEP_S, lambda: self._step(2, above=self._saved)
        )
        took = time.monotonic() - queued
        if again["job_id"] != self.job_id or again["from_step"] != self._saved:
            raise Failed(
                f"job {self.job_id} saved step {self._saved}, but job {again['job_id']} went on "
                f"from step {again['from_step']}"
            )
        self.say(f"it trains again, step {step}")
        value = f"from step {self._saved}, {took:.0f} s after it was queued again"
        self.found.append(Finding("goes on", value, "nothing but the waiting is lost"))

    def _see_requeue(self) -> None:
        """Whether scontrol works on the node, which the requeue takes."""
        name, restarts = "scontrol on a node", int((self._attempt(1) or {})["restarts"])
        is_mute = UNASKED in self._log_text()
        try:
            self._wait("it was not queued again", REQUEUE_S, lambda: self._restarted(restarts))
        except Failed:
            if is_mute:
                meaning = "a stopped job cannot queue itself again there: ask the site"
                self.found.append(Finding(name, "does not answer", meaning, Verdict.FAILS))
            raise
        found = Finding(name, "answers", "a job learns why it was stopped, and queues itself again")
        if is_mute:
            meaning = "a job queues itself again, but its record cannot tell why it was stopped"
            found = Finding(name, "answers the batch script only", meaning, Verdict.MIND)
        self.found.append(found)

    def cancel(self) -> None:
        """End it for good."""
        self.say(f"cancelling job {self.job_id}")
        cancel(self.run)
        ended = self._wait("it has not ended", _END_S, lambda: self._attempt(2, ended=True))
        if ended["cause"] != Cause.CANCELLED:
            raise Failed(f"it was cancelled, but: {_why(ended)}")
        value, meaning = "saved, and ended as cancelled", "and it is not queued again"
        self.found.append(Finding("can be cancelled", value, meaning))
        self._succeeded = True

    def clear(self) -> None:
        """Leave nothing in the queue; remove the run, unless something is to be read there."""
        try:
            if not self._succeeded:
                self.say(cancel(self.run))
            is_gone = self._is_gone()
        except SchedulerError as error:
            self.say(f"{error}; see ganymede status, and job {self.job_id}")
            is_gone = False
        if self._succeeded and is_gone:
            shutil.rmtree(self.run.path, ignore_errors=True)
            self.say(f"{self.run.path} is removed")
        else:
            self.say(f"{self.run.path} is kept; the job's log is {self._log()}")

    def _is_gone(self) -> bool:
        end = time.monotonic() + _END_S
        while self.job_id and schedulers.of(self.scheduler).is_live(self.job_id):
            if time.monotonic() > end:
                return False
            time.sleep(_ASK_S)
        return True

    def _wait(self, problem: str, limit_s: float, look: Callable[[], Seen | None]) -> Seen:
        """What `look` sees, once it sees anything. Raises Failed if that takes too long, or if the
        job leaves the queue.
        """
        end, self._absent = time.monotonic() + limit_s, 0
        while True:
            if (seen := look()) is not None:
                return seen
            if time.monotonic() > end:
                raise Failed(f"{problem} within {limit_s:.0f} s; read {self._log()}")
            self._ask()
            if self._absent > 1:
                raise Failed(f"{problem}, and now {self._told}; read {self._log()}")
            time.sleep(_LOOK_S)

    def _ask(self) -> None:
        """Look at the job in the queue, now and then, and tell of its state when that changes."""
        if time.monotonic() < self._next_ask:
            return
        try:
            state = self._look()
        except Unreachable as error:
            self.say(str(error))
            return
        finally:
            self._next_ask = time.monotonic() + _ASK_S
        self._absent = 0 if state.is_live else self._absent + 1
        told = f"job {self.job_id}: {state.state}"
        told += "" if state.reason == "None" else f" ({state.reason})"
        if told != self._told:
            self._told = told
            self.say(told)

    def _look(self) -> JobState:
        """The job as the scheduler has it. Raises Unreachable."""
        try:
            self._job = queue.show(self.job_id)
        except Unreachable:
            raise
        except SchedulerError:
            self._job = {}
        state, reason = self._job.get("JobState", "unknown"), self._job.get("Reason", "None")
        return JobState(self.job_id, state, reason, None, queue.phase(state))

    def _attempt(self, number: int, ended: bool = False) -> dict[str, Any] | None:
        """The record of an attempt, if it is there, and if it has ended where that is wanted."""
        try:
            record = records.read(self.run.attempt_file(self.stage.name, number))
        except FileNotFoundError:
            return None
        return record if not ended or "cause" in record else None

    def _step(self, number: int, above: int) -> int | None:
        """The step that an attempt is at, if above; raises Failed if it has ended."""
        if ended := self._attempt(number, ended=True):
            raise Failed(f"it ended too early: {_why(ended)}; read {self._log()}")
        progress = read_progress(self.run, self.stage.name)
        return int(progress["step"]) if progress and progress["step"] > above else None

    def _restarted(self, before: int) -> bool | None:
        return int(self._job.get("Restarts", 0)) > before or None

    def _log(self) -> Path:
        return logs.log_file(self.stage) or self.run.logs / f"{self.job_id}_0_log.out"

    def _log_text(self) -> str:
        path = self._log()
        return path.read_text(errors="replace") if path.is_file() else ""


def _where(attempt: dict[str, Any]) -> str:
    return str(attempt.get("nodes") or attempt["host"])


def _why(attempt: dict[str, Any]) -> str:
    error = attempt.get("error")
    return f"{attempt['cause']}: {error}" if error else str(attempt["cause"])
