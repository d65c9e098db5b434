"""What PBS has deleted comes back once it can, and nothing else does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pbs_runs import Site, at_the_same_time, jobs_of, record_of, site

from gan.config import ACGANConfig, ClassifierConfig
from jobs import followers, pipeline, records
from jobs.cancel import cancel
from jobs.pipeline import prepare
from jobs.records import Attempt, Cause
from jobs.run import Run
from jobs.status import run_status
from jobs.sweep import sweep
from slurm import qsub, succession


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with site(tmp_path, monkeypatch) as found:
        yield found


@pytest.fixture
def run(there: Site, tmp_path: Path, tiny_acgan: ACGANConfig) -> Run:
    """Three stages, train, sample and report: jobs 1, 2 and 3."""
    run = prepare("acgan-digits", tiny_acgan, tmp_path / "runs" / "gan", threads=1)
    assert there.submit(run) == 0
    return run


@pytest.fixture
def demo(there: Site, tmp_path: Path) -> Run:
    """Two trainings, jobs 1 and 2, the GAN's samples, job 3, and what needs both."""
    run = prepare("demo", pipeline.demo(), tmp_path / "runs" / "demo", threads=1)
    assert there.submit(run) == 0
    return run


def finish(run: Run, *names: str) -> None:
    for name in names:
        records.complete(run, name, [], {"steps": 1})


def restore(run: Run) -> tuple[list[str], list[str]]:
    """The jobs that came back, and what was said."""
    said: list[str] = []
    return followers.restore(str(run.path), said.append), said


# What comes back


def test_what_pbs_deleted_comes_back_in_order(there: Site, run: Run) -> None:
    there.fail("1.fakepbs")
    assert [there.state(f"{n}.fakepbs")[0] for n in (2, 3)] == ["F", "F"]
    before = record_of(run, "report")
    finish(run, "train")  # after all: by a job that went on from it
    again, said = restore(run)
    assert again == ["4.fakepbs", "5.fakepbs"]
    assert said == [
        "gan sample: PBS had deleted it; again as job 4.fakepbs",
        "gan report: PBS had deleted it; again as job 5.fakepbs",
    ]
    assert there.state("4.fakepbs") == ("Q", "")
    assert there.state("5.fakepbs") == ("H", "afterok:4.fakepbs")
    record = record_of(run, "report")
    assert (record["number"], record["job_id"]) == (2, "5.fakepbs")
    assert record["token"] != before["token"]
    assert record["order"] == before["token"]
    assert there.pbs.job("5.fakepbs")["Variable_List"]["GANYMEDE_TOKEN"] == record["token"]
    wrapper = run.logs.resolve() / f"{before['token']}.sh"
    assert there.pbs.calls("qsub")[-1][-3:] == ["--", "/bin/bash", str(wrapper)]
    assert restore(run) == ([], [])  # and once only


def test_what_is_deleted_again_comes_back_with_the_first_ones_wrapper(
    there: Site, run: Run
) -> None:
    first = record_of(run, "report")["token"]
    there.fail("1.fakepbs")
    finish(run, "train")
    restore(run)
    there.fail("4.fakepbs")
    finish(run, "sample")
    assert restore(run)[0] == ["6.fakepbs"]
    record = record_of(run, "report")
    assert (record["number"], record["order"]) == (3, first)


def test_what_has_a_job_is_left_alone(there: Site, run: Run) -> None:
    assert restore(run) == ([], [])
    finish(run, "train", "sample", "report")
    asked = len(there.pbs.calls("qselect"))
    assert restore(run) == ([], [])
    assert len(there.pbs.calls("qselect")) == asked  # nothing is to be known


def test_what_pbs_has_forgotten_comes_back_too(there: Site, run: Run) -> None:
    there.fail("1.fakepbs")
    finish(run, "train")
    there.pbs.purge("2.fakepbs", "3.fakepbs")
    assert restore(run)[0] == ["4.fakepbs", "5.fakepbs"]


def test_a_joint_stage_waits_for_what_still_runs(there: Site, demo: Run) -> None:
    """The classifier has gone on as another job, which is the one to wait for."""
    classifier = demo.members()["classifier"]
    token = record_of(classifier, "train")["token"]
    script = classifier.logs.resolve() / f"{token}.sh"
    qsub.call("qhold", "1.fakepbs")  # so that only the training of the GAN fails
    successor = succession.resubmit(script, token, "afterany:1.fakepbs", {})
    there.fail("2.fakepbs")
    finish(demo.members()["gan"], "train")
    again, _ = restore(demo)
    found = jobs_of(demo)
    assert again == [found[name] for name in (
        "gan sample", "demo evaluate", "demo visualize", "demo report"
    )]  # fmt: skip
    sample = found["gan sample"]
    assert there.state(sample) == ("Q", "")
    assert there.state(found["demo evaluate"]) == ("H", f"afterok:{successor}:{sample}")
    assert there.state(found["demo visualize"]) == ("H", f"afterok:{successor}")


def test_what_is_held_for_ever_is_removed_and_comes_back(there: Site, run: Run) -> None:
    qsub.cancel(["1.fakepbs"])  # before it ran: what waits for it neither goes nor ends
    finish(run, "train")
    assert there.live() == ["2.fakepbs", "3.fakepbs"]
    assert restore(run)[0] == ["4.fakepbs", "5.fakepbs"]
    assert there.live() == ["4.fakepbs", "5.fakepbs"]
    assert there.state("4.fakepbs") == ("Q", "")


def test_also_after_somebody_has_looked_at_its_status(there: Site, run: Run) -> None:
    qsub.cancel(["1.fakepbs"])
    rows = run_status(run, run.path.parent)
    assert [row.state for row in rows] == ["cancelled"] * 3
    assert there.live() == []
    finish(run, "train")
    there.pbs.purge("2.fakepbs")
    assert restore(run)[0] == ["4.fakepbs", "5.fakepbs"]


