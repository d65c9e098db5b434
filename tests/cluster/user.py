"""What an ordinary user does on the Slurm of these tests, and what can be seen of it."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import psutil
from accounts import kill, processes_of
from cluster import Cluster
from person import EPOCH, TINY, TOTAL_STEPS, Calls, Person

__all__ = ["EPOCH", "TINY", "TOTAL_STEPS", "TWO_RANKS", "Calls", "User", "kill", "processes"]
TWO_RANKS = ("--nodes", "2", "--minutes", "10")


@dataclass
class User(Person):
    """A person with a home folder on the cluster."""

    cluster: Cluster
    place: ClassVar[str] = "slurm"
    held: ClassVar[tuple[str, ...]] = ("--extra", "hold")

    def environment(self) -> dict[str, str]:
        return super().environment() | self.cluster.environment()

    def start(self, name: str, *flags: str, recipe: tuple[str, ...] = TINY) -> str:
        """Submit a run; returns the number of its training job."""
        flags = flags if "--nodes" in flags else (*TWO_RANKS, *flags)
        output = self.ganymede("run", *recipe, "--name", name, "--on", "slurm", *flags).stdout
        words = next(line for line in output.splitlines() if f"{name} train: job" in line).split()
        return words[3].rstrip(",")

    def is_one_line(self, attempts: list[dict[str, Any]]) -> bool:
        return len({record["job_id"] for record in attempts}) == 1

    def queue(self) -> list[str]:
        return self.command("squeue", "--noheader", "--me", "-o", "%i").stdout.split()

    def remove(self, name: str) -> None:
        self.scancel(self.train_job(name))

    def preempt(self, name: str = "run") -> None:
        """Submit a short job to the partition that goes first; it needs all nodes."""
        self.command("sbatch", "-p", "high", "-N", "4", "-o", "/dev/null", "--wrap", "sleep 1")

    def kill_all(self, name: str) -> None:
        job_id = self.train_job(name)
        while found := [p for p in processes_of("SLURM_JOB_ID", job_id) if self._is_of(p)]:
            kill(*found)

    def _is_of(self, process: psutil.Process) -> bool:
        """Whether a process is of this cluster: others number their jobs likewise."""
        with contextlib.suppress(psutil.Error):
            return process.environ().get("SLURM_CONF") == self.environment()["SLURM_CONF"]
        return False

    def count_submissions(self) -> Calls:
        return self.count_calls("sbatch")

    def known_jobs(self) -> list[str]:
        command = ("squeue", "--noheader", "--me", "--states=all", "-o", "%i")
        return self.command(*command).stdout.split()

    @contextlib.contextmanager
    def forgetful_scheduler(self) -> Iterator[Callable[[], None]]:
        self.cluster.forget_jobs_after(2)
        try:
            yield lambda: None
        finally:
            self.cluster.forget_jobs_after(300)

    def close(self) -> None:
        self.cluster.clear_queue()

    def tell_all(self) -> None:
        print(self.command("squeue", "--states=all", check=False).stdout)
        for name in ("slurmctld.log", "slurmd-n1.log"):
            text = (self.cluster.folder / name).read_text()
            print(f"==> {name} <==\n" + "\n".join(text.splitlines()[-40:]))
        super().tell_all()

    def rank(self, job_id: str, rank: int) -> psutil.Process:
        """The Python process of one rank of a job."""
        for process in processes(job_id):
            with contextlib.suppress(psutil.Error):
                environment = process.environ()
                is_python = "slurm.start" in process.cmdline()
                if is_python and environment.get("SLURM_PROCID") == str(rank):
                    return process
        raise LookupError(f"no rank {rank} of job {job_id}")

    def scancel(self, job_id: str) -> None:
        self.command("scancel", job_id)


def processes(job_id: str) -> list[psutil.Process]:
    """All live processes of a job's ranks."""
    found = []
    for process in processes_of("SLURM_JOB_ID", job_id):
        with contextlib.suppress(psutil.Error):
            if "slurm.start" in process.cmdline():
                found.append(process)
    return found
