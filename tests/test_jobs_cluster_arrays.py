from pathlib import Path

import pytest
from captured_slurm import CapturedSlurm

from gan.config import ClassifierConfig
from jobs import pipeline, submissions
from jobs.cluster import ClusterLauncher
from jobs.run import Run
from jobs.sweep import sweep


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CapturedSlurm:
    slurm = CapturedSlurm(tmp_path / "slurm", monkeypatch, accounting=False)
    slurm.command("squeue", "true")
    slurm.command("sbatch", f"cd {slurm.folder}; echo x >>calls; wc -l <calls")
    return slurm


@pytest.fixture
def runs(tmp_path: Path, tiny_classifier: ClassifierConfig) -> Run:
    chosen = sweep(tiny_classifier, ["seed=0..2"])
    return pipeline.prepare("classifier-digits", chosen, tmp_path / "runs" / "x", 1, shared=False)


def ids(run: Run, stage: str) -> list[str]:
    records = (submissions.latest(member, stage) for member in run.members().values())
    return [record["job_id"] for record in records if record]


def dependencies(run: Run) -> set[str]:
    records = (submissions.latest(member, "report") for member in run.members().values())
    return {record["dependency"] for record in records if record}


def test_a_sweep_is_an_array(slurm: CapturedSlurm, runs: Run) -> None:
    assert ClusterLauncher(runs, runs.path.parent).submit() == 0
    assert ids(runs, "train") == ["1_0", "1_1", "1_2"]
    assert (ids(runs, "report"), dependencies(runs)) == (["2_0", "2_1", "2_2"], {"aftercorr:1"})


def test_arrays_are_no_larger_than_the_site_allows(slurm: CapturedSlurm, runs: Run) -> None:
    slurm.set(SchedulerParameters="bf_continue,max_array_tasks=2")
    assert ClusterLauncher(runs, runs.path.parent).submit() == 0
    assert ids(runs, "train") == ["1_0", "1_1", "2_0"]
