"""What a script of the user's own finds to do."""

from collections.abc import Iterator
from pathlib import Path

import fake_pbs
import pytest
from conftest import TINY_FLAGS
from fake_pbs import FakePBS
from fake_slurm import install
from submitit.core.utils import DelayedSubmission

from jobs import records, work
from jobs.run import Run
from jobs.train import Train
from slurm import qsub, succession
from slurm.errors import SchedulerError
from slurm.pbs_booking import Booking
from slurm.qsub import Request

ARGUMENTS = ["classifier-digits", *TINY_FLAGS[:-2], "--name", "x"]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the script has exported it."""
    install(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    values = {
        "SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "7", "GANYMEDE_SCHEDULER": "slurm",
        "GANYMEDE_JOB": "7", "GANYMEDE_LINE": "7", "GANYMEDE_CORES": "3",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_a_pickle_for_each_stage_in_their_order(job: None, tmp_path: Path) -> None:
    folder = work.lay_out_for_slurm(ARGUMENTS)
    run = Run(Path("runs/x"))
    assert folder == tmp_path / "runs" / "x" / "logs"
    assert sorted(path.name for path in folder.iterdir()) == [
        "7.0000-train.pkl", "7.0001-report.pkl"
    ]  # fmt: skip
    assert run.threads == 3
    job = DelayedSubmission.load(folder / "7.0000-train.pkl").function
    assert job == Train(run.path.resolve())
    records.complete(run, "train", [], {"steps": 1})
    work.lay_out_for_slurm(ARGUMENTS)
    assert [path.name for path in folder.iterdir()] == ["7.0001-report.pkl"]


@pytest.mark.parametrize(
    ("name", "value", "is_lifted"),
    [
        ("GANYMEDE_RESTARTS", "0", True),  # asked for by a person
        ("GANYMEDE_RESTARTS", "1", False),  # queued again
        ("GANYMEDE_LINE", "6", False),  # goes on from another job
    ],
)
def test_a_cancellation_holds_until_somebody_asks_anew(
    job: None, monkeypatch: pytest.MonkeyPatch, name: str, value: str, is_lifted: bool
) -> None:
    work.lay_out_for_slurm(ARGUMENTS)
    run = Run(Path("runs/x"))
    run.cancel_file.write_text("{}")
    monkeypatch.setenv(name, value)
    work.lay_out_for_slurm(ARGUMENTS)
    assert run.cancel_file.exists() != is_lifted


# For run.pbs


@pytest.fixture
def pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePBS]:
    """This process is in job 1, which the script runs in."""
    found = fake_pbs.install(tmp_path, monkeypatch)
    found.change(nodes={"n1": {"ncpus": 0, "ngpus": 0}})
    monkeypatch.chdir(tmp_path)
    options = ["-N", "mine", "-l", "select=2:ncpus=6:mpiprocs=2:ngpus=2", "-l", "walltime=90"]
    values = {
        "PBS_JOBID": qsub.submit(Request(options, ("/bin/true",), "t1")),
        "GANYMEDE_HOME": "/home of it", "GANYMEDE_STARTED": "1700000000.5", "GANYMEDE_RETRIES": "5",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    yield found
    found.stop()


GAN = ["acgan-digits", *TINY_FLAGS[:-2], "--name", "x"]


def test_a_wrapper_for_each_stage_in_their_order(pbs: FakePBS, tmp_path: Path) -> None:
    folder = work.lay_out_for_pbs(GAN)
    run = Run(Path("runs/x"))
    assert folder == run.logs.resolve()
    names = ["1.fakepbs.0000-train", "1.fakepbs.0001-sample", "1.fakepbs.0002-report"]
    assert sorted(path.name for path in folder.glob("*.sh")) == [f"{name}.sh" for name in names]
    assert run.threads == 3
    training = (folder / f"{names[0]}.sh").read_text()
    for line in (
        "export GANYMEDE_STARTED=1700000000.5", "export GANYMEDE_RETRIES=5",
        "export GANYMEDE_GPUS_BOOKED=2", "export OMP_NUM_THREADS=3", "ganymede_limit_s=90 "
        "ganymede_warn_s=", "ganymede_nodes=2 ganymede_per_node=2",
        "ganymede_launch=(--per-node 2 --nodes 2 --gpus 2)", f"ganymede_order={names[0]}",
        "ganymede_closing=(-m jobs.succession)",
    ):  # fmt: skip
        assert f"\n{line}\n" in training
    assert "\nganymede_nodes=1 ganymede_per_node=1\n" in (folder / f"{names[1]}.sh").read_text()
    job = DelayedSubmission.load(folder / f"{names[0]}_0.pkl").function
    assert job == Train(run.path.resolve())


def test_the_job_that_goes_on_starts_the_script_with_the_same_words(
    pbs: FakePBS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANYMEDE_PYTHON", "/a python")
    monkeypatch.setenv("PYTHONPATH", "/here")
    folder = work.lay_out_for_pbs(GAN)
    options, executable = succession.read_options(folder / "1.fakepbs.0001-sample.sh")
    assert executable == [
        "/usr/bin/env", "GANYMEDE_HOME=/home of it", "GANYMEDE_PYTHON=/a python",
        "PYTHONPATH=/here", "GANYMEDE_RETRIES=5",
        "/bin/bash", "/home of it/slurm/scripts/run.pbs", *GAN,
    ]  # fmt: skip
    assert options == Booking.mine().options(folder)
    assert "select=2:ncpus=6:mpiprocs=2:ngpus=2" in options


def test_a_job_that_pbs_starts_again_finds_what_is_left(pbs: FakePBS) -> None:
    folder = work.lay_out_for_pbs(GAN)
    records.complete(Run(Path("runs/x")), "train", [], {"steps": 1})
    assert work.lay_out_for_pbs(GAN) == folder
    assert sorted(path.name for path in folder.glob("*.sh")) == [
        "1.fakepbs.0001-sample.sh", "1.fakepbs.0002-report.sh"
    ]  # fmt: skip


@pytest.mark.parametrize(("goes_on", "is_lifted"), [(False, True), (True, False)])
def test_a_cancellation_holds_for_the_jobs_that_go_on(
    pbs: FakePBS, monkeypatch: pytest.MonkeyPatch, goes_on: bool, is_lifted: bool
) -> None:
    run = Run(Path("runs/x"))
    work.lay_out_for_pbs(GAN)
    for path in run.logs.iterdir():
        path.unlink()  # as if another job had been the first
    run.cancel_file.write_text("{}")
    if goes_on:
        monkeypatch.setenv("GANYMEDE_LINE", "0.fakepbs")
    work.lay_out_for_pbs(GAN)
    assert run.cancel_file.exists() != is_lifted


def test_a_job_that_pbs_starts_again_does_not_lift_a_cancellation(pbs: FakePBS) -> None:
    work.lay_out_for_pbs(GAN)
    Run(Path("runs/x")).cancel_file.write_text("{}")
    work.lay_out_for_pbs(GAN)
    assert Run(Path("runs/x")).cancel_file.exists()


def test_unequal_nodes_are_refused_before_anything_is_written(
    pbs: FakePBS, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["-l", "select=1:ncpus=1+1:ncpus=2"]
    monkeypatch.setenv("PBS_JOBID", qsub.submit(Request(options, ("/bin/true",), "t2")))
    with pytest.raises(SchedulerError, match="allowed: equal nodes"):
        work.lay_out_for_pbs(GAN)
    assert not Path("runs").exists()
