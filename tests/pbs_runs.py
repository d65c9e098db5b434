"""Runs that are submitted to the stand-in for PBS, whose jobs end as a test says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fake_pbs
import pytest
from fake_pbs import FakePBS

from jobs import cluster, submissions
from jobs.cluster import ClusterLauncher, Options
from jobs.pipeline import stages
from jobs.run import Run
from slurm import qsub
from slurm.resources import Profile


@dataclass
class Site:
    """A cluster, at first without a node: what is submitted waits."""

    pbs: FakePBS
    said: list[str] = field(default_factory=list)

    @property
    def python(self) -> Path:
        """What the jobs take for Python: it ends at once, with the status given to `ending`."""
        return self.pbs.folder / "bin" / "python-of-jobs"

    def ending(self, status: int) -> None:
        self.python.write_text(f"#!/bin/sh\nexit {status}\n")
        self.python.chmod(0o755)

    def submit(self, run: Run, **options: Any) -> int:
        """What `ganymede run ... --on pbs` does with a run that is there."""
        self.said.clear()
        given = Options(Profile(python=str(self.python)), scheduler="pbs", **options)
        return ClusterLauncher(run, run.path.parent, given, self.said.append).submit()

    def open(self) -> None:
        """Give it a node: what can start, starts."""
        self.pbs.change(nodes={"fakepbs": {"ncpus": 8}})

    def close(self) -> None:
        self.pbs.change(nodes={})

    def fail(self, *job_ids: str) -> None:
        """Let jobs run, and fail: PBS deletes what waits for their success."""
        self.ending(1)
        self.open()
        for job_id in job_ids:
            assert self.pbs.wait(job_id)["Exit_status"] == 1
        self.close()

    def state(self, job_id: str) -> tuple[str, str]:
        """A job's letter, and what it waits for."""
        job = self.pbs.job(job_id)
        waits = [part for part in job.get("depend", "").split(",") if part.startswith("after")]
        return job["job_state"], ",".join(waits).replace("@fakepbs", "")

    def live(self) -> list[str]:
        return [job_id for job_id, job in self.pbs.jobs().items() if job["job_state"] in "QHRE"]


@contextmanager
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for module in (qsub, cluster):
        monkeypatch.setattr(module, "_LOOK_AGAIN_S", 0.01)
    monkeypatch.chdir(tmp_path)  # where the outputs of jobs go
    monkeypatch.chdir(tmp_path)  # where the outputs of jobs go
    found = Site(fake_pbs.install(tmp_path, monkeypatch))
    found.close()
    found.pbs.change(blind_s=0.0)
    found.ending(0)
    yield found
    found.pbs.stop()


def jobs_of(run: Run) -> dict[str, str]:
    """Job by run and stage, as on record."""
    return {
        f"{stage.run.path.name} {stage.name}": record["job_id"]
        for stage in stages(run)
        if (record := submissions.latest(stage.run, stage.name)) and "job_id" in record
    }


def record_of(run: Run, stage: str) -> dict[str, Any]:
    found = submissions.latest(run, stage)
    assert found is not None
    return found


def at_the_same_time(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, other: Callable[[], object]
) -> None:
    """Have somebody else do something right after the next call of a method or function."""
    original = getattr(owner, name)

    def call(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(owner, name, original)
        answer = original(*arguments, **options)
        other()
        return answer

    monkeypatch.setattr(owner, name, call)
