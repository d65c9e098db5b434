"""What an ordinary user does on the test cluster, and what can be seen of it."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from cluster import Cluster, user_name

from checkpoints import Store
from jobs import records
from jobs.run import Run

# A pair of networks that trains for about ten seconds on two ranks.
TINY = (
    "acgan-digits", "--data.image-size", "8", "--model.width", "4", "--train.epochs", "2",
    "--train.passes-per-epoch", "8", "--train.log-every", "20", "--train.final-samples", "20",
    "--train.grid-rows", "2", "--train.checkpoint-minutes", "0.05",
)  # fmt: skip
TOTAL_STEPS = 352
EPOCH = 176
TWO_RANKS = ("--nodes", "2", "--minutes", "10")
_FAULTS = Path(__file__).parent / "faults"


@dataclass(frozen=True)
class Calls:
    """How often a command was called, by whom has this environment."""

    file: Path
    environment: dict[str, str]

    def count(self) -> int:
        return len(self.file.read_text().splitlines()) if self.file.exists() else 0


@dataclass
class User:
    """A person with a home folder on the cluster."""

    cluster: Cluster
    home: Path

    def command(
        self, *command: str, check: bool = True, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the user, in the home folder."""
        process = self.popen(*command, environment=environment)
        output, errors = process.communicate(timeout=300)
        done = subprocess.CompletedProcess(command, process.returncode, output, errors)
        assert not check or done.returncode == 0, f"{command}: {output}{errors}"
        return done

    def popen(
        self, *command: str, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        account = pwd.getpwnam(user_name())
        return subprocess.Popen(
            command,
            cwd=self.home,
            env=self.cluster.environment()
            | {"HOME": str(self.home), "USER": account.pw_name, "PYTHONPATH": _source()}
            | (environment or {}),
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ganymede(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.command(sys.executable, "-m", "jobs.cli", *arguments, **options)

    def start(self, name: str, *flags: str, recipe: tuple[str, ...] = TINY) -> str:
        """Submit a run; returns the number of its training job."""
        flags = flags if "--nodes" in flags else (*TWO_RANKS, *flags)
        output = self.ganymede("run", *recipe, "--name", name, "--on", "slurm", *flags).stdout
        words = next(line for line in output.splitlines() if f"{name} train: job" in line).split()
        return words[3].rstrip(",")

    def profile(self, text: str) -> None:
        """Write the profile `test`."""
        folder = self.home / ".config" / "ganymede"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "clusters.toml").write_text(f"[test]\n{text}\n")
        for path in (folder.parent, folder, folder / "clusters.toml"):
            account = pwd.getpwnam(user_name())
            os.chown(path, account.pw_uid, account.pw_gid)
        (folder / "clusters.toml").chmod(0o644)

    def fault(self, what: str, once: bool = True) -> str:
        """A profile whose jobs meet a fault (see `faults/sitecustomize.py`), the first of them only
        if `once`.
        """
        marker = self.home / "fault-met"
        first = f"[ -e {marker} ] || {{ touch {marker}; export GANYMEDE_FAULT={what}; }}"
        line = first if once else f"export GANYMEDE_FAULT={what}"
        path = f"export PYTHONPATH={_FAULTS}:$PYTHONPATH"
        return f"setup = [{json.dumps(path)}, {json.dumps(line)}]"

    def run(self, name: str) -> Run:
        return Run(self.home / "runs" / name)

    def attempts(self, name: str, stage: str = "train") -> list[dict[str, Any]]:
        run = self.run(name)
        return [records.read(run.attempt_file(stage, n)) for n in records.numbers(run, stage)]

    def causes(self, name: str, stage: str = "train") -> list[str | None]:
        return [record.get("cause") for record in self.attempts(name, stage)]

    def rows(self, name: str) -> dict[str, dict[str, Any]]:
        """`ganymede status` by stage."""
        output = self.ganymede("status", name, "--json").stdout
        return {row["stage"]: row for row in json.loads(output)}

    def step(self, name: str) -> int:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int(json.loads(self.run(name).progress_file("train").read_text())["step"])
        return 0

    def wait_for_step(self, name: str, step: int, attempt: int = 1, seconds: float = 120) -> None:
        """Return once the given attempt is at work beyond `step`."""

        def is_there() -> bool:
            running = self.attempts(name)
            present = len(running) >= attempt and "cause" not in running[-1]
            return present and self.step(name) > step

        self.cluster.wait_for(is_there, seconds)

    def wait_for_attempts(self, name: str, count: int, seconds: float = 120) -> None:
        """Return once so many attempts have ended."""

        def ended() -> bool:
            return sum(cause is not None for cause in self.causes(name)) >= count

        self.cluster.wait_for(ended, seconds)

    def wait_until_finished(self, name: str, seconds: float = 240) -> None:
        """Return once every stage of a run has its completion record."""
        run = self.run(name)
        stages = ("train", "sample", "report")
        self.cluster.wait_for(lambda: all(records.completion(run, s) for s in stages), seconds)

    def final_state(self, name: str) -> dict[str, Any]:
        """The tensors of a run's last checkpoint."""
        run = self.run(name)
        store: Store = run.store()
        return store.open(records.require(run, "train")["result"]["steps"]).load()

    def logs(self, name: str) -> str:
        return "\n".join(p.read_text() for p in sorted(self.run(name).logs.glob("*_log.out")))

    def tell_all(self) -> None:
        """Print what is known of all runs."""
        print(self.command("squeue", "--states=all", check=False).stdout)
        for name in ("slurmctld.log", "slurmd-n1.log"):
            text = (self.cluster.folder / name).read_text()
            print(f"==> {name} <==\n" + "\n".join(text.splitlines()[-40:]))
        for path in sorted(self.home.glob("runs/**/*")):
            if path.suffix == ".json" and path.parent.name in ("attempts", "submissions", "stages"):
                print(f"==> {path} <==\n{path.read_text()}")
            elif path.name.endswith("_log.out"):
                print(f"==> {path} <==\n{path.read_text()[-5000:]}")

    def rank(self, job_id: str, rank: int) -> psutil.Process:
        """The Python process of one rank of a job."""
        for process in processes(job_id):
            with contextlib.suppress(psutil.Error):
                environment = process.environ()
                is_python = "submitit.core._submit" in process.cmdline()
                if is_python and environment.get("SLURM_PROCID") == str(rank):
                    return process
        raise LookupError(f"no rank {rank} of job {job_id}")

    def scancel(self, job_id: str) -> None:
        self.command("scancel", job_id)

    def wait_for(self, holds: Callable[[], object], seconds: float = 120) -> None:
        self.cluster.wait_for(holds, seconds)

    def count_calls(self, name: str) -> "Calls":
        """Put a script before a command that notes each call, then makes it."""
        folder = self.home / "bin"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        real = shutil.which(name)
        (folder / name).write_text(f'#!/bin/sh\necho >> {folder}/{name}.calls\nexec {real} "$@"\n')
        (folder / name).chmod(0o755)
        path = f"{folder}:{self.cluster.environment()['PATH']}"
        return Calls(folder / f"{name}.calls", {"PATH": path})

    def preempt(self) -> None:
        """Submit a short job to the partition that goes first; it needs all nodes."""
        self.command("sbatch", "-p", "high", "-N", "4", "-o", "/dev/null", "--wrap", "sleep 1")


def processes(job_id: str) -> list[psutil.Process]:
    """All live processes of a job's ranks."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get("SLURM_JOB_ID") == job_id and "_submit" in str(
                process.cmdline()
            ):
                found.append(process)
    return found


def kill(process: psutil.Process) -> None:
    process.send_signal(signal.SIGKILL)


def _source() -> str:
    """The checkout, for an interpreter into which another one may be installed."""
    return str(Path(__file__).parent.parent.parent)
