"""Where a run on a cluster stands: one question to the scheduler, and only if it is needed."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm, install, submit, submitted

from gan.config import ACGANConfig
from jobs import records, submissions
from jobs.answers import Queue
from jobs.cli import main
from jobs.pipeline import prepare, stages
from jobs.records import Attempt, Cause
from jobs.run import Run
from jobs.status import StageStatus, run_status

SILENT = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"


@pytest.fixture(autouse=True)
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return install(tmp_path, monkeypatch)


@pytest.fixture
def run(tmp_path: Path, tiny_acgan: ACGANConfig) -> Run:
    return submitted(tmp_path / "runs", tiny_acgan)


def grow_old(run: Run) -> None:
    """As if everything had been submitted long ago."""
    for stage in stages(run):
        record = submissions.latest(stage.run, stage.name)
        old = record | {"intended": record["intended"] - 1000, "submitted": time.time() - 990}
        path = stage.run.submission_file(stage.name, record["number"])
        path.write_text(json.dumps(old))


def begin(run: Run, job_id: str = "100", stage: str = "train") -> Attempt:
    return Attempt.begin(run, stage, scheduler="slurm", job_id=job_id, restarts=0, step_id="0")


def rows(run: Run, queued: Queue | None = None) -> dict[str, StageStatus]:
    return {row.stage: row for row in run_status(run, run.path.parent, queued)}


def test_jobs_that_wait_say_what_for(slurm: FakeSlurm, run: Run) -> None:
    found = rows(run)
    assert {row.state for row in found.values()} == {"queued"}
    assert found["train"].queue == "PENDING (Priority)"
    assert [row.job_id for row in found.values()] == ["100", "101", "102"]
    assert len(slurm.calls("squeue")) == 1 + 1  # the submission's, and this one


def test_a_running_job_is_running_its_followers_wait(slurm: FakeSlurm, run: Run) -> None:
    slurm.set_job("100", "RUNNING")
    found = rows(run)  # not begun yet
    assert (found["train"].state, found["train"].queue) == ("running", None)
    begin(run)
    found = rows(run)
    assert (found["train"].state, found["train"].attempts) == ("running", 1)
    assert found["sample"].state == "queued"


def test_a_preempted_job_is_queued_again_and_says_why(slurm: FakeSlurm, run: Run) -> None:
    begin(run).end(Cause.PREEMPTED)
    row = rows(run)["train"]
    assert (row.state, row.cause, row.job_id) == ("queued", "preempted", "100")


def test_a_clock_that_is_set_back_hides_no_attempt_and_brings_no_job_back(
    slurm: FakeSlurm, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 86400)
    attempt = begin(run)
    attempt.end(Cause.CRASHED)
    for job_id in ("100", "101", "102"):
        slurm.forget(job_id)
    found = rows(run)
    assert (found["train"].state, found["train"].cause) == ("failed", "crashed")
    assert (found["sample"].state, found["sample"].queue) == ("cancelled", None)


def test_a_job_removed_before_it_began(slurm: FakeSlurm, run: Run) -> None:
    for job_id in ("100", "101", "102"):
        slurm.set_job(job_id, "CANCELLED")
    found = rows(run)
    assert {row.state for row in found.values()} == {"cancelled"}
    assert {row.cause for row in found.values()} == {"cancelled"}
    assert found["train"].error == "never began; its job is CANCELLED"
    assert found["sample"].error == "never began, since train cancelled"
    assert found["report"].error == "never began, since train cancelled, sample cancelled"


def test_followers_of_a_failed_job_say_so(slurm: FakeSlurm, run: Run) -> None:
    slurm.set_job("100", "FAILED")
    slurm.forget("101", "102")
    grow_old(run)
    begin(run).end(Cause.CRASHED, error="by nought")
    found = rows(run)
    assert (found["train"].state, found["train"].error) == ("failed", "by nought")
    assert found["sample"].state == found["report"].state == "cancelled"
    assert found["sample"].error == "never began, since train failed"
    assert found["sample"].job_id == "101"


def test_a_job_that_is_gone_without_a_trace(slurm: FakeSlurm, run: Run) -> None:
    slurm.forget()
    grow_old(run)
    row = rows(run)["train"]
    assert (row.state, row.error) == ("cancelled", "never began; its job is gone")


def test_an_attempt_whose_job_is_gone_was_killed(slurm: FakeSlurm, run: Run) -> None:
    begin(run)
    assert rows(run)["train"].state == "queued"  # Slurm has it waiting: it was queued again
    slurm.forget()
    grow_old(run)
    row = rows(run)["train"]
    assert (row.state, row.cause) == ("stopped", "killed")


def test_how_a_job_left_is_remembered(slurm: FakeSlurm, run: Run) -> None:
    """Slurm forgets a job some minutes after its end; and then need not be asked any more."""
    slurm.set_job("100", "TIMEOUT")
    slurm.forget("101", "102")
    grow_old(run)
    before = rows(run)
    lefts = [submissions.latest(run, name)["left"] for name in ("train", "sample", "report")]
    assert lefts == ["TIMEOUT", "gone", "gone"]
    slurm.forget()
    asked = len(slurm.calls("squeue"))
    assert rows(run) == before
    assert len(slurm.calls("squeue")) == asked


def test_a_job_younger_than_the_answer_is_not_taken_for_gone(
    slurm: FakeSlurm, run: Run, tmp_path: Path, tiny_acgan: ACGANConfig
) -> None:
    queued = Queue()
    rows(run, queued)
    other = prepare("acgan-digits", tiny_acgan, tmp_path / "runs" / "other", threads=1)
    submit(other)  # by another client, while this one goes on through its list of runs
    row = rows(other, queued)["train"]
    assert (row.state, row.queue, row.job_id) == ("queued", "PENDING (just submitted)", "103")
    assert "left" not in submissions.latest(other, "train")


def test_a_young_job_that_is_gone_is_looked_for_again(slurm: FakeSlurm, run: Run) -> None:
    """The clock of the machine that submitted it may be a little behind."""
    slurm.forget()
    assert rows(run)["train"].state == "cancelled"
    assert "left" not in submissions.latest(run, "train")


def test_a_lost_answer_is_found_by_its_token(slurm: FakeSlurm, run: Run) -> None:
    record = submissions.latest(run, "train")
    del record["job_id"], record["submitted"]
    run.submission_file("train", 1).write_text(json.dumps(record))
    row = rows(run)["train"]
    assert (row.state, row.job_id) == ("queued", "100")


def test_a_stage_that_was_never_submitted_waits(slurm: FakeSlurm, run: Run) -> None:
    run.submission_file("report", 1).unlink()
    assert rows(run)["report"].state == "waiting"


def test_a_refused_submission_is_as_none(slurm: FakeSlurm, run: Run) -> None:
    for name in ("train", "sample", "report"):
        record = submissions.latest(run, name)
        del record["job_id"], record["submitted"]
        submissions.refused(run, record, "no such partition")
    asked = len(slurm.calls("squeue"))
    assert {row.state for row in rows(run).values()} == {"waiting"}
    assert len(slurm.calls("squeue")) == asked


def test_a_silent_scheduler_is_told_once(slurm: FakeSlurm, run: Run) -> None:
    begin(run).end(Cause.PREEMPTED)
    slurm.fail("squeue", SILENT, times=100)
    said: list[str] = []
    found = rows(run, Queue(patience_s=0.0, say=said.append))
    assert [row.state for row in found.values()] == ["unknown"] * 3
    assert (found["train"].cause, found["train"].attempts) == ("preempted", 1)
    assert found["sample"].error == "the scheduler does not answer"
    assert len(said) == 1
    assert said[0].endswith("shown is what the runs themselves have recorded")
    assert "left" not in submissions.latest(run, "train")


def test_somebody_elses_run_is_looked_at_without_writing(
    slurm: FakeSlurm, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(submissions, "left_queue", refuse)
    slurm.set_job("100", "CANCELLED")
    assert rows(run)["train"].state == "cancelled"


def test_a_finished_stage_asks_nobody(slurm: FakeSlurm, run: Run) -> None:
    for name in ("train", "sample", "report"):
        records.complete(run, name, [], {"steps": 44})
    asked = len(slurm.calls("squeue"))
    assert {row.state for row in rows(run).values()} == {"finished"}
    assert len(slurm.calls("squeue")) == asked


# All runs at once


@pytest.fixture
def many(tmp_path: Path, tiny_acgan: ACGANConfig) -> list[Run]:
    configs = [replace(tiny_acgan, seed=seed) for seed in range(12)]
    return [
        prepare("acgan-digits", config, tmp_path / "runs" / f"r{config.seed}", threads=1)
        for config in configs
    ]


def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert main(["status", "--json", "--runs", str(tmp_path / "runs")]) == 0
    return json.loads(capsys.readouterr().out)


def test_one_question_for_all_runs(
    slurm: FakeSlurm, many: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for k, run in enumerate(many):
        intent = submissions.intend(run, "train", 0, f"t{k}", None)
        submissions.accepted(run, intent, str(k))
        slurm.set_job(str(k), "RUNNING" if k % 2 else "PENDING", f"ganymede:t{k}")
    found = [row["state"] for row in ask(tmp_path, capsys) if row["stage"] == "train"]
    assert sorted(found) == ["queued"] * 6 + ["running"] * 6
    assert len(slurm.calls("squeue")) == 1
    for command in ("scontrol", "sinfo", "sbatch"):
        assert slurm.calls(command) == []


def test_no_question_if_nothing_is_open(
    slurm: FakeSlurm, many: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train", "sample", "report"):
        records.complete(many[0], name, [], {"steps": 44})
    begin(many[1], "7").end(Cause.CRASHED)
    intent = submissions.intend(many[2], "train", 0, "t", None)
    submissions.accepted(many[2], intent, "9")
    submissions.left_queue(many[2], intent, "CANCELLED")
    Attempt.begin(many[3], "train").end(Cause.TERMINATED)
    states = {row["run"]: row["state"] for row in ask(tmp_path, capsys) if row["stage"] == "train"}
    assert [states[f"r{k}"] for k in range(5)] == [
        "finished", "failed", "cancelled", "stopped", "waiting"
    ]  # fmt: skip
    assert slurm.calls("squeue") == []
