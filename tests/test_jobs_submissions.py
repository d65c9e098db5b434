"""The records of what was handed to a scheduler."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs import submissions
from jobs.run import Run, RunError
from slurm.scheduler import JobState, Phase


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def of_a_dead_client(run: Run) -> dict[str, object]:
    """An intent whose client was killed before it had an answer."""
    program = (
        "import os, sys; from pathlib import Path; from jobs import submissions;"
        "from jobs.run import Run; submissions.intend(Run(Path(sys.argv[1])), 'train', 0, 'a', 3);"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(run.path)], check=False)
    return submissions.latest(run, "train")


def test_an_intent_comes_first_then_the_jobs_number(run: Run) -> None:
    assert submissions.latest(run, "train") is None
    intent = submissions.intend(run, "train", 0, "abc", None, dependency="afterok:1")
    stored = submissions.latest(run, "train")
    assert stored == intent
    assert (stored["number"], stored["token"], stored["pid"]) == (1, "abc", os.getpid())
    assert stored["dependency"] == "afterok:1"
    assert "job_id" not in stored
    assert submissions.accepted(run, intent, "7") == "7"
    stored = submissions.latest(run, "train")
    assert stored["job_id"] == "7"
    assert stored["intended"] <= stored["submitted"] <= time.time()


def test_a_task_of_an_array_is_a_number_and_an_index(run: Run) -> None:
    intent = submissions.intend(run, "train", 0, "abc", 0)
    assert submissions.accepted(run, intent, "7") == "7_0"
    assert submissions.latest(run, "train")["job_id"] == "7_0"


def test_submissions_are_numbered_stage_by_stage(run: Run) -> None:
    submissions.intend(run, "train", 0, "a", None)
    submissions.intend(run, "train", 1, "b", None)
    submissions.intend(run, "sample", 0, "c", None)
    assert submissions.latest(run, "train")["token"] == "b"
    assert submissions.latest(run, "sample")["number"] == 1
    names = sorted(path.name for path in run.submissions.iterdir())
    assert names == ["sample-0001.json", "train-0001.json", "train-0002.json"]


def test_of_two_clients_that_saw_the_same_one_goes_on(run: Run) -> None:
    submissions.intend(run, "train", 0, "a", None)
    with pytest.raises(RunError, match=r"train of .* has just been submitted by somebody else"):
        submissions.intend(run, "train", 0, "b", None)
    assert submissions.latest(run, "train")["token"] == "a"


def test_a_refusal_is_remembered_and_makes_no_job(run: Run) -> None:
    intent = submissions.intend(run, "train", 0, "abc", None)
    submissions.refused(run, intent, "no such partition")
    record = submissions.latest(run, "train")
    assert record["refused"] == "no such partition"
    states = {"7": JobState("7", "PENDING", "", "abc", Phase.WAITING)}
    assert submissions.job_of(record, states) is None


def test_a_live_clients_submission_is_under_way(run: Run) -> None:
    intent = submissions.intend(run, "train", 0, "abc", None)
    assert submissions.is_under_way(intent)
    assert not submissions.is_under_way(intent | {"job_id": "7"})
    assert not submissions.is_under_way(intent | {"refused": "so"})
    submissions.unanswered(run, intent, "silence")
    assert not submissions.is_under_way(submissions.latest(run, "train"))


def test_a_dead_clients_is_not(run: Run) -> None:
    assert not submissions.is_under_way(of_a_dead_client(run))


def test_a_client_elsewhere_is_waited_for_but_not_for_ever(run: Run) -> None:
    intent = submissions.intend(run, "train", 0, "abc", None)
    elsewhere = intent | {"host": "another", "pid": 1}
    assert submissions.is_under_way(elsewhere)
    assert not submissions.is_under_way(elsewhere | {"intended": time.time() - 1201})


def test_the_job_of_a_dead_client_is_found_by_its_token(run: Run) -> None:
    record = of_a_dead_client(run)
    assert record["index"] == 3
    states = {
        "6_3": JobState("6_3", "RUNNING", "", "another", Phase.RUNNING),
        "7_0": JobState("7_0", "RUNNING", "", "a", Phase.RUNNING),
        "7_3": JobState("7_3", "PENDING", "", "a", Phase.WAITING),
    }
    assert submissions.job_of(record, states) == "7_3"
    assert submissions.live(record, states) == states["7_3"]
    assert submissions.job_of(record, {}) is None
    assert submissions.job_of(None, states) is None


def test_a_known_number_needs_no_token(run: Run) -> None:
    intent = submissions.intend(run, "train", 0, "abc", None)
    submissions.accepted(run, intent, "7")
    assert submissions.job_of(intent, {}) == "7"
    assert submissions.live(intent, {}) is None
    assert (
        submissions.live(intent, {"7": JobState("7", "COMPLETED", "", "abc", Phase.OVER)}) is None
    )
    running = JobState("7", "RUNNING", "", "abc", Phase.RUNNING)
    assert submissions.live(intent, {"7": running}) == running


def test_how_a_job_left_is_written_once(run: Run) -> None:
    intent = submissions.intend(run, "train", 0, "abc", None)
    submissions.accepted(run, intent, "7")
    submissions.left_queue(run, intent, "CANCELLED")
    path = run.submission_file("train", 1)
    assert json.loads(path.read_text())["left"] == "CANCELLED"
    before = path.stat()
    submissions.left_queue(run, intent, "CANCELLED")
    assert path.stat().st_ino == before.st_ino


def test_tokens_are_unique_and_plain_and_no_numbers() -> None:
    tokens = {submissions.new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(token.isalnum() and token.isascii() for token in tokens)
    assert {token[0] for token in tokens} == {"t"}