def test_the_rest_of_a_broken_chain_is_removed(
    there: Site, tmp_path: Path, tiny_acgan: ACGANConfig
) -> None:
    run = prepare("acgan-digits", tiny_acgan, tmp_path / "runs" / "gan", threads=1)
    there.submit(run, chain=2)  # 1 to 3, then 4 and 5
    qsub.call("qhold", "2.fakepbs")
    there.fail("1.fakepbs")
    qsub.cancel(["2.fakepbs"])
    finish(run, "train")
    assert restore(run)[0] == ["6.fakepbs", "7.fakepbs"]
    assert there.live() == ["6.fakepbs", "7.fakepbs"]


# What does not


def test_what_a_person_deleted_does_not(there: Site, run: Run) -> None:
    qsub.cancel(["2.fakepbs"])
    assert there.state("3.fakepbs")[0] == "F"  # which needs it
    finish(run, "train")
    assert restore(run) == ([], [])
    run_status(run, run.path.parent)  # writes it down
    there.pbs.purge("2.fakepbs", "3.fakepbs")
    assert restore(run) == ([], [])


def test_a_cancelled_run_does_not(there: Site, run: Run) -> None:
    there.fail("1.fakepbs")
    finish(run, "train")
    cancel(run)
    assert restore(run) == ([], [])


def test_what_has_begun_does_not(there: Site, run: Run) -> None:
    """However it ended: that is somebody else's to decide."""
    there.fail("1.fakepbs")
    Attempt.begin(run, "sample", scheduler="pbs", job_id="2.fakepbs").end(Cause.CRASHED)
    finish(run, "train")
    assert restore(run) == ([], [])


def test_what_needs_a_stage_that_failed_does_not(there: Site, demo: Run) -> None:
    there.fail("1.fakepbs", "2.fakepbs")
    finish(demo.members()["gan"], "train")
    again, _ = restore(demo)
    assert again == [jobs_of(demo)["gan sample"]]


# Two at the same time


def test_of_two_stages_that_finish_at_the_same_time_one_submits(
    there: Site, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.fail("1.fakepbs")
    finish(run, "train")
    others: list[str] = []
    at_the_same_time(monkeypatch, qsub, "jobs", lambda: others.extend(restore(run)[0]))
    again, said = restore(run)
    assert (others, again) == (["4.fakepbs", "5.fakepbs"], [])
    assert said == [
        f"sample of {run.path} has just been submitted by somebody else; look at its status"
    ]
    assert there.live() == others


# What PBS refuses


def test_a_refusal_is_told_and_the_same_command_does_it(there: Site, run: Run) -> None:
    there.fail("1.fakepbs")
    finish(run, "train")
    there.pbs.fail("qsub", "qsub: Bad UID for job execution", status=175)
    again, said = restore(run)
    assert again == []
    (told,) = said
    assert told.startswith("what comes next could not be submitted again (qsub: Bad UID")
    assert told.endswith("): ganymede resume does it")
    assert record_of(run, "sample")["refused"].startswith("qsub: Bad UID")
    assert there.submit(run) == 0
    assert there.live() == ["4.fakepbs", "5.fakepbs"]


def test_a_silent_server_is_told(there: Site, run: Run) -> None:
    there.fail("1.fakepbs")
    finish(run, "train")
    silent = "Connection refused\nqselect: cannot connect to server fakepbs (errno=15010)"
    there.pbs.fail("qselect", silent, status=255)
    again, said = restore(run)
    assert again == []
    assert "the scheduler does not answer" in said[0]
    assert record_of(run, "sample")["number"] == 1


# Sweeps with few runs at a time


@pytest.fixture
def lanes(there: Site, tmp_path: Path, tiny_classifier: ClassifierConfig) -> Run:
    """Four trainings, one at a time, and their reports."""
    chosen = sweep(tiny_classifier, ["seed=0..3"])
    run = prepare("classifier-digits", chosen, tmp_path / "runs" / "sweep", threads=1)
    assert there.submit(run, max_running=1) == 0
    return run


def test_what_stood_behind_a_cancelled_run_takes_its_place(there: Site, lanes: Run) -> None:
    found = jobs_of(lanes)
    trainings = [found[f"seed-{k} train"] for k in range(4)]
    assert there.state(trainings[2]) == ("H", f"afterany:{trainings[1]}")
    told = cancel(lanes.members()["seed-1"])
    assert [there.state(job_id)[0] for job_id in trainings] == ["Q", "F", "F", "F"]
    found = jobs_of(lanes)
    new = [found[f"seed-{k} train"] for k in range(4)]
    assert new[:2] == trainings[:2]
    assert there.state(new[2]) == ("H", f"afterany:{new[0]}")
    assert there.state(new[3]) == ("H", f"afterany:{new[2]}")
    assert f"seed-2 train: PBS had deleted it; again as job {new[2]}" in told
    assert there.state(found["seed-3 report"]) == ("H", f"afterok:{new[3]}")


def test_what_stood_behind_a_finished_run_goes_at_once(there: Site, lanes: Run) -> None:
    members = list(lanes.members().values())
    found = jobs_of(lanes)
    qsub.cancel([found["seed-0 train"]])  # before it ran
    finish(members[0], "train", "report")
    assert there.pbs.jobs()[found["seed-1 train"]]["job_state"] == "H"
    restore(lanes)
    new = jobs_of(lanes)
    assert there.state(new["seed-1 train"]) == ("Q", "")
    assert there.state(new["seed-2 train"]) == ("H", f"afterany:{new['seed-1 train']}")
