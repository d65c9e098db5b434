"""PBS as a scheduler: what is written, submitted, asked and removed."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import fake_pbs
import pytest
from fake_pbs import FakePBS
from submitit.core import plugins
from submitit.core.utils import DelayedSubmission

from slurm import qsub, succession
from slurm.errors import SchedulerError, SubmitLimit, Unreachable
from slurm.of_pbs import PBS
from slurm.orders import Order
from slurm.pbs_states import ORPHANED
from slurm.preemption import END
from slurm.qsub import Request
from slurm.resources import Profile, Resources
from slurm.scheduler import Phase

THERE = PBS()
WORK = [math.e.hex]
NO_SERVER = "Connection refused\nqstat: cannot connect to server fakepbs (errno=15010)"


@pytest.fixture(autouse=True)
def pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePBS]:
    """Without a node: what is submitted waits."""
    monkeypatch.setattr(qsub, "_LOOK_AGAIN_S", 0.01)
    monkeypatch.chdir(tmp_path)  # where the outputs of jobs go
    monkeypatch.chdir(tmp_path)  # where the outputs of jobs go
    found = fake_pbs.install(tmp_path, monkeypatch)
    found.change(nodes={}, blind_s=0.0)
    yield found
    found.stop()


def give_a_node(pbs: FakePBS) -> None:
    pbs.change(nodes={"fakepbs": {"ncpus": 4}})


def submit(token: str, after: str = "", seconds: int = 60, limit: str = "") -> str:
    """A job that sleeps, and outlives no signal."""
    options = ("-l", f"walltime={limit}") if limit else ()
    return qsub.submit(Request(options, ("/bin/sleep", str(seconds)), token, after))


def stubborn() -> str:
    """A job that waits for its end, whatever it is told."""
    program = "trap : TERM; touch ready; for i in {1..600}; do sleep 0.1; done"
    return qsub.submit(Request((), ("/bin/bash", "-c", program), "t1"))


def wait_until_it_listens(pbs: FakePBS) -> None:
    end = time.monotonic() + 60
    while not (pbs.folder / "home" / "ready").exists():
        assert time.monotonic() < end
        time.sleep(0.01)


# Submitting


def test_a_job_goes_with_its_pickle_and_what_it_takes_to_submit_it_again(
    pbs: FakePBS, tmp_path: Path
) -> None:
    folder, said = tmp_path / "a b'$(x) käse" / "logs", []
    need = submit("t1")
    order = Order("gan.train", "t2", Resources(minutes=90), dependency=THERE.after([need]))
    job_id = THERE.submit(folder, order, WORK, said.append)
    assert DelayedSubmission.load(folder / "t2_0.pkl").function() == math.e.hex()
    options, executable = succession.read_options(folder / "t2.sh")
    assert executable == ["/bin/bash", str(folder / "t2.sh")]
    given = ["-W", f"depend=afterok:{need}", "-v"]
    (*_, called) = pbs.calls("qsub")
    assert called[: len(options) + 3] == [*options, *given]
    assert called[-3:] == ["--", *executable]
    job = pbs.job(job_id)
    assert job["Variable_List"]["GANYMEDE_TOKEN"] == "t2"
    assert (job["Job_Name"], job["Resource_List"]["walltime"]) == ("gan.train", "01:30:00")
    assert (job["job_state"], job["depend"]) == ("H", f"afterok:{need}@fakepbs")
    assert said == []
    state = THERE.jobs()[job_id]
    assert (state.token, state.phase, state.is_stuck) == ("t2", Phase.WAITING, False)
    assert state.reason == f"after {need}"


def test_a_wrapper_has_the_python_path_of_its_submitter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PBS takes no environment along."""
    monkeypatch.setenv("PYTHONPATH", "/here and/there")
    monkeypatch.setenv("SECRET", "x")
    THERE.submit(tmp_path / "logs", Order("a", "t1", Resources(), environment={"A": "b c"}), WORK)
    text = (tmp_path / "logs" / "t1.sh").read_text()
    assert "\nexport PYTHONPATH='/here and/there'\n" in text
    assert "\nexport A='b c'\n" in text
    assert "SECRET" not in text
    assert "GANYMEDE_TOKEN=" not in text  # that of another submission of it may differ


@pytest.mark.parametrize(
    ("folder", "wanted", "message"),
    [
        ("logs", Resources(qos="high"), "qos is 'high'; PBS has none"),
        ("logs", Resources(gpu_type="a100"), "give constraint, as gpu_model=a100"),
        ("logs", Resources(extra=("Z=1",)), "extra is 'Z=1'; allowed for PBS: "),
        ("50%", Resources(), "folder is '.*50%'; allowed for PBS: "),
    ],
)
def test_what_pbs_does_not_have_is_refused_before_anything_is_written(
    pbs: FakePBS, tmp_path: Path, folder: str, wanted: Resources, message: str
) -> None:
    with pytest.raises(SchedulerError, match=message):
        THERE.submit(tmp_path / folder, Order("a", "t1", wanted), WORK)
    assert not (tmp_path / folder).exists()
    assert pbs.calls("qsub") == []


