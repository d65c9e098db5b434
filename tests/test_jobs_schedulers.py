"""Runs of two schedulers, and of none, side by side in one folder."""

import json
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm, install, submitted
from other_scheduler import Other, register

from gan.config import ACGANConfig, ClassifierConfig
from jobs import queued, records, submissions
from jobs.answers import Queue
from jobs.cancel import cancel
from jobs.cli import main
from jobs.cluster import ClusterLauncher, Options
from jobs.pipeline import prepare, stages
from jobs.records import Attempt, Cause
from jobs.run import Run, RunError
from jobs.status import StageStatus, run_status
from jobs.sweep import sweep
from slurm import queue
from slurm.errors import SchedulerError, Unreachable
from slurm.scheduler import Phase

SILENT = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
THERE = Options(scheduler="other")


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    for module in (queue, queued):
        monkeypatch.setattr(module, "_LOOK_AGAIN_S", 0.01)
    return install(tmp_path, monkeypatch)


@pytest.fixture
def other(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> Other:
    return register(monkeypatch)


@pytest.fixture
def ours(other: Other, tmp_path: Path, tiny_acgan: ACGANConfig) -> Run:
    """A run that the other scheduler has: train is 9.there, sample 10.there, report 11.there."""
    run = prepare("acgan-digits", tiny_acgan, tmp_path / "runs" / "ours", threads=1)
    assert submit(run, THERE) == 0
    other.asked = 0
    return run


@pytest.fixture
def theirs(slurm: FakeSlurm, tmp_path: Path, tiny_acgan: ACGANConfig) -> Run:
    """A run that Slurm has: 100, 101 and 102."""
    return submitted(tmp_path / "runs", tiny_acgan)


def submit(run: Run, options: Options) -> int:
    return ClusterLauncher(run, run.path.parent, options, say=lambda message: None).submit()


def rows(run: Run, queued: Queue | None = None) -> dict[str, StageStatus]:
    return {row.stage: row for row in run_status(run, run.path.parent, queued)}


def token(run: Run, stage: str) -> str:
    return str((submissions.latest(run, stage) or {})["token"])


def go_on(run: Run, other: Other, *job_ids: str) -> None:
    """Training has ended as 9.there and goes on under other ids, the first of which runs."""
    other.put("9.there", Phase.OVER)
    for job_id in job_ids:
        other.put(job_id, Phase.WAITING, token(run, "train"))
    other.put(job_ids[0], Phase.RUNNING)


# Submitting


def test_a_run_is_submitted_to_the_scheduler_that_was_named(
    slurm: FakeSlurm, other: Other, ours: Run
) -> None:
    assert [order.name for order in other.orders.values()] == [
        "ours.train", "ours.sample", "ours.report"
    ]  # fmt: skip
    assert [order.dependency for order in other.orders.values()] == [
        "", "9.there", "10.there and 9.there"
    ]  # fmt: skip
    record = submissions.latest(ours, "report") or {}
    assert (record["scheduler"], record["job_id"]) == ("other", "11.there")
    assert {len(slurm.calls(command)) for command in ("sbatch", "squeue", "scontrol")} == {0}
    assert submit(ours, THERE) == 0  # nothing is submitted twice
    assert len(other.orders) == 3


def test_a_sweep_is_jobs_of_their_own_where_arrays_may_have_no_tasks(
    other: Other, tmp_path: Path, tiny_classifier: ClassifierConfig
) -> None:
    chosen = sweep(tiny_classifier, ["seed=0..1"])
    run = prepare("classifier-digits", chosen, tmp_path / "runs" / "s", threads=1)
    assert submit(run, THERE) == 0
    found = [(order.indices, order.dependency) for order in other.orders.values()]
    assert found == [((), ""), ((), ""), ((), "9.there"), ((), "10.there")]
    assert len({order.token for order in other.orders.values()}) == 4


def test_what_goes_on_under_a_new_id_is_not_submitted_again(other: Other, ours: Run) -> None:
    go_on(ours, other, "20.there", "21.there")
    other.put("11.there", Phase.OVER)  # the report is missing
    assert submit(ours, THERE) == 0
    assert [order.name for order in other.orders.values()][3:] == ["ours.report"]
    assert list(other.orders.values())[3].dependency == "10.there and 21.there"  # the last in turn


def test_a_job_that_ends_is_waited_for_under_its_new_id(
    other: Other, ours: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on(ours, other, "20.there")
    other.put("20.there", Phase.ENDING)
    said: list[str] = []

    def sleep(seconds: float) -> None:
        other.put("20.there", Phase.OVER)

    monkeypatch.setattr(queued.time, "sleep", sleep)
    launcher = ClusterLauncher(ours, ours.path.parent, THERE, said.append)
    assert launcher.submit() == 0
    assert said[0] == "job 20.there is ending; waiting for it"
    assert len(other.orders) == 6  # all over again, since what waited for it waits in vain


def test_an_unknown_scheduler_gets_nothing(tmp_path: Path, other: Other, theirs: Run) -> None:
    with pytest.raises(SchedulerError, match="scheduler is 'third'; allowed: slurm, other"):
        submit(theirs, Options(scheduler="third"))


# From one to the other


def test_what_slurm_has_is_not_given_to_the_other_too(
    slurm: FakeSlurm, other: Other, theirs: Run
) -> None:
    with pytest.raises(RunError, match=r"train of .* is in the queue of Slurm as job 100; cancel"):
        submit(theirs, THERE)
    assert other.orders == {}
    assert submit(theirs, Options(scheduler="other", take_over=True)) == 0
    assert len(other.orders) == 3


def test_what_has_left_slurm_goes_on_at_the_other(
    slurm: FakeSlurm, other: Other, theirs: Run
) -> None:
    slurm.forget()
    assert submit(theirs, THERE) == 0
    assert len(slurm.calls("squeue")) == 1 + 1  # when it was submitted, and now
    assert {row.job_id for row in rows(theirs).values()} == {"9.there", "10.there", "11.there"}
    record = submissions.latest(theirs, "train") or {}
    assert (record["number"], record["scheduler"]) == (2, "other")


def test_without_an_answer_nothing_is_given_away(
    slurm: FakeSlurm, other: Other, theirs: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match=r"train of .* was given to slurm, which cannot be asked .*"):
        submit(theirs, THERE)
    assert other.orders == {}


def test_jobs_of_the_same_number_are_told_apart_by_their_scheduler(
    slurm: FakeSlurm, other: Other, tmp_path: Path, tiny_acgan: ACGANConfig
) -> None:
    """A process of this machine, too, has a number that a job may have."""
    run = prepare("acgan-digits", tiny_acgan, tmp_path / "runs" / "new", threads=1)
    Attempt.begin(run, "train", scheduler="local", job_id="7").end(Cause.TERMINATED)
    slurm.set_job("7", "PENDING")
    assert rows(run)["train"].state == "stopped"
    assert submit(run, Options()) == 0
    assert len(slurm.calls("sbatch")) == 3


# Looking


def test_each_scheduler_is_asked_once_for_a_whole_folder(
    slurm: FakeSlurm, other: Other, ours: Run, theirs: Run, tmp_path: Path, tiny_acgan: ACGANConfig,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    local = prepare("acgan-digits", tiny_acgan, tmp_path / "runs" / "local", threads=1)
    Attempt.begin(local, "train")  # by this process
    other.put("9.there", Phase.RUNNING)
    asked = len(slurm.calls("squeue"))
    assert main(["status", "--json", "--runs", str(tmp_path / "runs")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["run"]: row["state"] for row in found if row["stage"] == "train"} == {
        "gan": "queued", "local": "running", "ours": "running",
    }  # fmt: skip
    waiting = {row["run"]: row["queue"] for row in found if row["stage"] == "sample"}
    assert waiting == {"gan": "PENDING (Priority)", "local": None, "ours": "W (as it likes)"}
    assert (len(slurm.calls("squeue")) - asked, other.asked) == (1, 1)


def test_only_those_that_are_named_are_asked(slurm: FakeSlurm, other: Other, theirs: Run) -> None:
    other.asked = 0
    assert rows(theirs)["train"].state == "queued"
    assert other.asked == 0


def test_one_that_is_silent_hides_only_its_own(
    slurm: FakeSlurm, other: Other, ours: Run, theirs: Run
) -> None:
    other.problem = Unreachable("The Other does not answer")
    said: list[str] = []
    queued = Queue(patience_s=0.1, say=said.append)
    assert {row.state for row in rows(ours, queued).values()} == {"unknown"}
    assert {row.state for row in rows(theirs, queued).values()} == {"queued"}
    assert len(said) == 1


def test_a_scheduler_that_this_version_does_not_know(other: Other, ours: Run) -> None:
    for stage in stages(ours):
        record = submissions.latest(stage.run, stage.name) or {}
        path = stage.run.submission_file(stage.name, record["number"])
        path.write_text(json.dumps(record | {"scheduler": "third"}))
    said: list[str] = []
    found = rows(ours, Queue(say=said.append))
    assert {row.state for row in found.values()} == {"unknown"}
    assert "scheduler is 'third'; allowed: slurm, other" in said[0]


def test_records_that_name_no_scheduler_are_slurms(slurm: FakeSlurm, theirs: Run) -> None:
    record = submissions.latest(theirs, "train") or {}
    del record["scheduler"]
    theirs.submission_file("train", 1).write_text(json.dumps(record))
    assert (rows(theirs)["train"].state, rows(theirs)["train"].job_id) == ("queued", "100")


def test_a_run_that_goes_on_under_a_new_id_is_found(other: Other, ours: Run) -> None:
    attempt = Attempt.begin(ours, "train", scheduler="other", job_id="9.there")
    attempt.end(Cause.TIME_LIMIT)
    go_on(ours, other, "20.there", "21.there")
    found = rows(ours)["train"]
    assert (found.state, found.job_id, found.cause) == ("running", "20.there", "time limit")
    other.put("20.there", Phase.OVER)
    found = rows(ours)["train"]
    assert (found.state, found.job_id) == ("queued", "21.there")
    other.put("21.there", Phase.OVER)
    assert rows(ours)["train"].state == "stopped"


def test_a_run_without_submissions_too(
    other: Other, tmp_path: Path, tiny_acgan: ACGANConfig
) -> None:
    run = prepare("acgan-digits", tiny_acgan, tmp_path / "runs" / "script", threads=1)
    facts = {"scheduler": "other", "job_id": "5.there", "token": "t5"}
    Attempt.begin(run, "train", **facts).end(Cause.TIME_LIMIT)
    other.put("6.there", Phase.WAITING, "t5")
    assert (rows(run)["train"].state, rows(run)["train"].job_id) == ("queued", "6.there")


# Cancelling


def test_each_scheduler_is_told_of_its_own_jobs(
    slurm: FakeSlurm, other: Other, ours: Run, theirs: Run
) -> None:
    assert cancel(ours) == "removed from the queue: 9.there, 10.there, 11.there"
    assert other.cancelled == [["11.there", "10.there", "9.there"]]
    assert slurm.calls("scancel") == []
    cancel(theirs)
    assert slurm.calls("scancel") == [["--quiet", "102", "101", "100"]]
    assert len(other.cancelled) == 1


def test_a_run_that_was_at_both_is_removed_from_both(
    slurm: FakeSlurm, other: Other, theirs: Run
) -> None:
    slurm.forget("100")
    records.complete(theirs, "train", [], {"steps": 1})
    Attempt.begin(theirs, "sample", host="n1", scheduler="other", job_id="5.there")
    other.problem = Unreachable("The Other does not answer")
    with pytest.raises(Unreachable, match="The Other does not answer"):
        cancel(theirs)
    assert slurm.calls("scancel") == [["--quiet", "102", "101"]]  # this one is told all the same
    other.problem = None
    assert cancel(theirs) == "removed from the queue: 101, 102, 5.there"


def test_jobs_that_go_on_from_others_are_removed_too(other: Other, ours: Run) -> None:
    go_on(ours, other, "20.there", "21.there")
    assert cancel(ours) == (
        "removed from the queue: 9.there, 10.there, 11.there, 20.there, 21.there"
    )
