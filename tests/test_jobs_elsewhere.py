"""What a launcher must not begin, since another place has it."""

from pathlib import Path
from typing import Any

import pytest
from fake_slurm import FakeSlurm, install
from other_scheduler import Other, register

from gan.config import ClassifierConfig
from jobs import records, submissions
from jobs.elsewhere import Elsewhere
from jobs.pipeline import Stage, prepare, stages
from jobs.records import Attempt, Cause
from jobs.run import RunError
from slurm.errors import Unreachable
from slurm.of_slurm import Slurm
from slurm.scheduler import Phase


@pytest.fixture(autouse=True)
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return install(tmp_path, monkeypatch)


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Other:
    return register(monkeypatch)


@pytest.fixture
def stage(tmp_path: Path, tiny_classifier: ClassifierConfig) -> Stage:
    return stages(prepare("classifier-digits", tiny_classifier, tmp_path / "r", threads=1))[0]


def submission(stage: Stage, scheduler: str, job_id: str) -> dict[str, Any]:
    record = submissions.intend(stage.run, stage.name, 0, "t1", None, scheduler=scheduler)
    submissions.accepted(stage.run, record, job_id)
    return record


def attempt(stage: Stage, cause: Cause | None = None, **facts: object) -> dict[str, Any]:
    begun = Attempt.begin(stage.run, stage.name, **facts)
    if cause:
        begun.end(cause)
    return records.latest(stage.run, stage.name) or {}


def test_what_nobody_has_is_free(slurm: FakeSlurm, other: Other, stage: Stage) -> None:
    Elsewhere(Slurm(), 0.1).refuse(stage, None, None)
    Elsewhere(Slurm(), 0.1).refuse(stage, None, attempt(stage, Cause.TERMINATED))
    assert (slurm.calls("squeue"), other.asked) == ([], 0)


def test_a_process_of_this_machine(stage: Stage) -> None:
    with pytest.raises(RunError, match=r"train of .* is running outside of Slurm \(process \d+ on"):
        Elsewhere(Slurm(), 0.1).refuse(stage, None, attempt(stage))


def test_its_own_scheduler_is_the_launchers_to_ask(slurm: FakeSlurm, stage: Stage) -> None:
    facts = {"scheduler": "slurm", "job_id": "7"}
    Elsewhere(Slurm(), 0.1).refuse(stage, submission(stage, "slurm", "7"), attempt(stage, **facts))
    assert slurm.calls("squeue") == []


@pytest.mark.parametrize(
    ("cause", "is_asked"),
    [(None, True), (Cause.PREEMPTED, True), (Cause.CRASHED, False), (Cause.CANCELLED, False)],
)
def test_an_attempt_that_may_go_on_there(
    other: Other, stage: Stage, cause: Cause | None, is_asked: bool
) -> None:
    other.put("7.there", Phase.WAITING)
    record = attempt(stage, cause, scheduler="other", job_id="7.there")
    elsewhere = Elsewhere(Slurm(), 0.1)
    if is_asked:
        with pytest.raises(RunError, match=r"in the queue of The Other as job 7\.there; cancel"):
            elsewhere.refuse(stage, None, record)
    else:
        elsewhere.refuse(stage, None, record)
    assert other.asked == is_asked


def test_each_scheduler_is_asked_once(other: Other, stage: Stage) -> None:
    record = submission(stage, "other", "7.there")
    elsewhere = Elsewhere(Slurm(), 0.1)
    for _ in range(3):
        elsewhere.refuse(stage, record, None)
    assert other.asked == 1
    submissions.left_queue(stage.run, record, "gone")
    Elsewhere(Slurm(), 0.1).refuse(stage, record, None)
    assert other.asked == 1


def test_one_that_does_not_answer_may_have_it(other: Other, stage: Stage) -> None:
    other.problem = Unreachable("no answer")
    with pytest.raises(
        RunError, match=r"given to other, which cannot be asked .* \(no answer\); .* --take-over"
    ):
        Elsewhere(Slurm(), 0.1).refuse(stage, submission(stage, "other", "7.there"), None)
