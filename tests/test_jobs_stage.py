import errno
import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_slurm import install
from other_scheduler import register

from checkpoints import CheckpointError
from gan.divergence import NonFiniteLoss
from jobs import records
from jobs.records import Cause
from jobs.run import Run
from jobs.stage import Context, Result, StageJob, Stop, Stopped, cause_of, save_progress
from jobs.train import Train
from slurm.preemption import StopRequest


@dataclass(frozen=True)
class Job(StageJob):
    """A stage whose work is given."""

    stage = "work"
    error: BaseException | None = None

    def work(self, context: Context) -> Result:
        if self.error:
            raise self.error
        (context.run.path / "out").write_text("made")
        return Result([context.run.path / "out"], {"answer": 42})


def test_finished_work_is_recorded_and_not_done_twice(tmp_path: Path) -> None:
    assert Job(tmp_path)() == "finished"
    assert records.require(Run(tmp_path), "work")["result"] == {"answer": 42}
    (tmp_path / "out").unlink()
    assert Job(tmp_path)() == "finished"
    assert records.numbers(Run(tmp_path), "work") == [1]


@dataclass(frozen=True)
class Vanishing(StageJob):
    """The folder is moved away between a look at it and a write to it."""

    stage = "vanishing"

    def work(self, context: Context) -> Result:
        context.attempt.guard()
        context.run.path.rename(context.run.path.with_name("moved"))
        save_progress(context.run, self.stage, {"step": 1})
        context.attempt.note(1, Cause.CRASHED, "error", "trace")
        return Result()


def test_a_folder_that_is_moved_away_is_not_made_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(FileNotFoundError, match="moved meanwhile"):
        Vanishing(tmp_path / "run")()
    with pytest.raises(SystemExit) as left:
        Vanishing(tmp_path / "run")()
    assert left.value.code == 2
    assert f"not begun: {tmp_path / 'run'} is not there" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["moved"]


def test_stop_is_a_cause_not_an_error(tmp_path: Path) -> None:
    assert Job(tmp_path, Stopped("time limit"))() == "time limit"
    assert records.latest(Run(tmp_path), "work")["cause"] == "time limit"
    assert records.completion(Run(tmp_path), "work") is None


def test_stop_of_a_cancelled_run_is_a_cancellation(tmp_path: Path) -> None:
    Run(tmp_path).cancel_file.write_text("{}")
    assert Job(tmp_path, Stopped("terminated"))() == "cancelled"


def test_stage_is_complete_before_its_attempt_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    end = records.Attempt.end

    def noting(attempt: records.Attempt, cause: Cause, **facts: object) -> None:
        seen.append(records.completion(attempt.run, "work") is not None)
        end(attempt, cause, **facts)

    monkeypatch.setattr(records.Attempt, "end", noting)
    Job(tmp_path)()
    assert seen == [True]


def test_cancellation_is_noticed_without_a_signal(tmp_path: Path) -> None:
    stop = Stop(StopRequest(), Run(tmp_path))
    assert stop.reason() is None
    Run(tmp_path).cancel_file.write_text("{}")
    assert stop.reason() is None  # it has just looked
    stop._next_look = 0
    assert stop.reason() == "cancelled"
    assert stop.reason() == "cancelled"  # asked again at once


def test_second_attempt_beside_a_live_one_is_told_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records.Attempt.begin(Run(tmp_path), "work")
    with pytest.raises(SystemExit) as left:
        Job(tmp_path)()
    assert left.value.code == 2
    assert "work not begun: attempt 1 of work" in capsys.readouterr().out
    assert records.numbers(Run(tmp_path), "work") == [1]


def test_crash_leaves_its_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        Job(tmp_path, ZeroDivisionError("by nought"))()
    record = records.latest(Run(tmp_path), "work")
    assert (record["cause"], record["error"]) == ("crashed", "by nought")
    assert "ZeroDivisionError" in record["traceback"]
    assert "work ended: crashed: by nought" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), Cause.DISK_FULL),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Cause.DISK_FULL),
        (OSError(errno.EIO, "Input/output error"), Cause.CRASHED),
        (MemoryError(), Cause.OUT_OF_MEMORY),
        (RuntimeError("CUDA out of memory."), Cause.OUT_OF_MEMORY),
        (CheckpointError("bad"), Cause.REFUSED),
        (KeyboardInterrupt(), Cause.INTERRUPTED),
        (records.Superseded("taken over"), Cause.SUPERSEDED),
        (NonFiniteLoss("train/loss is nan at step 5"), Cause.DIVERGED),
        (ValueError("bug"), Cause.CRASHED),
    ],
)
def test_errors_have_named_causes(error: BaseException, cause: Cause) -> None:
    assert cause_of(error) == cause


