"""How an attempt ended that could not say so itself, and whether there is another."""

import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm, install
from other_scheduler import register
from submitit.core.utils import DelayedSubmission

from gan.config import ClassifierConfig
from jobs import closing, logs, records
from jobs.closing import close, failures_without_progress
from jobs.pipeline import prepare, stages
from jobs.ranks import Place
from jobs.records import Attempt, Cause
from jobs.run import Run, RunError
from jobs.stage import Context, Result, StageJob
from jobs.train import Train
from slurm import pickles


@dataclass(frozen=True)
class Job(StageJob):
    """A stage that has saved as far as a file says."""

    stage = "work"

    def work(self, context: Context) -> Result:
        raise NotImplementedError

    def saved_step(self, run: Run) -> int:
        saved = run.path / "saved"
        return int(saved.read_text()) if saved.exists() else 0


@pytest.fixture(autouse=True)
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """Job 7 runs, and this is its batch script."""
    slurm = install(tmp_path, monkeypatch)
    slurm.set_job("7", "RUNNING")
    monkeypatch.setenv("GANYMEDE_LOGS", str(tmp_path))
    return slurm


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "run").mkdir()
    return Job(tmp_path / "run")


def place(job_id: str = "7", restarts: int = 0, step: str = "0") -> Place:
    return Place(job_id=job_id, scheduler="slurm", restarts=restarts, step_id=step)


def begin(job: Job, at: Place, from_step: int = 0) -> Attempt:
    return Attempt.begin(
        Run(job.path), job.stage, alive=lambda other: False, from_step=from_step, **at.facts
    )


def latest(job: Job) -> dict[str, object]:
    return records.latest(Run(job.path), job.stage)


# What the batch script is told


def test_of_a_job_that_was_started_twice_the_second_start_ends_nothing(job: Job) -> None:
    begin(job, place())
    assert close(job, 2, "", place()) == "failed"
    assert "cause" not in latest(job)


def test_a_complete_stage_is_finished_whatever_the_status(job: Job) -> None:
    records.complete(Run(job.path), job.stage, [], {})
    assert close(job, 0, "", place()) == "finished"
    assert close(job, 137, "", place()) == "finished"
    assert records.numbers(Run(job.path), job.stage) == []


@pytest.mark.parametrize(
    ("cause", "word"),
    [
        (Cause.PREEMPTED, "requeue"),
        (Cause.TIME_LIMIT, "requeue"),
        (Cause.NODE_LOST, "requeue"),
        (Cause.TERMINATED, "requeue"),
        (Cause.INTERRUPTED, "requeue"),
        (Cause.CRASHED, "requeue"),
        (Cause.KILLED, "requeue"),
        (Cause.OUT_OF_MEMORY, "requeue"),
        (Cause.CANCELLED, "failed"),
        (Cause.REFUSED, "failed"),
        (Cause.DISK_FULL, "failed"),
        (Cause.SUPERSEDED, "failed"),
        (Cause.DIVERGED, "failed"),
    ],
)
def test_the_recorded_cause_decides(job: Job, cause: Cause, word: str) -> None:
    begin(job, place()).end(cause)
    assert close(job, 1, "", place()) == word
    assert records.numbers(Run(job.path), job.stage) == [1]


# How many failures are enough


