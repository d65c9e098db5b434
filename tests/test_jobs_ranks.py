"""The ranks of a job find each other, and nobody else."""

import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from processes import Ranks, environment

from gan.config import ClassifierConfig
from jobs import closing, pipeline, records
from jobs import ranks as meetings
from jobs.ranks import Place
from jobs.records import Attempt, Cause
from jobs.run import Run, RunError
from jobs.stage import Context, Result, StageJob
from jobs.train import Train


def slurm(rank: int = 0, **variables: str) -> dict[str, str]:
    """What srun tells each of two ranks on two nodes, and the batch script."""
    return {
        "SUBMITIT_EXECUTOR": "slurm",
        "GANYMEDE_SCHEDULER": "slurm",
        "GANYMEDE_INTERFACE": "lo",
        "GANYMEDE_TOKEN": "feed",
        "GANYMEDE_JOB": "71",
        "GANYMEDE_LINE": "71",
        "GANYMEDE_RESTARTS": "0",
        "GANYMEDE_STEP": "0",
        "GANYMEDE_NODES": "n[1-2]",
        "SLURM_JOB_ID": "71",
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": str(rank),
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_NODELIST": "n[1-2]",
        **variables,
    }


PLACES = [Place(rank, 2, 0, "71", "slurm", 0, "0", "71") for rank in range(2)]


def test_a_process_alone_has_the_first_place() -> None:
    assert meetings.here() == Place()
    assert Place().size == 1
    assert Place().facts == {"job_id": None, "restarts": 0, "step_id": "", "ranks": 1}


def test_place_is_read_from_the_environment() -> None:
    with environment(**slurm(1, SLURM_LOCALID="3")):
        place = meetings.here()
        assert place == Place(1, 2, 3, "71", "slurm", 0, "0", "71")
        assert place.facts == {
            "job_id": "71", "restarts": 0, "step_id": "0", "scheduler": "slurm", "ranks": 2,
            "line": "71", "nodes": "n[1-2]", "token": "feed",
        }  # fmt: skip
        assert not place.goes_on
    with environment(**slurm(GANYMEDE_JOB="70_5", GANYMEDE_RESTARTS="2", GANYMEDE_STEP="4")):
        assert meetings.here().key == {"job_id": "70_5", "restarts": 2, "step_id": "4"}
        assert meetings.here().goes_on


def test_a_job_under_a_new_id_is_of_the_line_of_the_first() -> None:
    with environment(**slurm(GANYMEDE_JOB="8.there", GANYMEDE_LINE="7.there")):
        place = meetings.here()
        assert (place.job_id, place.line, place.restarts) == ("8.there", "7.there", 0)
        assert place.goes_on
        assert place.facts["line"] == "7.there"
        assert place.key["job_id"] == "8.there"
    with environment(**slurm(GANYMEDE_JOB="8.there", GANYMEDE_LINE="")):
        assert meetings.here().line == "8.there"


def begin(run: Run, place: Place) -> Attempt:
    attempt = Attempt.begin(run, "train", alive=lambda record: False, **place.facts)
    attempt.update(meeting_point=["127.0.0.1", 1])
    return attempt


@pytest.mark.parametrize(
    "other",
    [
        Place(0, 2, 0, "71", "slurm", restarts=1, step_id="0"),
        Place(0, 2, 0, "71", "slurm", restarts=0, step_id="1"),
        Place(0, 2, 0, "72", "slurm", restarts=0, step_id="0"),
    ],
)
def test_attempt_of_another_start_is_never_joined(
    other: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meetings, "_MEET_S", 0.3)
    begin(Run(tmp_path), other)
    with pytest.raises(RunError, match="rank 1 of 2: rank 0 did not begin"):
        meetings.find_attempt(Run(tmp_path), "train", PLACES[1])
    joined = meetings.find_attempt(Run(tmp_path), "train", other)
    assert joined.number == 1
    assert begin(Run(tmp_path), PLACES[0]).number == 2
    assert meetings.find_attempt(Run(tmp_path), "train", PLACES[1]).number == 2


def test_attempt_that_has_ended_or_does_not_meet_is_not_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meetings, "_MEET_S", 0.3)
    run = Run(tmp_path)
    begin(run, PLACES[0]).end(Cause.CRASHED)
    with pytest.raises(RunError, match="did not begin"):
        meetings.find_attempt(run, "train", PLACES[1])
    Attempt.begin(run, "train", **PLACES[0].facts)
    with pytest.raises(RunError, match="did not begin"):
        meetings.find_attempt(run, "train", PLACES[1])


def test_address_is_the_interfaces_or_the_hosts_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GANYMEDE_INTERFACE", raising=False)
    assert meetings.address() == socket.gethostname()
    monkeypatch.setenv("GANYMEDE_INTERFACE", "lo")
    assert meetings.address() == "127.0.0.1"
    monkeypatch.setenv("GANYMEDE_INTERFACE", "ib7")
    with pytest.raises(RunError, match=r"interface is 'ib7'; allowed on this node: .*\blo\b"):
        meetings.address()
    assert "lo" in psutil.net_if_addrs()


