"""A tiny job that tries, from inside, what runs do on a node of PBS; its answers as findings."""

import re
import shlex
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from slurm import pbs_script, pbs_states, qsub
from slurm.errors import SchedulerError
from slurm.executors import part
from slurm.findings import Finding, Verdict
from slurm.orders import Order
from slurm.qsub import Request
from slurm.resources import Profile, Resources
from slurm.scheduler import Phase

_MINUTES = 2.0  # time limit of the job
_START_S = 1800.0  # how long it may wait in the queue
_RUN_S = 300.0  # from its start to its answers; PBS ends a job minutes late
_SEEN_S = 60.0  # from its end until this machine sees what it has written
_END_S = 30.0
_LOOK_S = 0.5  # seconds between two looks into the folder
_ASK_S = 3.0  # seconds between two questions to the scheduler
_NEVER = re.compile("can never run|too many failed attempts", re.IGNORECASE)
_NAME = "ganymede-trial"

Answers = dict[str, str]


class Failed(Exception):
    """The trial could not be made; the message says why."""


def try_out(
    there: Path, profile: Profile, wanted: Resources, say: Callable[[str], None] = print
) -> list[Finding]:
    """Submit a tiny job to the queue, account and project of `wanted`, and see what works in it.

    `there` is a folder, in which one is made and removed again. Leaves no job behind.
    """
    trial = _Trial(there, profile, wanted, say)
    try:
        trial.submit()
        answers = trial.wait()
        return [trial.started(answers), *found_by(answers, wanted)]
    except (Failed, SchedulerError, OSError) as error:
        meaning = "what runs do on a node could not be tried"
        return [Finding("trial job", str(error), meaning, Verdict.FAILS)]
    finally:
        trial.clear()


class _Trial:
    """The job, and what is known of it."""

    def __init__(
        self, there: Path, profile: Profile, wanted: Resources, say: Callable[[str], None]
    ) -> None:
        self.there, self.say = there, say
        self.gpus = min(wanted.gpus_per_node or 0, 1)
        booked = replace(
            wanted, minutes=_MINUTES, nodes=1, tasks_per_node=1, cpus_per_task=1, mem_gb=None,
            gpus_per_node=self.gpus or None, exclusive=None,
        )  # fmt: skip
        token = f"t{uuid.uuid4().hex}"
        self.order = Order(_NAME, token, booked, replace(profile, mail=None))
        self.held = replace(
            self.order, name=f"{_NAME}-held", token=f"{token}h",
            resources=replace(booked, gpus_per_node=None),
        )  # fmt: skip
        self.folder: Path | None = None
        self.job_id = ""
        self._waited_s = 0.0  # in the queue
        self._next_ask, self._told = 0.0, ""
        self._phase, self._words = Phase.WAITING, ""

    def submit(self) -> None:
        """Raises SchedulerError if it is refused."""
        there = pbs_script.check_folder(self.there.absolute())
        self.folder = Path(tempfile.mkdtemp(prefix=".doctor-", dir=there))
        (self.folder / "mark").write_text(self.order.token)
        path = self.folder / "trial.sh"
        path.write_text(self._script(self.folder), "utf-8")
        options = pbs_script.options(self.order, self.folder)
        self.job_id = qsub.submit(
            Request(options, ["/bin/bash", str(path)], self.order.token), self.say
        )
        self.say(f"waiting for job {self.job_id} to start, {_START_S / 60:.0f} min at most")

    def _script(self, folder: Path) -> str:
        held = Request(
            ["-h", *pbs_script.options(self.held, folder)], ["/bin/true"], self.held.token
        )
        lines = [
            *pbs_script.opening(),
            f"trial_folder={shlex.quote(str(folder))}",
            f"trial_qsub=({shlex.join(held.command)})",
            f"trial_gpus={self.gpus}",
            "",
            part("pbs_trial.sh"),
        ]
        return "\n".join(lines)

    def wait(self) -> Answers:
        """What the job has found out. Raises Failed if it cannot start, or leaves no word."""
        begun = time.monotonic()
        since, limit_s = begun, _START_S
        while not (answers := self._answers()):
            before = self._phase
            self._ask()
            if self._phase != before:
                since = time.monotonic()
                limit_s = _RUN_S if self._phase == Phase.RUNNING else _SEEN_S
            if self._phase == Phase.WAITING:
                self._waited_s = time.monotonic() - begun
                if _NEVER.search(self._words):
                    raise Failed(f"it never starts: {self._words}")
            if time.monotonic() - since > limit_s:
                raise Failed(self._problem(limit_s))
            time.sleep(_LOOK_S)
        return answers

    def _problem(self, limit_s: float) -> str:
        if self._phase == Phase.WAITING:
            return f"it has not started within {limit_s / 60:.0f} min ({self._words})"
        log = next(iter(self.folder.glob("*.OU")), None) if self.folder else None
        lines = log.read_text(errors="replace").strip().splitlines() if log else []
        said = f"; its last words: {lines[-1]}" if lines else ""
        where = f"nothing in {self.there}: does its node have the same folder there?"
        return f"{self._words}, and left {where}{said}"

    def _answers(self) -> Answers:
        if not self.folder:
            return {}
        # A listing makes a network file system look again.
        if not any(path.name == "answers" for path in self.folder.iterdir()):
            return {}
        lines = (self.folder / "answers").read_text(errors="replace").splitlines()
        return dict(line.partition("=")[::2] for line in lines)

    def _ask(self) -> None:
        """Look at the job in the queue, now and then, and tell of its state when that changes."""
        if time.monotonic() < self._next_ask:
            return
        known = qsub.details([self.job_id], patience_s=_START_S, say=self.say)
        self._next_ask = time.monotonic() + _ASK_S
        state = pbs_states.states(known).get(self.job_id)
        self._phase = state.phase if state else Phase.OVER
        self._words = f"{state.state} ({state.reason})" if state else "gone from the queue"
        told = f"job {self.job_id}: {self._words}"
        if told != self._told:
            self._told = told
            self.say(told)

    def started(self, answers: Answers) -> Finding:
        value = f"ran on {answers.get('host', 'a node')}, {self._waited_s:.0f} s in the queue"
        return Finding("trial job", value, "PBS takes such jobs, and starts them")

    def clear(self) -> None:
        """Leave no job in the queue and nothing in the folder."""
        try:
            self._end()
        except SchedulerError as error:
            self.say(f"{error}; see qstat, and qdel {self.job_id}")
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> None:
        """Delete what is left, once a job that has answered has had the time to end by itself."""
        end = time.monotonic() + (_END_S if self._answers() else 0)
        while left := self._left():
            if time.monotonic() > end:
                self.say(f"deleting {', '.join(left)}")
                qsub.cancel(left)
                return
            time.sleep(_ASK_S)

    def _left(self) -> list[str]:
        """The jobs of this trial that PBS still has, found by what they carry."""
        if not self.folder:
            return []
        tokens = (self.order.token, self.held.token)
        return [s.job_id for s in qsub.jobs().values() if s.is_live and s.token in tokens]