@pytest.mark.parametrize("cause", [Cause.CRASHED, Cause.KILLED, Cause.OUT_OF_MEMORY])
def test_failures_without_progress_come_to_an_end(
    job: Job, cause: Cause, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(closing.RETRIES, "1")
    words = []
    for restarts in range(2):
        begin(job, place(restarts=restarts)).end(cause)
        words.append(close(job, 1, "", place(restarts=restarts)))
    assert words == ["requeue", "failed"]
    told = capsys.readouterr()
    assert f"work failed 2 of 2 times without progress ({cause})" in told.err
    assert told.out == ""  # the word alone goes there


def test_two_retries_unless_told(job: Job) -> None:
    words = []
    for restarts in range(3):
        begin(job, place(restarts=restarts)).end(Cause.CRASHED)
        words.append(close(job, 1, "", place(restarts=restarts)))
    assert words == ["requeue", "requeue", "failed"]


def test_no_retries_at_all(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(closing.RETRIES, "0")
    begin(job, place()).end(Cause.CRASHED)
    assert close(job, 1, "", place()) == "failed"


def test_progress_forgives_earlier_failures(job: Job) -> None:
    run = Run(job.path)
    for saved, restarts in enumerate(range(0, 30, 2)):
        (job.path / "saved").write_text(str(saved))
        begin(job, place(restarts=restarts), from_step=saved).end(Cause.CRASHED)
        begin(job, place(restarts=restarts + 1), from_step=saved).end(Cause.CRASHED)
        assert failures_without_progress(run, job, "7") == 2
        assert close(job, 1, "", place(restarts=restarts + 1)) == "requeue"


def test_an_attempt_that_got_on_before_it_failed_is_no_failure_without_progress(job: Job) -> None:
    begin(job, place(), from_step=0).end(Cause.CRASHED)
    (job.path / "saved").write_text("10")
    assert failures_without_progress(Run(job.path), job, "7") == 0
    begin(job, place(restarts=1), from_step=10).end(Cause.CRASHED)
    assert failures_without_progress(Run(job.path), job, "7") == 1


def test_preemptions_cost_nothing_and_forgive_nothing(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(closing.RETRIES, "1")
    free = (Cause.PREEMPTED, Cause.TIME_LIMIT, Cause.NODE_LOST) * 4
    for restarts, cause in enumerate(free):
        begin(job, place(restarts=restarts)).end(cause)
        assert close(job, 85, "", place(restarts=restarts)) == "requeue"
    assert failures_without_progress(Run(job.path), job, "7") == 0
    causes = [Cause.CRASHED, Cause.PREEMPTED, Cause.CRASHED]
    words = []
    for restarts, cause in enumerate(causes, start=len(free)):
        begin(job, place(restarts=restarts)).end(cause)
        words.append(close(job, 1, "", place(restarts=restarts)))
    assert words == ["requeue", "requeue", "failed"]


def test_another_jobs_failures_do_not_count(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    for restarts in range(5):
        begin(job, place("6", restarts)).end(Cause.CRASHED)
    monkeypatch.setenv(closing.RETRIES, "1")
    begin(job, place("7")).end(Cause.CRASHED)
    assert failures_without_progress(Run(job.path), job, "7") == 1
    assert close(job, 1, "", place("7")) == "requeue"


def test_failures_are_counted_along_a_line_of_jobs(job: Job) -> None:
    """Where a job cannot be queued again, it goes on as a new one."""
    words = []
    for number in range(3):
        at = replace(place(f"{number}.there"), line="0.there")
        begin(job, at).end(Cause.CRASHED)
        words.append(close(job, 1, "", at))
    assert words == ["requeue", "requeue", "failed"]
    assert failures_without_progress(Run(job.path), job, "0.there") == 3
    assert failures_without_progress(Run(job.path), job, "2.there") == 0
    first = Run(job.path).attempt_file(job.stage, 1)
    record = {k: v for k, v in json.loads(first.read_text()).items() if k != "line"}
    first.write_text(json.dumps(record))  # as before there were lines
    assert failures_without_progress(Run(job.path), job, "0.there") == 3


# Ends that left no record


@pytest.mark.parametrize(
    ("status", "cause"),
    [(137, Cause.KILLED), (139, Cause.KILLED), (1, Cause.CRASHED), (0, Cause.CRASHED)],
)
def test_the_status_tells_what_it_can(job: Job, status: int, cause: Cause) -> None:
    begin(job, place())
    assert close(job, status, "", place()) == "requeue"
    record = latest(job)
    assert record["cause"] == cause
    assert f"ended with status {status} and left no record of it" in record["error"]


@pytest.mark.parametrize(
    ("state", "shown", "cause", "word"),
    [
        ("RUNNING", {"PreemptTime": 1700000000}, Cause.PREEMPTED, "requeue"),
        ("COMPLETING", {"Restarts": 1}, Cause.PREEMPTED, "requeue"),
        ("COMPLETING", {"Reason": "TimeLimit"}, Cause.TIME_LIMIT, "requeue"),
        ("NODE_FAIL", {}, Cause.NODE_LOST, "requeue"),
        ("COMPLETING", {}, Cause.CANCELLED, "failed"),
    ],
)
def test_the_scheduler_knows_better(
    slurm: FakeSlurm, job: Job, state: str, shown: dict[str, object], cause: Cause, word: str
) -> None:
    slurm.set_job("7", state, **shown)
    begin(job, place())
    assert close(job, 137, "", place()) == word
    assert latest(job)["cause"] == cause


@pytest.mark.parametrize(
    ("status", "cause"), [(139, Cause.KILLED), (140, Cause.TIME_LIMIT), (143, Cause.TIME_LIMIT)]
)
def test_a_near_limit_explains_an_end_by_its_signal_only(
    slurm: FakeSlurm, job: Job, status: int, cause: Cause
) -> None:
    """A job of two minutes is always near its limit; what crashes in it must not go on for ever."""
    slurm.set_job("7", "RUNNING", EndTime=round(time.time()) + 60)
    begin(job, place())
    close(job, status, "", place())
    assert latest(job)["cause"] == cause


@pytest.mark.parametrize(
    "line",
    [
        "slurmstepd-n1: error: Detected 1 oom_kill event in StepId=7.0. Some of the step tasks ...",
        "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.0.",
        "srun: error: n1: task 0: Out Of Memory",
    ],
)
def test_the_log_tells_of_memory(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    log = tmp_path / "7_0_log.out"
    log.write_text(f"12:00 training\n{line}\n")
    begin(job, place())
    close(job, 137, "", place())
    assert latest(job)["cause"] == Cause.OUT_OF_MEMORY
    # A start later, the same line is of the start before.
    monkeypatch.setenv("GANYMEDE_LOG_SIZE", str(log.stat().st_size))
    begin(job, place(restarts=1))
    close(job, 137, "", place(restarts=1))
    assert latest(job)["cause"] == Cause.KILLED


def test_what_the_job_prints_is_no_word_of_slurms(job: Job, tmp_path: Path) -> None:
    (tmp_path / "7_0_log.out").write_text("the room is out of memory\nzoom killed\n")
    begin(job, place())
    close(job, 137, "", place())
    assert latest(job)["cause"] == Cause.KILLED


def test_another_scheduler_has_words_and_causes_of_its_own(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = register(monkeypatch)
    at = replace(place("7.there"), scheduler="other")
    log = tmp_path / "7.there_0_log.out"
    log.write_text("srun: out of memory\n")
    begin(job, at)
    close(job, 137, "", at)
    assert latest(job)["cause"] == Cause.KILLED
    log.write_text("other says: out of memory\n")
    begin(job, at)
    close(job, 137, "", at)
    assert latest(job)["cause"] == Cause.OUT_OF_MEMORY
    other.meaning = "time limit"
    begin(job, at)
    assert close(job, 137, "", at) == "requeue"
    assert latest(job)["cause"] == Cause.TIME_LIMIT


def test_a_task_of_an_array_is_asked_about_alone_and_has_its_own_log(
    slurm: FakeSlurm, job: Job, tmp_path: Path
) -> None:
    slurm.set_job("5_2", "RUNNING")
    (tmp_path / "5_2_0_log.out").write_text("slurmstepd: error: Detected 1 oom_kill event\n")
    begin(job, place("5_2"))
    close(job, 137, "", place("5_2"))
    assert latest(job)["cause"] == Cause.OUT_OF_MEMORY
    assert slurm.calls("scontrol") == [["--oneliner", "show", "job", "5_2"]]


def test_another_ranks_crash_is_the_cause(job: Job) -> None:
    attempt = begin(job, place())
    attempt.note(2, Cause.KILLED, "rank 1 is gone", "...")
    attempt.note(1, Cause.CRASHED, "by nought", "Traceback: ZeroDivisionError")
    close(job, 137, "", place())
    record = latest(job)
    assert (record["cause"], record["error"]) == ("crashed", "rank 1: by nought")
    assert record["traceback"] == "Traceback: ZeroDivisionError"


def test_a_scheduler_that_is_away_is_done_without(slurm: FakeSlurm, job: Job) -> None:
    slurm.fail("scontrol", "Unable to contact slurm controller (connect failure)")
    begin(job, place())
    assert close(job, 137, "", place()) == "requeue"
    assert latest(job)["cause"] == Cause.KILLED


# Attempts that never began


def test_a_start_that_came_to_nothing_is_recorded(job: Job, tmp_path: Path) -> None:
    """Python could not even be loaded, say."""
    (job.path / "saved").write_text("40")
    assert close(job, 127, "", place(restarts=3)) == "requeue"
    record = latest(job)
    assert (record["number"], record["cause"]) == (1, "crashed")
    assert record.items() >= place(restarts=3).facts.items()
    assert (record["from_step"], record["log"]) == (40, str(tmp_path))


def test_each_such_start_counts(job: Job) -> None:
    words = [close(job, 1, "", place(restarts=restarts)) for restarts in range(3)]
    assert words == ["requeue", "requeue", "failed"]
    assert records.numbers(Run(job.path), job.stage) == [1, 2, 3]


def test_a_set_up_line_that_failed_is_the_cause_and_not_tried_again(job: Job) -> None:
    error = "set-up line failed with status 1: module load nonsense"
    assert close(job, 1, error, place(step="-1")) == "failed"
    record = latest(job)
    assert (record["cause"], record["error"]) == ("refused", error)


def test_an_attempt_that_refused_to_begin_leaves_no_record(job: Job) -> None:
    assert close(job, 2, "", place()) == "failed"
    assert latest(job) is None
    begin(job, place("6")).end(Cause.PREEMPTED)
    assert close(job, 2, "", place()) == "failed"
    assert latest(job)["job_id"] == "6"


def test_another_job_at_the_stage_is_not_superseded(slurm: FakeSlurm, job: Job) -> None:
    slurm.set_job("6", "RUNNING")
    other = begin(job, place("6"))
    with pytest.raises(RunError, match=r"attempt 1 of work .* is running"):
        close(job, 1, "", place("7"))
    other.guard()  # it may go on writing
    slurm.set_job("6", "COMPLETED")
    assert close(job, 1, "", place("7")) == "requeue"
    assert latest(job)["job_id"] == "7"


def test_the_start_before_of_the_same_job_is_over(job: Job) -> None:
    begin(job, place(restarts=0))
    assert close(job, 1, "", place(restarts=1)) == "requeue"
    assert latest(job)["number"] == 2


# As the batch script calls it


@pytest.fixture
def pickled(tmp_path: Path, tiny_classifier: ClassifierConfig) -> Path:
    run = prepare("classifier-digits", tiny_classifier, tmp_path / "r", threads=1)
    path = tmp_path / "abc_0.pkl"
    pickles.dump(DelayedSubmission(stages(run)[0].job), path)
    return path


def call(path: Path, monkeypatch: pytest.MonkeyPatch, **options: str) -> None:
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    monkeypatch.setattr(sys, "argv", ["closing", str(path), *words])
    closing.main()


def test_the_word_is_printed(
    pickled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {
        "SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "7", "SLURM_NTASKS": "2",
        "GANYMEDE_SCHEDULER": "slurm", "GANYMEDE_JOB": "7", "GANYMEDE_RESTARTS": "1",
        "GANYMEDE_STEP": "3", "GANYMEDE_NODES": "n[1-2]",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    call(pickled, monkeypatch, status="1", step="-1", error="set-up line failed: x")
    assert capsys.readouterr().out == "failed\n"
    run = Run(pickled.parent / "r")
    record = records.latest(run, "train")
    found = {name: record[name] for name in ("job_id", "restarts", "step_id", "ranks", "nodes")}
    assert found == {
        "job_id": "7", "restarts": 1, "step_id": "-1", "ranks": 2, "nodes": "n[1-2]",
    }  # fmt: skip
    assert logs.log_file(stages(run)[0]) == pickled.parent / "7_0_log.out"


def test_a_record_that_cannot_be_written_is_told(
    pickled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(pickled.parent / "r")
    Attempt.begin(run, Train.stage)  # by this process, which lives
    call(pickled, monkeypatch, status="1")
    said = capsys.readouterr()
    assert said.out == "failed\n"
    assert "the end of train could not be recorded: attempt 1 of train" in said.err
