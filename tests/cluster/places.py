"""Where the contract of runs is tried beside Slurm: this machine's foreground, and PBS."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import psutil
from accounts import account, kill, processes_of
from fake_pbs import COMMANDS, FakePBS
from person import FAULTS, Calls, Person

PLACES = ("local", "slurm", "pbs", "openpbs")
# What a place does not have, and why; a test asks for it by the mark `needs`.
LACKS = {
    "local": {
        "queue": "nothing waits in a queue here: the launcher starts what can start",
        "scheduler": "no scheduler that could remove or forget a job",
    },
    "slurm": {},
    "pbs": {},
    "openpbs": {},
}
# Of the training in the test of preemption.
RANKS = {"local": 1, "slurm": 2, "pbs": 2, "openpbs": 2}
# What an attempt that was stopped for something else is said to have met.
STOPPED = {"local": "terminated", "slurm": "preempted", "pbs": "preempted", "openpbs": "preempted"}
# How often a training is started that always crashes, where one retry is allowed.
TRIES = {"local": 1, "slurm": 2, "pbs": 2, "openpbs": 2}
# What is said of a stage that is not begun any more, and why.
_TOLD = ("cancelled", "never began, since train {}")
UNBEGUN = {"local": ("waiting", ""), "slurm": _TOLD, "pbs": _TOLD, "openpbs": _TOLD}
# How many calls submit a sweep of three runs of three stages.
CALLS_OF_A_SWEEP = {"local": 9, "slurm": 3, "pbs": 9, "openpbs": 9}
# Seconds before its time limit by which a job stops, at most; and the shortest limit there is.
MARGIN_S = {"local": 5, "slurm": 15, "pbs": 15, "openpbs": 15}
LEAST_S = {"local": 0, "slurm": 60, "pbs": 0, "openpbs": 0}


@dataclass
class Here(Person):
    """In the foreground. A launcher is a process beside the test's own."""

    place: ClassVar[str] = "local"
    launchers: list[tuple[tuple[str, ...], "subprocess.Popen[str]"]] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        found = super().environment()
        path = {"PYTHONPATH": f"{FAULTS}{os.pathsep}{found['PYTHONPATH']}"} if self.faults else {}
        return found | path | self.faults

    def booking(self, ranks: int, minutes: float) -> tuple[str, ...]:
        assert ranks == 1
        return ("--here", "--minutes", f"{minutes}")

    def give(self, *arguments: str, environment: dict[str, str] | None = None) -> str:
        """It goes on beside the test, and says nothing to it."""
        command = ("sh", "-c", 'exec "$@" >> launcher.out 2>&1', "sh", sys.executable, "-m")
        process = self.popen(*command, "jobs.cli", *arguments, environment=environment)
        self.launchers.append((arguments, process))
        return ""

    def go_on(self, name: str) -> None:
        """By the same command: nobody else goes on with a run here."""
        self.wait_for(lambda: not self.queue())
        self.give(*self.launchers[-1][0])

    def bring_to_end(self, name: str, seconds: float = 300) -> None:
        end = time.monotonic() + seconds
        self.wait_for(lambda: not self.queue(), seconds)
        while not self.is_finished(name):
            self.go_on(name)
            self.wait_for(lambda: not self.queue(), max(end - time.monotonic(), 0))

    def meet(self, fault: str, retries: int = 0) -> None:
        self.faults = {"GANYMEDE_FAULT": fault}

    def is_one_job(self, attempts: list[dict[str, Any]]) -> bool:
        return len({record["job_id"] for record in attempts}) == len(attempts)

    is_one_line = is_one_job

    def queue(self) -> list[str]:
        """The launchers."""
        return [f"{process.pid}" for _, process in self.launchers if process.poll() is None]

    def preempt(self, name: str) -> None:
        os.kill(self.attempts(name)[-1]["pid"], signal.SIGTERM)

    def kill_all(self, name: str) -> None:
        for _, launcher in self.launchers:
            if launcher.poll() is None:
                process = psutil.Process(launcher.pid)
                kill(process, *process.children(recursive=True))
                launcher.wait()

    def count_submissions(self) -> Calls:
        """What began: of two launchers that start a job at the same moment, one is refused."""
        return Calls({}, lambda: len(list(self.home.glob("runs/**/attempts/*-[0-9]*.json"))))

    def close(self) -> None:
        self.kill_all("")
        for _, process in self.launchers:
            process.communicate()

    def tell_all(self) -> None:
        if (log := self.home / "launcher.out").exists():
            print(log.read_text()[-5000:])
        super().tell_all()


