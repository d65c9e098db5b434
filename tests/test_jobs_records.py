import os
from pathlib import Path

import pytest

from checkpoints import Store, files
from jobs import records
from jobs.records import Attempt, AttemptAlive, Cause, Superseded, Unfinished
from jobs.run import Run, RunError


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_attempts_are_numbered_and_end_with_a_cause(run: Run) -> None:
    first = Attempt.begin(run, "train", job_id="7")
    assert first.number == 1
    first.end(Cause.TERMINATED)
    record = records.latest(run, "train")
    assert (record["cause"], record["job_id"], record["pid"]) == ("terminated", "7", os.getpid())
    assert Attempt.begin(run, "train").number == 2
    assert Attempt.begin(run, "sample").number == 1


def test_a_second_live_attempt_is_refused(run: Run) -> None:
    Attempt.begin(run, "train")
    with pytest.raises(AttemptAlive, match=f"attempt 1 of train .*process {os.getpid()}"):
        Attempt.begin(run, "train")


def test_taking_over_makes_the_other_step_back(run: Run) -> None:
    first = Attempt.begin(run, "train")
    first.guard()
    second = Attempt.begin(run, "train", take_over=True)
    second.guard()
    with pytest.raises(Superseded, match="attempt 1 of train was taken over"):
        first.guard()


def test_end_is_recorded_on_a_full_disk(small_disk: Path) -> None:
    run = Run(small_disk)
    attempt = Attempt.begin(run, "train")
    with (
        pytest.raises(OSError, match="No space"),
        (small_disk / "filler").open("wb", buffering=0) as f,
    ):
        while True:
            f.write(b"x" * 512)
    attempt.end(Cause.DISK_FULL, error="no space")
    assert records.latest(run, "train")["cause"] == "disk full"


def test_completion_is_verified_by_who_needs_it(run: Run) -> None:
    with pytest.raises(Unfinished, match=r"stage train of .* is not finished"):
        records.require(run, "train")
    attempt = Attempt.begin(run, "train")
    output = run.path / "weights.bin"
    output.write_bytes(b"content")
    attempt.end(Cause.FINISHED)
    records.complete(run, "train", [output], {"steps": 5})
    record = records.require(run, "train")
    assert record["result"] == {"steps": 5}
    assert record["outputs"]["weights.bin"]["size"] == 7
    output.write_bytes(b"changed")
    with pytest.raises(Unfinished, match=r"weights\.bin is not what stage train wrote"):
        records.require(run, "train")
    output.unlink()
    with pytest.raises(Unfinished, match=r"weights\.bin is missing"):
        records.require(run, "train")


def test_seconds_add_up_over_attempts(run: Run) -> None:
    for number, (started, ended) in enumerate([(100, 110), (150, None), (200, 205)], 1):
        record = {"started": started} | ({"ended": ended} if ended else {})
        files.write_json(run.attempt_file("train", number), record)
    records.complete(run, "train", [], {})
    assert records.completion(run, "train")["seconds"] == 15  # a killed attempt's end is unknown
    assert records.completion(run, "train")["attempts"] == 3


def test_damaged_record_is_named(run: Run) -> None:
    Attempt.begin(run, "train").end(Cause.TERMINATED)
    run.attempt_file("train", 1).write_text("garbage")
    with pytest.raises(RunError, match=r"train-0001\.json cannot be read"):
        records.latest(run, "train")


def test_where_the_runs_folder_is_gone_nothing_is_written_any_more(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    attempt = Attempt.begin(run, "train")
    attempt.guard()
    run.path.rename(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=r"train-0001\.json is gone: .* removed or moved"):
        attempt.guard()
    store = Store(run.checkpoints, "identity", guard=attempt.guard)
    with pytest.raises(RunError, match="is gone"):
        store.commit(1, b"")
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere"]