def meet(path: Path, place: Place, late_s: float) -> dict[str, Any]:
    """Come to the meeting of an attempt, as `StageJob` does, and say what was agreed."""
    run = Run(path)
    with environment(GANYMEDE_INTERFACE="lo"):
        time.sleep(late_s)
        if place.rank == 0:
            attempt = Attempt.begin(run, "train", alive=lambda record: False, **place.facts)
        else:
            attempt = meetings.find_attempt(run, "train", place)
        with meetings.meeting(attempt, place) as meeting:
            world = meeting.connect(torch.device("cpu"))
            heard = world.broadcast(f"rank {place.rank}")
            if place.rank == 0:
                time.sleep(0.5)  # the others are not to leave before this is recorded
                attempt.end(Cause.FINISHED)
            meeting.part()
        record = records.read(run.attempt_file("train", attempt.number))
    return {"attempt": attempt.number, "heard": heard, "cause": record.get("cause")}


@pytest.mark.parametrize("late", [(0.3, 0.0), (0.0, 0.3)])
def test_ranks_meet_in_the_attempt_of_their_own_start(
    late: tuple[float, float], tmp_path: Path, ranks: Ranks
) -> None:
    """The start before was killed: its record has a meeting point at which nobody is any more."""
    begin(Run(tmp_path), Place(0, 2, 0, "71", "slurm", restarts=0, step_id="0"))
    again = [Place(rank, 2, 0, "71", "slurm", restarts=1, step_id="0") for rank in range(2)]
    ends = ranks.apart(meet, *[(tmp_path, again[rank], late[rank]) for rank in range(2)])
    assert ends == [{"attempt": 2, "heard": "rank 0", "cause": "finished"}] * 2


def test_a_rank_that_never_parts_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meetings, "_PART_S", 0.3)
    attempt = Attempt.begin(Run(tmp_path), "train", **PLACES[0].facts)
    parted = threading.Event()

    def lead() -> None:
        with meetings.meeting(attempt, PLACES[0]) as meeting:
            meeting.part()
        parted.set()

    thread = threading.Thread(target=lead, daemon=True)
    thread.start()
    assert parted.wait(60)
    thread.join()


def train(path: Path, variables: dict[str, str]) -> str:
    with environment(**variables):
        return Train(path)()


def test_two_ranks_do_one_attempt_of_a_job(
    tiny_classifier: ClassifierConfig, tmp_path: Path, ranks: Ranks
) -> None:
    run = pipeline.prepare("classifier-digits", tiny_classifier, tmp_path / "run", threads=1)
    ends = ranks.apart(train, *[(run.path, slurm(rank)) for rank in range(2)])
    assert ends == ["finished"] * 2
    assert records.numbers(run, "train") == [1]
    record = records.latest(run, "train")
    assert (record["cause"], record["ranks"], record["job_id"]) == ("finished", 2, "71")
    assert record["numerics"]["ranks"] == 2
    assert records.require(run, "train")["result"] == {"steps": 44}


@dataclass(frozen=True)
class Failing(StageJob):
    """Fails on its second rank."""

    stage = "train"

    def work(self, context: Context) -> Result:
        world = context.meeting.connect(torch.device("cpu"))
        if world.rank == 1:
            raise MemoryError("out of memory on purpose")
        world.agree(None)
        return Result()


def fail(path: Path, variables: dict[str, str]) -> str:
    with environment(**variables), pytest.raises((SystemExit, MemoryError)) as left:
        Failing(path)()
    return left.type.__name__


def test_failure_of_another_rank_is_recorded_as_the_cause(tmp_path: Path, ranks: Ranks) -> None:
    ends = ranks.apart(fail, *[(tmp_path, slurm(rank)) for rank in range(2)])
    assert ends == ["SystemExit", "MemoryError"]
    record = records.latest(Run(tmp_path), "train")
    assert (record["cause"], record["number"]) == ("out of memory", 1)
    assert record["error"] == "rank 1: out of memory on purpose"
    assert "MemoryError" in record["traceback"]


def test_failure_of_another_rank_is_recorded_after_the_first_was_killed(tmp_path: Path) -> None:
    attempt = Attempt.begin(Run(tmp_path), "train", **PLACES[0].facts)
    attempt.note(1, Cause.KILLED, "another rank does not answer", "")
    attempt.note(2, Cause.OUT_OF_MEMORY, "CUDA out of memory", "the traceback")
    with environment(GANYMEDE_RETRIES="0"):
        assert closing.close(Failing(tmp_path), status=137, error="", place=PLACES[0]) == "failed"
    record = records.latest(Run(tmp_path), "train")
    assert (record["cause"], record["traceback"]) == ("out of memory", "the traceback")
    assert record["error"] == "rank 2: CUDA out of memory"