def test_a_submitit_that_does_not_know_pbs_is_told(
    pbs: FakePBS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version was installed, whose entry points are found: its jobs would not start."""
    monkeypatch.setattr(plugins, "get_job_environments", dict)
    with pytest.raises(SchedulerError, match=r"submitit does not know PBS: .*install it again"):
        THERE.submit(tmp_path / "logs", Order("a", "t1", Resources()), WORK)
    assert not (tmp_path / "logs").exists()
    assert pbs.calls("qsub") == []


def test_a_refusal_comes_in_the_words_of_qsub(tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match=r"^qsub: Unknown queue \(exit status 170\)$"):
        THERE.submit(tmp_path / "logs", Order("a", "t1", Resources(partition="x")), WORK)


def test_a_limit_on_jobs_is_told_from_other_refusals(pbs: FakePBS, tmp_path: Path) -> None:
    pbs.change(max_queued=0)
    with pytest.raises(SubmitLimit, match="would exceed complex's per-user limit"):
        THERE.submit(tmp_path / "logs", Order("a", "t1", Resources()), WORK)


# Ids


@pytest.mark.parametrize(
    ("whole", "array", "index"),
    [
        ("12.pbshost", "12.pbshost", None),
        ("12[3].pbs.host", "12[].pbs.host", 3),
        ("12[0]", "12[]", 0),
    ],
)
def test_ids_of_jobs_and_of_tasks(whole: str, array: str, index: int | None) -> None:
    assert THERE.split_id(whole) == (array, index)
    assert THERE.task_id(array, index) == whole


def test_an_array_is_itself() -> None:
    assert THERE.split_id("12[].pbshost") == ("12[].pbshost", None)


def test_dependencies() -> None:
    assert THERE.after(["9.x", "10.x", "9.x"]) == "afterok:10.x:9.x"
    assert THERE.after_any(["9.x"]) == "afterany:9.x"
    assert THERE.after([]) == THERE.after_any([]) == ""
    assert THERE.largest_array() == 0  # a sweep's runs are jobs of their own
    with pytest.raises(SchedulerError, match="PBS has no dependency of an array's tasks"):
        THERE.after_corresponding(["9[].x"])


# Where a job is, and why it ends


def test_a_job_lives_until_it_is_over(pbs: FakePBS) -> None:
    job_id = submit("t1", seconds=0)
    assert THERE.is_live(job_id)
    give_a_node(pbs)
    pbs.wait(job_id)
    assert not THERE.is_live(job_id)
    pbs.purge(job_id)
    assert not THERE.is_live(job_id)
    pbs.fail("qstat", NO_SERVER, status=255)
    with pytest.raises(Unreachable):
        THERE.is_live(job_id)


@pytest.mark.parametrize("signalled", [True, False])
@pytest.mark.parametrize(
    ("what", "meant"), [("deleted", "cancelled"), ("requeued", "preempted"), ("signalled", None)]
)
def test_what_a_signal_meant(
    pbs: FakePBS, what: str, meant: str | None, signalled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(END, str(time.time() + 3600))
    give_a_node(pbs)
    job_id = stubborn()
    wait_until_it_listens(pbs)
    if what == "deleted":
        THERE.cancel([job_id])
    elif what == "requeued":
        pbs.requeue(job_id)
    state = THERE.jobs()[job_id]
    assert (state.is_live, state.is_ending) == (True, meant is not None)
    assert THERE.why_stopped(job_id, 0, signalled) == meant


def test_a_signal_near_the_end_of_a_job_means_its_time_limit(
    pbs: FakePBS, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_a_node(pbs)
    job_id = stubborn()
    wait_until_it_listens(pbs)
    monkeypatch.setenv(END, str(time.time() + 20))
    assert THERE.why_stopped(job_id, 0) == "time limit"
    assert THERE.why_stopped(job_id, 0, signalled=False) is None
    THERE.cancel([job_id])  # which tells more than the time
    assert THERE.why_stopped(job_id, 0) == "cancelled"


def test_a_job_that_was_removed_by_force_was_cancelled() -> None:
    assert THERE.why_stopped("7.fakepbs", 0) == "cancelled"


def test_how_a_job_ended_that_left_no_record(pbs: FakePBS) -> None:
    pbs.change(walltime_late=0.0, kill_delay=0.1)
    give_a_node(pbs)
    late, deleted, ended = submit("t1", limit="1"), submit("t2"), submit("t3", seconds=0)
    pbs.wait(deleted, "R")
    THERE.cancel([deleted])
    for job_id in (late, deleted, ended):
        pbs.wait(job_id)
    assert [THERE.how_ended(job_id) for job_id in (late, deleted, ended, "99.fakepbs")] == [
        "time limit", "cancelled", None, None,
    ]  # fmt: skip


def test_jobs_are_removed_in_order_and_one_that_is_gone_is_no_error(pbs: FakePBS) -> None:
    first = submit("t1")
    second = submit("t2", THERE.after([first]))
    THERE.cancel([second, first, "99.fakepbs"])
    THERE.cancel([first])
    assert pbs.calls("qdel") == [[second], [first], ["99.fakepbs"], [first]]
    assert {state.phase for state in THERE.jobs().values()} == {Phase.OVER}


# Jobs that PBS holds for ever


def test_what_waits_for_a_job_that_never_ran_is_stuck(pbs: FakePBS) -> None:
    first = submit("t1")
    second = submit("t2", THERE.after([first]))
    third = submit("t3", THERE.after_any([second]))
    assert not any(state.is_stuck for state in THERE.jobs().values())
    THERE.cancel([first])
    found = THERE.jobs()
    assert [found[job_id].is_stuck for job_id in (first, second, third)] == [False, True, True]
    assert found[third].reason == ORPHANED
    assert found[first].state == "deleted before it ran"
    pbs.purge(first)
    assert THERE.jobs()[second].is_stuck


def test_what_waits_for_a_job_that_was_deleted_after_a_preemption_is_stuck(pbs: FakePBS) -> None:
    give_a_node(pbs)
    first = submit("t1")
    second = submit("t2", THERE.after_any([first]))
    pbs.wait(first, "R")
    pbs.change(nodes={})
    pbs.requeue(first)
    pbs.wait(first, "Q")
    THERE.cancel([first])
    found = THERE.jobs()
    assert found[first].state == "deleted before it ran again"
    assert found[second].is_stuck


def test_what_waits_for_a_job_that_has_come_in_between_is_not(pbs: FakePBS) -> None:
    """All jobs are listed first, then asked about; and the need may be somebody else's."""
    need = submit("t1")
    job_id = submit("t2", THERE.after([need]))
    pbs.fail("qselect", "", status=0, output=f"{job_id}\n")
    found = THERE.jobs()
    assert list(found) == [job_id]
    assert not found[job_id].is_stuck
    THERE.cancel([need])
    pbs.fail("qselect", "", status=0, output=f"{job_id}\n")
    assert THERE.jobs()[job_id].is_stuck


# Jobs that go on with others


def test_a_chain_waits_in_turn_and_has_the_first_ones_line(pbs: FakePBS, tmp_path: Path) -> None:
    order = Order("a", "t1", Resources(), Profile(), environment={"A": "b"})
    first = THERE.submit(tmp_path / "logs", order, WORK)
    second, third = THERE.go_on_with(tmp_path / "logs", "t1", first, 2)
    jobs = pbs.jobs()
    assert [jobs[job_id]["depend"] for job_id in (second, third)] == [
        f"afterany:{first}@fakepbs,beforeany:{third}@fakepbs", f"afterany:{second}@fakepbs"
    ]  # fmt: skip
    for job_id in (second, third):
        assert jobs[job_id]["Variable_List"]["GANYMEDE_LINE"] == first
        assert jobs[job_id]["Variable_List"]["GANYMEDE_TOKEN"] == "t1"
    assert [call[-2:] for call in pbs.calls("qsub")] == [
        ["/bin/bash", str(tmp_path / "logs" / "t1.sh")]
    ] * 3


def test_a_chain_may_be_shorter_than_wanted(pbs: FakePBS, tmp_path: Path) -> None:
    said: list[str] = []
    first = THERE.submit(tmp_path / "logs", Order("a", "t1", Resources()), WORK)
    pbs.change(max_queued=2)
    (second,) = THERE.go_on_with(tmp_path / "logs", "t1", first, 3, said.append)
    (told,) = said
    assert told.startswith(f"after {second} no job goes on by itself: qsub: would exceed")
    assert THERE.go_on_with(tmp_path / "logs", "t1", first, 3, said.append) == []


# Nodes


@pytest.mark.parametrize(
    ("states", "is_lost"),
    [
        ("offline", False),  # it takes no more jobs, and keeps those that it has
        ("down", True),
        ("offline,down", True),
        ("state-unknown,down", True),
    ],
)
def test_a_lost_node(pbs: FakePBS, states: str, is_lost: bool) -> None:
    program = pbs.folder / "bin" / "pbsnodes"
    program.write_text(f"#!/bin/sh\nprintf '%-20s %s %s\\n' n2 {states} 'a note: n3 down'\n")
    program.chmod(0o755)
    assert THERE.lost_node("n1,n2", 0.0) == is_lost
    assert THERE.lost_node("n2.cluster.org", 0.0) == is_lost
    assert not THERE.lost_node("n1,n3,n22", 0.0)


def test_a_silent_server_has_lost_no_node(pbs: FakePBS) -> None:
    program = pbs.folder / "bin" / "pbsnodes"
    said = "pbsnodes: cannot connect to server x, error=15010"
    program.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(Unreachable):
        THERE.lost_node("n1", 0.0)


# Where it is


def test_it_is_here_by_its_qstat(pbs: FakePBS, monkeypatch: pytest.MonkeyPatch) -> None:
    assert THERE.is_here()
    assert not THERE.is_inside()
    monkeypatch.setenv("PBS_JOBID", "7.fakepbs")
    assert THERE.is_inside()
    program = pbs.folder / "bin" / "qstat"
    program.write_text("#!/bin/sh\necho 'Unknown option: version' >&2\nexit 1\n")
    assert not THERE.is_here()
    program.unlink()
    assert not THERE.is_here()