@dataclass
class OnPBS(Person):
    """By the commands of PBS, whichever it is."""

    place: ClassVar[str] = "pbs"
    held: ClassVar[tuple[str, ...]] = ("--extra", "h")

    def is_one_line(self, attempts: list[dict[str, Any]]) -> bool:
        """Each a job of its own."""
        jobs = [record["job_id"] for record in attempts]
        return {record["line"] for record in attempts} == {jobs[0]} and len(set(jobs)) == len(jobs)

    def queue(self) -> list[str]:
        return self.command("qselect", "-u", account().pw_name).stdout.split()

    def remove(self, name: str) -> None:
        self.command("qdel", self.train_job(name))

    def kill_all(self, name: str) -> None:
        job_id = self.attempts(name)[-1]["job_id"]
        while found := [p for p in processes_of("PBS_JOBID", job_id) if self.is_of_job(p)]:
            kill(*found)

    def is_of_job(self, process: psutil.Process) -> bool:
        """Whether a process is of this server: another one may number its jobs likewise."""
        return True

    def count_submissions(self) -> Calls:
        return self.count_calls("qsub", *(name for name in COMMANDS if name != "qsub"))

    def known_jobs(self) -> list[str]:
        return self.command("qselect", "-x", "-u", account().pw_name).stdout.split()

    @contextlib.contextmanager
    def forgetful_scheduler(self) -> Iterator[Callable[[], None]]:
        yield self.forget

    def forget(self) -> None:
        for job_id in set(self.known_jobs()) - set(self.queue()):
            self.command("qdel", "-x", job_id)

    def close(self) -> None:
        """The last first: what waits, then what it waits for."""
        for options in ([], ["-W", "force"]):
            for job_id in reversed(self.queue()):
                self.command("qdel", *options, job_id, check=False)
            with contextlib.suppress(TimeoutError):
                self.wait_for(lambda: not self.queue(), 60)

    def tell_all(self) -> None:
        answer = self.command("qstat", "-x", "-f", "-F", "json", check=False).stdout
        for job_id, job in json.loads(answer or "{}", strict=False).get("Jobs", {}).items():
            told = ("Job_Name", "job_state", "substate", "Exit_status", "depend", "comment")
            print(job_id, *(f"{name}={job[name]}" for name in told if name in job))
        super().tell_all()


@dataclass
class OnStandIn(OnPBS):
    """On a stand-in for PBS that runs as whoever acts."""

    pbs: FakePBS

    def environment(self) -> dict[str, str]:
        found = super().environment()
        return found | {"PATH": f"{self.pbs.folder / 'bin'}{os.pathsep}{found['PATH']}"}

    def preempt(self, name: str) -> None:
        self.pbs.requeue(self.attempts(name)[-1]["job_id"])

    def is_of_job(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            cookie = process.environ().get("PBS_JOBCOOKIE", "")
            return cookie.startswith(f"{self.pbs.folder}:")
        return False


@dataclass
class OnOpenPBS(OnPBS):
    """On the real one of this machine, whose operator is root."""

    bin: ClassVar[Path] = Path("/opt/pbs/bin")

    def environment(self) -> dict[str, str]:
        found = super().environment()
        return found | {"PATH": f"{self.bin}{os.pathsep}{found['PATH']}"}

    def preempt(self, name: str) -> None:
        job_id = self.attempts(name)[-1]["job_id"]
        subprocess.run([self.bin / "qrerun", job_id], check=True, timeout=120)