def test_job_is_a_small_pickle_that_holds_a_path(tmp_path: Path) -> None:
    content = pickle.dumps(Train(tmp_path))
    assert len(content) < 300 + len(os.fspath(tmp_path))
    assert pickle.loads(content) == Train(tmp_path)


def start(monkeypatch: pytest.MonkeyPatch, scheduler: str, job_id: str, line: str = "") -> None:
    """What a batch script exports."""
    values = {
        "SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "7", "GANYMEDE_SCHEDULER": scheduler,
        "GANYMEDE_JOB": job_id, "GANYMEDE_LINE": line or job_id,
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("shown", "cause"),
    [({"PreemptTime": 1700000000}, "preempted"), ({"PreemptTime": "None"}, "terminated")],
)
def test_a_task_of_an_array_is_asked_about_by_its_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shown: dict[str, object], cause: str
) -> None:
    """The last task of an array has the array's own number, which means all of them."""
    slurm = install(tmp_path, monkeypatch)
    slurm.set_job("7_3", "RUNNING", **shown)
    start(monkeypatch, "slurm", "7_3")
    with pytest.raises(SystemExit) as left:
        Job(tmp_path, Stopped("terminated"))()
    assert left.value.code == 85
    record = records.latest(Run(tmp_path), "work")
    assert (record["cause"], record["job_id"]) == (cause, "7_3")
    assert slurm.calls("scontrol") == [["--oneliner", "show", "job", "7_3"]]


def test_under_another_scheduler_a_stop_wants_to_go_on_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = register(monkeypatch)
    other.meaning = "node lost"
    start(monkeypatch, "other", "7.there")
    with pytest.raises(SystemExit) as left:
        Job(tmp_path, Stopped("terminated"))()
    assert left.value.code == 85
    assert (records.latest(Run(tmp_path), "work") or {})["cause"] == "node lost"


@pytest.mark.parametrize(("line", "is_refused"), [("1.there", True), ("9.there", False)])
def test_time_limits_without_progress_end_a_line_of_jobs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: str,
    is_refused: bool,
) -> None:
    """Somebody who asks again, and gets another line, may try."""
    register(monkeypatch)
    for number in range(1, 4):
        start(monkeypatch, "other", f"{number}.there", "1.there")
        with pytest.raises(SystemExit):
            Job(tmp_path, Stopped("time limit"))()
    start(monkeypatch, "other", "9.there", line)
    with pytest.raises(SystemExit) as left:
        Job(tmp_path, Stopped("time limit"))()
    assert left.value.code == (2 if is_refused else 85)
    said = "3 attempts came to their time limit without any progress beyond step 0"
    assert (said in capsys.readouterr().out) == is_refused


@pytest.mark.parametrize(
    ("last", "line", "is_refused"),
    [
        ({"cause": "crashed", "next": "failed"}, "1.there", True),
        ({"cause": "cancelled"}, "1.there", True),
        ({"cause": "cancelled"}, "2.there", False),  # somebody has asked for it anew
        ({"cause": "crashed", "next": "requeue"}, "1.there", False),
        ({"cause": "time limit", "next": "requeue"}, "1.there", False),
        ({"cause": "killed"}, "1.there", False),  # noticed by this job itself
    ],
)
def test_the_rest_of_a_chain_does_not_go_on_after_an_end_for_good(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    last: dict[str, str],
    line: str,
    is_refused: bool,
) -> None:
    register(monkeypatch)
    facts = {"scheduler": "other", "job_id": "1.there", "line": "1.there"}
    attempt = records.Attempt.begin(Run(tmp_path), "work", **facts)
    attempt.update(**last)
    start(monkeypatch, "other", "2.there", line)
    if not is_refused:
        assert Job(tmp_path)() == "finished"
        return
    with pytest.raises(SystemExit) as left:
        Job(tmp_path)()
    assert left.value.code == 2
    said = f"work not begun: job 1.there before it ended for good: {last['cause']}"
    assert said in capsys.readouterr().out
    assert records.numbers(Run(tmp_path), "work") == [1]


def test_a_job_that_is_started_again_is_no_rest_of_a_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator, or PBS, has put it back into the queue."""
    register(monkeypatch)
    facts = {"scheduler": "other", "job_id": "1.there", "line": "1.there"}
    records.Attempt.begin(Run(tmp_path), "work", **facts).update(cause="crashed", next="failed")
    start(monkeypatch, "other", "1.there")
    assert Job(tmp_path)() == "finished"
