"""Stopping a run for good: its jobs leave the queue, whoever submitted them."""

import json
import subprocess
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm, install, submit, submitted

from gan.config import ACGANConfig, ClassifierConfig
from jobs import records, submissions
from jobs.cancel import cancel
from jobs.pipeline import prepare, stages
from jobs.records import Attempt, Cause
from jobs.run import Run
from jobs.sweep import sweep
from slurm.errors import SchedulerError


@pytest.fixture(autouse=True)
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return install(tmp_path, monkeypatch)


@pytest.fixture
def run(tmp_path: Path, tiny_acgan: ACGANConfig) -> Run:
    return submitted(tmp_path / "runs", tiny_acgan)


def begin(run: Run, job_id: str) -> Attempt:
    return Attempt.begin(run, "train", host="n1", scheduler="slurm", job_id=job_id)


def test_what_waits_is_removed_before_what_it_waits_for(slurm: FakeSlurm, run: Run) -> None:
    assert cancel(run) == "removed from the queue: 100, 101, 102"
    assert slurm.calls("scancel") == [["--quiet", "102", "101", "100"]]
    assert {job["state"] for job in slurm.state["jobs"].values()} == {"CANCELLED"}
    assert run.cancel_file.exists()


def test_a_running_job_is_removed_once(slurm: FakeSlurm, run: Run) -> None:
    begin(run, "100")
    cancel(run)
    assert slurm.calls("scancel") == [["--quiet", "102", "101", "100"]]


def test_an_older_attempt_without_an_end_hides_no_newer_job(slurm: FakeSlurm, run: Run) -> None:
    begin(run, "7")
    cancel(run)
    assert slurm.calls("scancel") == [["--quiet", "102", "101", "100", "7"]]


def test_a_job_that_waits_for_its_next_start_is_removed(slurm: FakeSlurm, run: Run) -> None:
    begin(run, "100").end(Cause.PREEMPTED)
    cancel(run)
    assert "100" in slurm.calls("scancel")[0]


def test_finished_stages_and_jobs_that_have_left_are_not_touched(
    slurm: FakeSlurm, run: Run
) -> None:
    records.complete(run, "train", [], {"steps": 44})
    submissions.left_queue(run, submissions.latest(run, "sample"), "CANCELLED")
    assert cancel(run) == "removed from the queue: 102"
    assert slurm.calls("scancel") == [["--quiet", "102"]]


def test_a_job_whose_client_died_is_found_by_its_token(slurm: FakeSlurm, run: Run) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    record = submissions.latest(run, "sample") | {"pid": process.pid}
    del record["job_id"], record["submitted"]
    run.submission_file("sample", 1).write_text(json.dumps(record))
    cancel(run)
    assert slurm.state["jobs"]["101"]["state"] == "CANCELLED"


def test_refused_submissions_are_no_jobs(slurm: FakeSlurm, run: Run) -> None:
    for stage in stages(run):
        submissions.refused(run, submissions.latest(run, stage.name), "so")
        path = run.submission_file(stage.name, 1)
        record = json.loads(path.read_text())
        del record["job_id"]
        path.write_text(json.dumps(record))
    assert cancel(run) == "nothing ran here, and nothing was queued"
    assert slurm.calls("scancel") == []


def test_a_run_that_never_saw_a_scheduler_asks_none(
    slurm: FakeSlurm, tmp_path: Path, tiny_acgan: ACGANConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepare("acgan-digits", tiny_acgan, tmp_path / "runs" / "local", threads=1)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cancel(run) == "nothing ran here, and nothing was queued"
    assert run.cancel_file.exists()


def test_a_sweeps_tasks_are_removed_one_by_one_and_every_run_is_marked(
    slurm: FakeSlurm, tmp_path: Path, tiny_classifier: ClassifierConfig
) -> None:
    chosen = sweep(tiny_classifier, ["seed=0..2"])
    run = prepare("classifier-digits", chosen, tmp_path / "runs" / "s", threads=1)
    submit(run)
    members = list(run.members().values())
    records.complete(members[1], "train", [], {"steps": 1})
    cancel(run)
    (call,) = slurm.calls("scancel")
    assert call == ["--quiet", "101_2", "100_2", "101_1", "101_0", "100_0"]
    assert all(member.cancel_file.exists() for member in members)


def test_one_run_of_a_sweep_leaves_the_others_alone(
    slurm: FakeSlurm, tmp_path: Path, tiny_classifier: ClassifierConfig
) -> None:
    chosen = sweep(tiny_classifier, ["seed=0..2"])
    run = prepare("classifier-digits", chosen, tmp_path / "runs" / "s", threads=1)
    submit(run)
    cancel(run.members()["seed-1"])
    assert slurm.calls("scancel") == [["--quiet", "101_1", "100_1"]]


def test_a_scheduler_that_refuses_is_told_and_the_mark_stays(slurm: FakeSlurm, run: Run) -> None:
    slurm.fail("scancel", "scancel: error: Access denied")
    with pytest.raises(SchedulerError, match=r"^scancel: error: Access denied"):
        cancel(run)
    assert run.cancel_file.exists()
