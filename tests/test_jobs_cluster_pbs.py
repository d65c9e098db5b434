"""What the launcher does otherwise on PBS: chains, few runs of a sweep at a time, stuck jobs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pbs_runs import Site, jobs_of, record_of, site

from gan.config import ACGANConfig, ClassifierConfig
from jobs import records
from jobs.cancel import cancel
from jobs.pipeline import prepare
from jobs.ranks import Place
from jobs.records import Attempt, Cause
from jobs.run import Run
from jobs.status import StageStatus, run_status
from jobs.sweep import sweep
from slurm import qsub
from slurm.errors import SchedulerError
from slurm.qsub import Request
from slurm.resources import Resources

JOBS = tuple(f"{n}.fakepbs" for n in range(12))  # by number; the first one is never used


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with site(tmp_path, monkeypatch) as found:
        yield found


@pytest.fixture
def run(there: Site, tmp_path: Path, tiny_acgan: ACGANConfig) -> Run:
    """Three stages: train, sample and report."""
    return prepare("acgan-digits", tiny_acgan, tmp_path / "runs" / "gan", threads=1)


@pytest.fixture
def make_sweep(
    there: Site, tmp_path: Path, tiny_classifier: ClassifierConfig
) -> Callable[[int], Run]:
    """Runs of two stages each: train, report."""

    def make(count: int) -> Run:
        chosen = sweep(tiny_classifier, [f"seed=0..{count - 1}"])
        return prepare("classifier-digits", chosen, tmp_path / "runs" / "sweep", threads=1)

    return make


def finish(run: Run, *names: str) -> None:
    for name in names:
        records.complete(run, name, [], {"steps": 1})


def rows(run: Run) -> dict[str, StageStatus]:
    return {row.stage: row for row in run_status(run, run.path.parent)}


def trainings(run: Run) -> list[str]:
    found = jobs_of(run)
    return [found[f"{member.path.name} train"] for member in run.members().values()]


# The whole chain of stages


def test_all_stages_are_jobs_each_after_what_it_needs(there: Site, run: Run) -> None:
    assert there.submit(run, flags=Resources(minutes=5, partition="express")) == 0
    assert jobs_of(run) == {"gan train": JOBS[1], "gan sample": JOBS[2], "gan report": JOBS[3]}
    assert [there.state(job_id) for job_id in JOBS[1:4]] == [
        ("Q", ""), ("H", "afterok:1.fakepbs"), ("H", "afterok:1.fakepbs:2.fakepbs"),
    ]  # fmt: skip
    job = there.pbs.job(JOBS[1])
    assert (job["Job_Name"], job["queue"]) == ("gan.train", "express")
    assert there.said[-1] == "gan: jobs 1.fakepbs, 2.fakepbs, 3.fakepbs; 0 of 3 stages finished"
    text = (run.logs / f"{record_of(run, 'train')['token']}.sh").read_text()
    assert f"\nexport GANYMEDE_ROOT={run.path.resolve()}\n" in text
    assert there.submit(run) == 0  # and nothing twice
    assert len(there.pbs.calls("qsub")) == 3
    assert {row.queue for row in rows(run).values()} == {
        "Q (Can Never Run: Insufficient amount of resource: ncpus (R: 1 A: 0 T: 0))",
        "H (after 1.fakepbs)", "H (after 1.fakepbs, 2.fakepbs)",
    }  # fmt: skip


def test_a_refusal_leaves_nothing(there: Site, run: Run) -> None:
    with pytest.raises(SchedulerError, match="Unknown queue"):
        there.submit(run, flags=Resources(partition="none"))
    assert "Unknown queue" in record_of(run, "train")["refused"]
    assert list(run.logs.iterdir()) == []


# Jobs that go on, submitted beforehand


def test_a_chain_goes_on_with_training_and_the_rest_waits_for_its_end(
    there: Site, run: Run
) -> None:
    assert there.submit(run, chain=2) == 0
    assert [there.state(job_id) for job_id in JOBS[1:6]] == [
        ("Q", ""), ("H", "afterany:1.fakepbs"), ("H", "afterany:2.fakepbs"),
        ("H", "afterok:3.fakepbs"), ("H", "afterok:3.fakepbs:4.fakepbs"),
    ]  # fmt: skip
    assert "train: 2.fakepbs, 3.fakepbs go on in turn" in there.said
    assert "gan sample: job 4.fakepbs, after 3.fakepbs" in there.said
    assert record_of(run, "train")["job_id"] == JOBS[1]
    tokens = {there.pbs.job(job_id)["Variable_List"]["GANYMEDE_TOKEN"] for job_id in JOBS[1:4]}
    assert tokens == {record_of(run, "train")["token"]}


def test_the_same_command_again_adds_no_chain(there: Site, run: Run) -> None:
    there.submit(run, chain=2)
    assert there.submit(run, chain=2) == 0
    assert len(there.pbs.calls("qsub")) == 5
    qsub.call("qhold", JOBS[3])
    there.fail(JOBS[1], JOBS[2])  # the last of the chain is left
    assert there.submit(run, chain=2) == 0
    assert there.said == ["gan: jobs 3.fakepbs, 4.fakepbs, 5.fakepbs; 0 of 3 stages finished"]
    qsub.call("qrls", JOBS[3])
    there.fail(JOBS[3])
    assert there.submit(run, chain=1) == 0
    assert there.state(JOBS[7]) == ("H", "afterany:6.fakepbs")
    assert there.state(JOBS[8]) == ("H", "afterok:7.fakepbs")


def test_a_chain_that_is_refused_leaves_the_job(there: Site, run: Run) -> None:
    there.pbs.change(max_queued=1)
    assert there.submit(run, chain=2) == 1
    assert "after 1.fakepbs no job goes on by itself: qsub: would exceed" in there.said[1]
    assert there.said[-1].startswith("accepted: 1 of 3; remaining: gan sample, gan report")
    there.pbs.change(max_queued=None)
    assert there.submit(run, chain=2) == 0
    found = jobs_of(run)
    assert there.live() == list(found.values())
    assert there.state(found["gan sample"]) == ("H", "afterok:1.fakepbs")


def test_a_chain_of_which_a_part_is_refused_is_as_long_as_it_is(there: Site, run: Run) -> None:
    there.pbs.change(max_queued=2)
    assert there.submit(run, chain=3) == 1
    there.pbs.change(max_queued=None)
    assert there.submit(run, chain=3) == 0
    found = jobs_of(run)
    assert there.state(JOBS[2]) == ("H", "afterany:1.fakepbs")
    assert there.state(found["gan sample"]) == ("H", "afterok:2.fakepbs")
    assert len(there.live()) == 4


def test_a_cancelled_chain_is_removed_as_a_whole(there: Site, run: Run) -> None:
    there.submit(run, chain=2)
    cancel(run)
    assert there.live() == []


# Few runs of a sweep at a time


def test_each_run_waits_for_the_one_so_many_before_it(
    there: Site, make_sweep: Callable[[int], Run]
) -> None:
    run = make_sweep(5)
    assert there.submit(run, max_running=2) == 0
    assert [there.state(job_id) for job_id in trainings(run)] == [
        ("Q", ""), ("Q", ""), ("H", "afterany:1.fakepbs"), ("H", "afterany:2.fakepbs"),
        ("H", "afterany:3.fakepbs"),
    ]  # fmt: skip
    found = jobs_of(run)
    for k, training in enumerate(trainings(run)):
        assert there.state(found[f"seed-{k} report"]) == ("H", f"afterok:{training}")
    assert f"sweep/seed-2 train: job {JOBS[3]}" in there.said  # it needs no other


def test_without_a_number_all_run_at_once(there: Site, make_sweep: Callable[[int], Run]) -> None:
    run = make_sweep(3)
    there.submit(run)
    assert {there.state(job_id) for job_id in trainings(run)} == {("Q", "")}


def test_what_follows_stands_behind_what_is_in_the_queue(
    there: Site, make_sweep: Callable[[int], Run]
) -> None:
    """The same command goes on later where a limit has cut it off."""
    there.pbs.change(max_queued=3)
    run = make_sweep(5)
    assert there.submit(run, max_running=2) == 1
    assert len(there.live()) == 3
    there.pbs.change(max_queued=None)
    assert there.submit(run, max_running=2) == 0
    found = trainings(run)
    assert [there.state(job_id) for job_id in found] == [
        ("Q", ""), ("Q", ""), *(("H", f"afterany:{job_id}") for job_id in found[:3]),
    ]  # fmt: skip


def test_what_only_misses_its_end_takes_a_place_too(
    there: Site, make_sweep: Callable[[int], Run]
) -> None:
    run = make_sweep(3)
    for member in list(run.members().values())[:2]:
        finish(member, "train")
    there.submit(run, max_running=1)
    found = jobs_of(run)
    names = ("seed-2 train", "seed-0 report", "seed-1 report")
    first, second, third = (found[name] for name in names)
    assert [there.state(job_id) for job_id in (first, second, third)] == [
        ("Q", ""), ("H", f"afterany:{first}"), ("H", f"afterany:{second}")
    ]  # fmt: skip
    assert there.state(found["seed-2 report"]) == ("H", f"afterok:{first}")


def test_a_place_is_taken_until_the_end_of_a_chain(
    there: Site, make_sweep: Callable[[int], Run]
) -> None:
    run = make_sweep(2)
    there.submit(run, max_running=1, chain=1)
    assert there.state(trainings(run)[1]) == ("H", "afterany:2.fakepbs")


def test_a_failed_run_lets_the_next_one_go(there: Site, make_sweep: Callable[[int], Run]) -> None:
    run = make_sweep(2)
    there.submit(run, max_running=1)
    there.fail(*trainings(run))
    assert there.live() == []


# What PBS would hold for ever


def test_what_is_stuck_is_submitted_anew(there: Site, run: Run) -> None:
    there.submit(run)
    qsub.cancel([JOBS[1]])  # before it ran
    finish(run, "train")
    assert there.submit(run) == 0
    assert "sample: job 2.fakepbs would be held for ever; removed" in there.said
    assert there.live() == [JOBS[4], JOBS[5]]
    assert there.state(JOBS[4]) == ("Q", "")
    assert there.state(JOBS[5]) == ("H", "afterok:4.fakepbs")


def test_the_stuck_rest_of_a_chain_is_removed_while_the_job_runs_on(there: Site, run: Run) -> None:
    there.submit(run, chain=2)
    qsub.call("qhold", JOBS[2])
    there.fail(JOBS[1])
    record = record_of(run, "train")
    qsub.cancel([JOBS[2]])
    # As if it went on all the same.
    held = qsub.submit(Request(("-h",), ("/bin/true",), record["token"]))
    assert there.submit(run) == 0
    assert there.live()[0] == held
    assert there.state(jobs_of(run)["gan sample"]) == ("H", f"afterok:{held}")
    assert JOBS[3] not in there.live()


def test_status_removes_what_is_stuck_and_says_so(there: Site, run: Run) -> None:
    there.submit(run)
    qsub.cancel([JOBS[1]])
    found = rows(run)
    assert [row.state for row in found.values()] == ["cancelled"] * 3
    assert found["train"].error == "never began; its job is deleted before it ran"
    assert there.live() == []
    told = record_of(run, "sample")["left"]
    assert told.startswith("removed: what it waited for never ran")
    asked = len(there.pbs.calls("qselect"))
    assert {row.state for row in rows(run).values()} == {"cancelled"}
    assert len(there.pbs.calls("qselect")) == asked  # it is on record


def test_status_clears_after_a_script_of_ones_own(there: Site, run: Run) -> None:
    """There is no submission on record, and the attempt's scheduler is the one to be told."""
    parent = qsub.submit(Request(("-h",), ("/bin/true",), "t0"))
    job_id = qsub.submit(Request((), ("/bin/true",), "t9", f"afterany:{parent}"))
    place = Place(job_id="99.fakepbs", scheduler="pbs", line="99.fakepbs")
    Attempt.begin(run, "train", token="t9", **place.facts).end(Cause.TIME_LIMIT)
    assert (rows(run)["train"].state, rows(run)["train"].job_id) == ("queued", job_id)
    qsub.cancel([parent])
    assert rows(run)["train"].state == "stopped"
    assert there.live() == []


def test_what_cannot_be_removed_is_only_looked_at(there: Site, run: Run) -> None:
    there.submit(run)
    qsub.cancel([JOBS[1]])
    there.pbs.fail("qdel", "qdel: Unauthorized Request", times=2, status=159)
    assert {row.state for row in rows(run).values()} == {"cancelled"}
    assert "left" not in record_of(run, "sample")
    assert there.live() == [JOBS[2], JOBS[3]]


def test_a_job_on_hold_is_not_stuck(there: Site, run: Run) -> None:
    there.submit(run)
    qsub.call("qhold", JOBS[1])
    assert str(rows(run)["train"].queue).startswith("H (Job held by ")
    assert there.submit(run) == 0
    assert there.live() == list(JOBS[1:4])
