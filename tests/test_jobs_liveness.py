"""Whether an attempt still runs, asked of whoever can know."""

import platform
from collections.abc import Iterator
from pathlib import Path

import fake_pbs
import pytest
from fake_pbs import FakePBS
from fake_slurm import FakeSlurm, install
from other_scheduler import register

from jobs import records
from jobs.liveness import is_alive, settle
from jobs.ranks import Place
from jobs.records import Attempt, Cause
from jobs.run import Run
from slurm import qsub
from slurm.qsub import Request
from slurm.scheduler import Phase

HERE = Place()
SILENT = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"


@pytest.fixture(autouse=True)
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return install(tmp_path, monkeypatch)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "run").mkdir()
    return Run(tmp_path / "run")


def place(job_id: str = "7", restarts: int = 0, step: str = "0") -> Place:
    return Place(job_id=job_id, scheduler="slurm", restarts=restarts, step_id=step)


def begin(run: Run, at: Place = HERE, **facts: object) -> dict[str, object]:
    """The record of an attempt as from another machine, unless facts say otherwise."""
    attempt = Attempt.begin(run, "train", **at.facts)
    attempt.update(**{"host": "n1", "boot_id": "x", **facts})
    return records.latest(run, "train")


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "SUSPENDED"])
def test_a_job_in_the_queue_lives(slurm: FakeSlurm, run: Run, state: str) -> None:
    slurm.set_job("7", state)
    assert is_alive(begin(run, place()), HERE)


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"])
def test_a_job_that_left_does_not(slurm: FakeSlurm, run: Run, state: str) -> None:
    slurm.set_job("7", state)
    assert not is_alive(begin(run, place()), HERE)


def test_a_job_that_slurm_has_forgotten_does_not(run: Run) -> None:
    assert not is_alive(begin(run, place()), HERE)


def test_an_attempt_that_ended_does_not_and_nobody_is_asked(slurm: FakeSlurm, run: Run) -> None:
    slurm.set_job("7", "RUNNING")
    assert not is_alive(begin(run, place(), cause="preempted"), HERE)
    assert slurm.calls("squeue") == []