def found_by(answers: Answers, wanted: Resources) -> list[Finding]:
    """What the answers of a job mean for runs that book what is `wanted`."""
    found = [_folder(answers)]
    for name, good, bad in (
        (
            "qstat",
            "a job learns there why it was stopped, and when its time is up",
            "a job cannot ask why it was stopped, and times itself by --minutes alone",
        ),
        (
            "qsub",
            "a run goes on by itself: its job submits the next one",
            "a run cannot go on by itself: give --chain N, or resume it",
        ),
        (
            "qalter",
            "what waits for a run waits for its next job, too",
            "what waits for a run is deleted when it goes on, and submitted again at its end",
        ),
    ):
        if name == "qalter" and _status(answers, "qsub"):
            continue  # there was no job to try it on
        found.append(_command(answers, name, good, bad))
    if _status(answers, "qsub") == 0 and _status(answers, "qdel"):
        bad = "what was submitted there stays until you delete it"
        found.append(_command(answers, "qdel", "", bad))
    found.append(_several_nodes(answers, (wanted.nodes or 1) > 1))
    return [*found, *([_gpus(answers)] if "gpus" in answers else [])]


def _folder(answers: Answers) -> Finding:
    name = "run folder on a node"
    if _status(answers, "mark") == 0:
        return Finding(name, "the same folder", "a job and you see the same files")
    meaning = "what is written here is not seen there: give another --runs"
    return Finding(name, _said(answers, "mark"), meaning, Verdict.FAILS)


def _command(answers: Answers, name: str, good: str, bad: str) -> Finding:
    title = f"{name} on a node"
    if _status(answers, name) == 0:
        return Finding(title, "works", good)
    return Finding(title, f"fails: {_said(answers, name)}", bad, Verdict.MIND)


def _several_nodes(answers: Answers, is_wanted: bool) -> Finding:
    bad = "a run on several nodes cannot start its ranks there"
    found = _command(answers, "pbsdsh", "a run on several nodes starts its ranks by it", bad)
    is_lost = is_wanted and found.verdict != Verdict.HOLDS
    return replace(found, verdict=Verdict.FAILS) if is_lost else found


def _gpus(answers: Answers) -> Finding:
    visible, count = answers.get("visible", ""), len(re.findall("GPU-", answers["gpus"]))
    told = f"CUDA_VISIBLE_DEVICES={visible}" if visible else "no CUDA_VISIBLE_DEVICES"
    value = f"{told}; {count} to be seen for one that was booked"
    if _status(answers, "gpus"):
        value = f"{told}; {_said(answers, 'gpus')}"
    if visible:
        return Finding("GPUs of a job", value, "the site names them, and ranks take those")
    if not count:
        meaning = "which GPUs are a job's is not to be found out: a run that books them is refused"
        return Finding("GPUs of a job", value, meaning, Verdict.FAILS)
    if count == 1:
        return Finding("GPUs of a job", value, "a job sees its own alone, and ranks take those")
    meaning = "a run claims free ones, which other programs may not respect: --exclusive is safe"
    return Finding("GPUs of a job", value, meaning, Verdict.MIND)


def _status(answers: Answers, name: str) -> int:
    """The exit status of what was tried; 1 if it was not."""
    first = answers.get(name, "").partition(" ")[0]
    return int(first) if first.isdigit() else 1


def _said(answers: Answers, name: str) -> str:
    status = _status(answers, name)
    told = {124: "no answer", 127: "no such command"}.get(status, f"exit status {status}")
    return " ".join(answers.get(name, "").partition(" ")[2].split()) or told
