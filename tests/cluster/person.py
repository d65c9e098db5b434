"""Somebody who uses `ganymede` from a home folder, and what can be seen of it, wherever it runs."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from accounts import account, give
from cluster import Cluster

from checkpoints import Store
from jobs import records, submissions
from jobs.run import Run

# A pair of networks that trains for about ten seconds on two ranks.
TINY = (
    "acgan-digits", "--data.image-size", "8", "--model.width", "4", "--train.epochs", "2",
    "--train.passes-per-epoch", "8", "--train.log-every", "20", "--train.final-samples", "20",
    "--train.grid-rows", "2", "--train.checkpoint-minutes", "0.05", "--threads", "1",
)  # fmt: skip
TOTAL_STEPS = 352
EPOCH = 176
STAGES = ("train", "sample", "report")
ROOT = Path(__file__).parent.parent.parent
FAULTS = Path(__file__).parent / "faults"


@dataclass(frozen=True)
class Calls:
    """How often a command was called, by whom has this environment."""

    environment: dict[str, str]
    count: Callable[[], int]


@dataclass
class Person:
    """Whoever acts; a subclass for each place says how one does things there."""

    home: Path
    profile_flags: tuple[str, ...] = field(default=(), init=False)
    place: ClassVar[str]  # as --on has it
    held: ClassVar[tuple[str, ...]]  # flags of what is to stay in the queue

    def environment(self) -> dict[str, str]:
        """Without what belongs to whoever runs the tests."""
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL", "TERM")}
        ours = {"HOME": str(self.home), "USER": account().pw_name, "PYTHONPATH": str(ROOT)}
        return kept | ours

    def command(
        self,
        *command: str,
        check: bool = True,
        environment: dict[str, str] | None = None,
        seconds: float = 300,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the user, in the home folder."""
        process = self.popen(*command, environment=environment)
        output, errors = process.communicate(timeout=seconds)
        done = subprocess.CompletedProcess(command, process.returncode, output, errors)
        assert not check or done.returncode == 0, f"{command}: {output}{errors}"
        return done

    def popen(
        self, *command: str, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.home,
            env=self.environment() | (environment or {}),
            user=account().pw_uid,
            group=account().pw_gid,
            extra_groups=[],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ganymede(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.command(sys.executable, "-m", "jobs.cli", *arguments, **options)

    # What is done in another way at each place

    def booking(self, ranks: int, minutes: float) -> tuple[str, ...]:
        return ("--on", self.place, "--nodes", f"{ranks}", "--minutes", f"{minutes}")

    def launch(
        self,
        name: str,
        *flags: str,
        ranks: int = 1,
        minutes: float = 10,
        recipe: tuple[str, ...] = TINY,
        environment: dict[str, str] | None = None,
    ) -> str:
        """Give the command that starts a run or goes on with it; returns what it said."""
        booking = (*self.booking(ranks, minutes), *self.profile_flags)
        return self.give("run", *recipe, "--name", name, *booking, *flags, environment=environment)

    def resume(self, name: str) -> str:
        return self.give("resume", name, *self.booking(1, 10), *self.profile_flags)

    def give(self, *arguments: str, environment: dict[str, str] | None = None) -> str:
        """A command that brings a run under way; what it said."""
        return self.ganymede(*arguments, environment=environment).stdout

    def go_on(self, name: str) -> None:
        """Do what a stopped run needs to go on: nothing, where there is a scheduler."""

    def bring_to_end(self, name: str, seconds: float = 300) -> None:
        """Return once a run is finished, whatever has to be done for that."""
        self.wait_until_finished(name, seconds)

    def meet(self, fault: str, retries: int = 0) -> None:
        """Have all jobs from now on meet a fault (see `faults/sitecustomize.py`)."""
        self.profile(f"{self.fault(fault, once=False)}\nretries = {retries}")
        self.profile_flags = ("--profile", "test")

    def is_one_job(self, attempts: list[dict[str, Any]]) -> bool:
        """Whether attempts are those of what was submitted once, stopped for something else."""
        return len({record["job_id"] for record in attempts}) == 1

    def is_one_line(self, attempts: list[dict[str, Any]]) -> bool:
        """Whether they are, stopped by the time limit."""
        raise NotImplementedError

    def queue(self) -> list[str]:
        """The jobs that wait or run."""
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """Have the scheduler remove a run's training, by its own command."""
        raise NotImplementedError

    def preempt(self, name: str) -> None:
        """Have what trains stop as if for something that goes first."""
        raise NotImplementedError

    def kill_all(self, name: str) -> None:
        """End every process of a run's training without a warning."""
        raise NotImplementedError

    def count_submissions(self) -> "Calls":
        raise NotImplementedError

    def known_jobs(self) -> list[str]:
        """The jobs that the scheduler still knows, ended or not."""
        raise NotImplementedError

    @contextlib.contextmanager
    def forgetful_scheduler(self) -> Iterator[Callable[[], None]]:
        """The scheduler forgets what has ended, by itself or as often as it is told to."""
        raise NotImplementedError
        yield

    def close(self) -> None:
        """Leave nothing behind."""
        raise NotImplementedError

    # What can be seen everywhere

    def run(self, name: str) -> Run:
        return Run(self.home / "runs" / name)

    def attempts(self, name: str, stage: str = "train") -> list[dict[str, Any]]:
        run = self.run(name)
        return [records.read(run.attempt_file(stage, n)) for n in records.numbers(run, stage)]

    def causes(self, name: str, stage: str = "train") -> list[str | None]:
        return [record.get("cause") for record in self.attempts(name, stage)]

    def status(self, name: str) -> list[dict[str, Any]]:
        """`ganymede status`, a row for each stage."""
        return list(json.loads(self.ganymede("status", name, "--json").stdout))

    def rows(self, name: str) -> dict[str, dict[str, Any]]:
        """`ganymede status` by stage."""
        return {row["stage"]: row for row in self.status(name)}

    def step(self, name: str) -> int:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(json.loads(self.run(name).progress_file("train").read_text())["step"])
        return 0

    def train_job(self, name: str) -> str:
        """The job that the newest submission of a training has made."""
        record = submissions.latest(self.run(name), "train")
        assert record
        return str(record["job_id"])

    def wait_for(self, holds: Callable[[], object], seconds: float = 120) -> None:
        Cluster.wait_for(holds, seconds)

    def wait_for_step(self, name: str, step: int, attempt: int = 1, seconds: float = 120) -> None:
        """Return once the given attempt is at work beyond `step`."""

        def is_there() -> bool:
            running = self.attempts(name)
            present = len(running) >= attempt and "cause" not in running[-1]
            return present and self.step(name) > step

        self.wait_for(is_there, seconds)

    def wait_for_attempts(self, name: str, count: int, seconds: float = 120) -> None:
        """Return once so many attempts have ended."""

        def ended() -> bool:
            return sum(cause is not None for cause in self.causes(name)) >= count

        self.wait_for(ended, seconds)

    def is_finished(self, name: str) -> bool:
        """Whether every stage of a run has its completion record."""
        return all(records.completion(self.run(name), stage) for stage in STAGES)

    def wait_until_finished(self, name: str, seconds: float = 240) -> None:
        self.wait_for(lambda: self.is_finished(name), seconds)

    def final_state(self, name: str) -> dict[str, Any]:
        """The tensors of a run's last checkpoint."""
        run = self.run(name)
        store: Store = run.store()
        return store.open(records.require(run, "train")["result"]["steps"]).load()

    def logs(self, name: str) -> str:
        texts = [p.read_text() for p in sorted((self.run(name).path / "logs").glob("*_log.out"))]
        assert texts, f"{name} has no logs"
        return "\n".join(texts)

    def tell_all(self) -> None:
        """Print what is known of all runs."""
        for path in sorted(self.home.glob("runs/**/*")):
            if path.suffix == ".json" and path.parent.name in ("attempts", "submissions", "stages"):
                print(f"==> {path} <==\n{path.read_text()}")
            elif path.name.endswith("_log.out"):
                print(f"==> {path} <==\n{path.read_text()[-5000:]}")

    def profile(self, text: str) -> None:
        """Write the profile `test`."""
        folder = self.home / ".config" / "ganymede"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "clusters.toml").write_text(f"[test]\n{text}\n")
        for path in (folder.parent, folder, folder / "clusters.toml"):
            give(path)
        (folder / "clusters.toml").chmod(0o644)

    def fault(self, what: str, once: bool = True) -> str:
        """A profile whose jobs meet a fault (see `faults/sitecustomize.py`), the first of them only
        if `once`.
        """
        marker = self.home / "fault-met"
        first = f"[ -e {marker} ] || {{ touch {marker}; export GANYMEDE_FAULT={what}; }}"
        line = first if once else f"export GANYMEDE_FAULT={what}"
        path = f"export PYTHONPATH={FAULTS}:$PYTHONPATH"
        return f"setup = [{json.dumps(path)}, {json.dumps(line)}]"

    def count_calls(self, name: str, *beside: str) -> Calls:
        """Put a script before a command that notes each call, then makes it; `beside` are commands
        that have to be in the same folder.
        """
        folder, search = self.home / "bin", self.environment()["PATH"]
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        for each in (name, *beside):
            real = shutil.which(each, path=search)
            note = f"echo >> {folder}/{name}.calls\n" if each == name else ""
            (folder / each).write_text(f'#!/bin/sh\n{note}exec {real} "$@"\n')
            (folder / each).chmod(0o755)
        calls = folder / f"{name}.calls"
        path = {"PATH": f"{folder}:{search}"}
        return Calls(path, lambda: len(calls.read_text().splitlines()) if calls.exists() else 0)