def test_what_cannot_be_asked_counts_as_alive(
    slurm: FakeSlurm, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = begin(run, place())
    slurm.fail("squeue", SILENT)
    assert is_alive(record, HERE)
    monkeypatch.setenv("PATH", str(tmp_path))  # a machine without Slurm, on the same file system
    assert is_alive(record, HERE)


@pytest.mark.parametrize(
    ("now", "alive"),
    [
        (place(), True),  # this very start: another process of it
        (place(restarts=1), False),  # Slurm starts a job again once all of it has ended
        (place(step="1"), False),
    ],
)
def test_of_ones_own_job_only_this_start_lives(
    slurm: FakeSlurm, run: Run, now: Place, alive: bool
) -> None:
    slurm.set_job("7", "RUNNING")
    assert is_alive(begin(run, place()), now) == alive
    assert slurm.calls("squeue") == []


def test_another_job_is_asked_about_from_within_a_job(slurm: FakeSlurm, run: Run) -> None:
    slurm.set_job("6", "RUNNING")
    assert is_alive(begin(run, place("6")), place("7"))


def test_each_job_is_asked_about_at_its_own_scheduler(
    slurm: FakeSlurm, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = register(monkeypatch)
    record = begin(run, Place(job_id="7.there", scheduler="other"), nodes="lost")
    other.put("7.there", Phase.RUNNING)
    assert is_alive(record, HERE)
    assert is_alive(record, place("7.there", restarts=1))  # the same id, elsewhere
    other.put("7.there", Phase.OVER)
    assert not is_alive(record, HERE)
    settle(run, "train", HERE)
    assert records.latest(run, "train")["cause"] == Cause.NODE_LOST
    assert slurm.calls("squeue") == []


def test_a_scheduler_that_is_not_known_cannot_be_asked(run: Run) -> None:
    assert is_alive(begin(run, Place(job_id="7", scheduler="third")), HERE)


def test_a_process_of_this_machine_is_asked_of_the_machine(slurm: FakeSlurm, run: Run) -> None:
    Attempt.begin(run, "train")
    record = records.latest(run, "train")
    assert is_alive(record, place())
    assert not is_alive(record | {"process_ticks": 0}, place())
    assert slurm.calls("squeue") == []


# An attempt that did not tell its end


def test_it_was_killed_if_it_lives_no_more(run: Run) -> None:
    begin(run, place())
    settle(run, "train", HERE)
    record = records.latest(run, "train")
    assert (record["cause"], record["error"]) == (Cause.KILLED, "it left no record of its end")
    assert "ended" not in record  # nobody knows when


def test_a_live_one_an_ended_one_and_none_are_left_alone(slurm: FakeSlurm, run: Run) -> None:
    settle(run, "train", HERE)
    slurm.set_job("7", "RUNNING")
    record = begin(run, place())
    settle(run, "train", HERE)
    assert records.latest(run, "train") == record
    Attempt(run, "train", 1).end(Cause.CRASHED)
    slurm.forget()
    settle(run, "train", HERE)
    assert records.latest(run, "train")["cause"] == Cause.CRASHED


@pytest.mark.parametrize(
    ("node", "boot", "cause"),
    [
        ("down*", 0, Cause.NODE_LOST),
        ("idle", 9_999_999_999, Cause.NODE_LOST),  # it has been started since
        ("idle", 0, Cause.KILLED),
    ],
)
def test_a_lost_node_is_told_from_a_kill(
    slurm: FakeSlurm, run: Run, node: str, boot: int, cause: Cause
) -> None:
    slurm.change(nodes={"n1": {"state": node, "boot": boot}})
    begin(run, place(), nodes="n1")
    settle(run, "train", place(restarts=1))
    assert records.latest(run, "train")["cause"] == cause


def test_a_scheduler_that_knows_no_node_leaves_it_a_kill(slurm: FakeSlurm, run: Run) -> None:
    begin(run, place(), nodes="n1")
    slurm.fail("sinfo", SILENT)
    settle(run, "train", place(restarts=1))
    assert records.latest(run, "train")["cause"] == Cause.KILLED


def test_a_process_without_scheduler_lost_no_node(slurm: FakeSlurm, run: Run) -> None:
    begin(run, host=platform.node(), boot_id="an earlier one", nodes="n1")
    settle(run, "train", HERE)
    assert records.latest(run, "train")["cause"] == Cause.KILLED
    assert slurm.calls("sinfo") == []


# What PBS still knows of an end


@pytest.fixture
def pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePBS]:
    monkeypatch.chdir(tmp_path)  # where the outputs of jobs go
    found = fake_pbs.install(tmp_path / "there", monkeypatch)
    found.change(walltime_late=0.0, kill_delay=0.1, blind_s=0.0)
    yield found
    found.stop()


@pytest.mark.parametrize(
    ("what", "cause"),
    [
        ("is over its limit", Cause.TIME_LIMIT),
        ("was deleted", Cause.CANCELLED),
        ("was killed", Cause.KILLED),
        ("is unknown", Cause.KILLED),
    ],
)
def test_pbs_is_asked_how_a_job_ended(pbs: FakePBS, run: Run, what: str, cause: Cause) -> None:
    job_id = qsub.submit(Request(("-l", "walltime=1"), ("/bin/sleep", "60"), "t1"))
    record = begin(run, Place(job_id=job_id, scheduler="pbs"))
    assert is_alive(record, HERE)
    settle(run, "train", HERE)
    assert "cause" not in (records.latest(run, "train") or {})
    if what != "is over its limit":
        pbs.wait(job_id, "R")
        qsub.call(*("qdel", job_id) if what == "was deleted" else ("qsig", "-s", "KILL", job_id))
    pbs.wait(job_id)
    if what == "is unknown":
        pbs.purge(job_id)
    assert not is_alive(record, HERE)
    settle(run, "train", place("8"))
    assert records.latest(run, "train")["cause"] == cause


def test_a_pbs_that_cannot_be_asked_tells_no_cause(pbs: FakePBS, run: Run) -> None:
    """It is alive for all that is known; and for a moment PBS may not answer the next question."""
    job_id = qsub.submit(Request((), ("/bin/true",), "t1"))
    begin(run, Place(job_id=job_id, scheduler="pbs"))
    pbs.wait(job_id)
    silent = "Connection refused\nqstat: cannot connect to server fakepbs (errno=15010)"
    pbs.fail("qstat", silent, status=255)
    settle(run, "train", HERE)
    assert "cause" not in (records.latest(run, "train") or {})
    settle(run, "train", HERE)
    assert records.latest(run, "train")["cause"] == Cause.KILLED
