"""What a script of the user's own finds to do."""

from pathlib import Path

import pytest
from conftest import TINY_FLAGS
from fake_slurm import install
from submitit.core.utils import DelayedSubmission

from jobs import records, work
from jobs.run import Run
from jobs.train import Train

ARGUMENTS = ["classifier-digits", *TINY_FLAGS[:-2], "--name", "x"]


@pytest.fixture(autouse=True)
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


def test_a_pickle_for_each_stage_in_their_order(tmp_path: Path) -> None:
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
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, is_lifted: bool
) -> None:
    work.lay_out_for_slurm(ARGUMENTS)
    run = Run(Path("runs/x"))
    run.cancel_file.write_text("{}")
    monkeypatch.setenv(name, value)
    work.lay_out_for_slurm(ARGUMENTS)
    assert run.cancel_file.exists() != is_lifted
