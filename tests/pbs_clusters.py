"""The stand-in for PBS and a real one, for tests of what both do."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fake_pbs
import pytest
import real_pbs

Done = subprocess.CompletedProcess[str]
# A shell that waits without a child: a real MoM notices late that a child has ended.
IDLES = "exec 3<> <(:); while true; do read -rt 0.1 -u 3; done"
OK, FAILED, DELETED = 92, 93, 91  # substates of jobs that are over


@dataclass
class Cluster:
    """Somebody who uses one, in a folder of their own."""

    folder: Path
    call: Callable[[list[str], Path], Done]
    host: str
    submitted: list[str] = field(default_factory=list)

    def run(self, *words: str) -> Done:
        return self.call(list(words), self.folder)

    def ask(self, *words: str) -> tuple[int, str]:
        """The exit status and the first line on stderr, without the server's name."""
        done = self.run(*words)
        return done.returncode, done.stderr.partition("\n")[0].replace(self.host, "HOST")

    def submit(self, *words: str) -> str:
        done = self.run("qsub", *words)
        assert done.returncode == 0, done.stderr
        self.submitted.append(done.stdout.strip())
        return self.submitted[-1]

    def true(self, *options: str) -> str:
        return self.submit(*options, "--", "/bin/true")

    def bash(self, program: str, *options: str) -> str:
        """Submit a shell that leads its session and runs `program`."""
        return self.submit(*options, "--", "/bin/bash", "-c", program)

    def show(self, *job_ids: str) -> dict[str, dict[str, Any]]:
        done = self.run("qstat", "-x", "-E", "-f", "-F", "json", *job_ids)
        return json.loads(done.stdout).get("Jobs", {})

    def wait(
        self, *job_ids: str, states: str = "F", once: Callable[[dict[str, Any]], bool] | None = None
    ) -> list[dict[str, Any]]:
        """What is shown of jobs once all are in one of the states."""
        deadline = time.monotonic() + 60
        while True:
            shown = self.show(*job_ids)
            jobs = [shown.get(job_id, {"job_state": "-"}) for job_id in job_ids]
            if all(job["job_state"] in states and (not once or once(job)) for job in jobs):
                return jobs
            assert time.monotonic() < deadline, f"not all are in {states}: {jobs}"
            time.sleep(0.05)

    def wait_for_start(self, *job_ids: str) -> list[dict[str, Any]]:
        """What is shown of jobs once they get signals."""
        return self.wait(*job_ids, states="R", once=lambda job: job["substate"] == 42)

    @property
    def started(self) -> str:
        """What a program says to `until_it_runs`."""
        return f"touch {self.folder}/started"

    def until_it_runs(self, job_id: str) -> dict[str, Any]:
        """What is shown of a job once it wants to be sent signals, and gets them."""
        (job,) = self.wait_for_start(job_id)
        while not (self.folder / "started").exists():
            time.sleep(0.02)
        return job

    def until(self, name: str) -> str:
        """What a program does to wait for a file."""
        return f"until [ -e {self.folder}/{name} ]; do sleep 0.05; done"

    def write(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text)
        owner = self.folder.stat()
        os.chown(self.folder / name, owner.st_uid, owner.st_gid)

    def text(self, name: str) -> str:
        return (self.folder / name).read_text(errors="replace")

    def last(self, name: str) -> float:
        """The time that a program has noted last; the line may have been cut short."""
        return float([line for line in self.text(name).splitlines() if len(line) > 15][-1])


def after(kind: str, *parents: str) -> tuple[str, str]:
    return "-W", f"depend={kind}:{':'.join(parents)}"


def number(job_id: str) -> str:
    return job_id.partition(".")[0].partition("[")[0]


def ended(job: dict[str, Any]) -> tuple[int | None, int]:
    """Exit status, if it has any, and substate."""
    return job.get("Exit_status"), job["substate"]


@contextmanager
def use(kind: str, folder: Path) -> Iterator[Cluster]:
    """A "fake" one below `folder`, or the "real" one."""
    with fake_cluster(folder) if kind == "fake" else real_cluster() as cluster:
        yield cluster


@contextmanager
def fake_cluster(folder: Path) -> Iterator[Cluster]:
    with closing(fake_pbs.install(folder)) as pbs:
        yield use_fake(pbs, folder)


def use_fake(pbs: fake_pbs.FakePBS, folder: Path) -> Cluster:
    environment = pbs.environment()

    def call(command: list[str], where: Path) -> Done:
        return subprocess.run(
            command, cwd=where, env=environment, capture_output=True, text=True, check=False
        )

    return Cluster(folder, call, "fakepbs")


@contextmanager
def real_cluster() -> Iterator[Cluster]:
    """Skips the test if there is none; deletes its jobs in the end."""
    if reason := real_pbs.why_not():
        pytest.skip(reason)
    with real_pbs.folder() as folder:
        cluster = Cluster(folder, real_pbs.run, json.loads(
            real_pbs.run(["qstat", "-B", "-f", "-F", "json"], folder).stdout
        )["pbs_server"])  # fmt: skip
        try:
            yield cluster
        finally:
            for job_id in cluster.submitted:  # one by one: a list may bring a server down
                cluster.run("qdel", "-W", "force", job_id)
