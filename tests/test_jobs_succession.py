"""What a job does last: it has another one go on, or what comes next submitted again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pbs_runs import Site, jobs_of, site
from submitit.core.utils import DelayedSubmission

from gan.config import ACGANConfig
from jobs import followers, records
from jobs.pipeline import prepare, stages
from jobs.records import Cause
from jobs.run import Run
from jobs.stage import EXIT_REQUEUE
from jobs.succession import conclude
from slurm import pickles, qsub, succession
from slurm.of_pbs import PBS
from slurm.orders import TOKEN
from slurm.qsub import Request

JOB, SAMPLE = "1.fakepbs", "2.fakepbs"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with site(tmp_path, monkeypatch) as found:
        yield found


@pytest.fixture
def script(there: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Job 1 runs, whatever it is told, and job 2 waits for its success; this process is in 1."""
    script = tmp_path / "t1.sh"
    program = "trap : TERM; touch ready; for i in {1..600}; do sleep 0.1; done"
    script.write_text(f"{program}\n")
    script.chmod(0o600)
    succession.write_options(script, ["-N", "x", "-l", "walltime=9:00"])
    there.open()
    assert succession.resubmit(script, "t1", "", {"GANYMEDE_INDEX": "0"}) == JOB
    assert qsub.submit(Request((), ("/bin/true",), "t2", f"afterok:{JOB}")) == SAMPLE
    there.pbs.wait(JOB, "R", until=lambda job: (there.pbs.folder / "home" / "ready").exists())
    there.close()
    inside = {
        "PBS_JOBID": JOB, TOKEN: "t1", "GANYMEDE_SCRIPT": str(script), "GANYMEDE_INDEX": "0",
        "GANYMEDE_LINE": "0.fakepbs",
    }  # fmt: skip
    for name, value in inside.items():
        monkeypatch.setenv(name, value)
    return script


def submitted(there: Site) -> int:
    return len(there.pbs.calls("qsub"))


# Going on


def test_another_job_goes_on_and_what_waits_waits_for_that(
    there: Site, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert conclude("requeue", EXIT_REQUEUE) == 0  # with another status PBS deletes what waits
    successor = "3.fakepbs"
    assert there.state(successor) == ("H", f"afterany:{JOB}")
    assert there.state(SAMPLE) == ("H", f"afterok:{successor}")
    job = there.pbs.job(successor)
    carried = {k: v for k, v in job["Variable_List"].items() if k.startswith("GANYMEDE_")}
    del carried["GANYMEDE_CALL"]
    assert carried == {TOKEN: "t1", "GANYMEDE_LINE": "0.fakepbs", "GANYMEDE_INDEX": 0}
    assert (job["Job_Name"], job["Resource_List"]["walltime"]) == ("x", "00:09:00")
    assert there.pbs.calls("qsub")[-1][-2:] == ["/bin/bash", str(script)]
    assert succession.successor_of(script.parent, JOB) == successor
    said = capsys.readouterr().out
    assert f"goes on as job {successor}" in said
    assert f"job {SAMPLE} waits for {successor} now" in said


@pytest.mark.parametrize("name", ["t1.sh", "t1.qsub"])
def test_what_others_could_have_written_is_not_submitted(
    there: Site, script: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (script.parent / name).chmod(0o660)
    before = submitted(there)
    assert conclude("requeue", EXIT_REQUEUE) == EXIT_REQUEUE
    assert submitted(there) == before
    assert f"{name} is not used, since what is in it would run as you" in capsys.readouterr().out


def test_a_job_that_pbs_queues_again_has_no_other_one_go_on(
    there: Site, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there.pbs.requeue(JOB)
    before = submitted(there)
    assert conclude("requeue", EXIT_REQUEUE) == EXIT_REQUEUE
    assert submitted(there) == before
    assert "PBS itself queues this job again" in capsys.readouterr().out


def test_of_a_chain_the_next_one_goes_on(
    there: Site, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = PBS().go_on_with(script.parent, "t1", JOB, 2)
    before = submitted(there)
    assert conclude("requeue", EXIT_REQUEUE) == 0
    assert submitted(there) == before
    assert f"job {chain[0]} waits already, and goes on" in capsys.readouterr().out
    assert there.state(SAMPLE) == ("H", f"afterok:{JOB}")  # this is the submitter's to say


def test_a_broken_chain_is_removed_and_another_job_goes_on(there: Site, script: Path) -> None:
    """Somebody has deleted the next job as it was about to start: PBS holds the last for ever."""
    second = qsub.submit(Request(("-h",), ("/bin/true",), "t1"))
    last = succession.resubmit(script, "t1", f"afterany:{second}", {})
    qsub.cancel([second])
    assert qsub.jobs()[last].is_stuck
    assert conclude("requeue", EXIT_REQUEUE) == 0
    assert there.state(last)[0] == "F"
    assert there.state(succession.newest(script.parent, JOB)) == ("H", f"afterany:{JOB}")


@pytest.mark.parametrize("status", [EXIT_REQUEUE, 143, 0])
def test_a_site_whose_jobs_may_not_submit_is_told(
    there: Site, script: Path, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    there.pbs.fail("qsub", "qsub: Bad UID for job execution", status=175)
    assert conclude("requeue", status) == (status or 1)
    said = capsys.readouterr().out
    assert "no job goes on by itself (qsub: Bad UID for job execution (exit status 175))" in said
    assert "give the same command again, or ganymede resume" in said
    assert "with --chain" in said
    assert succession.successor_of(script.parent, JOB) is None
    assert there.state(SAMPLE) == ("H", f"afterok:{JOB}")


def test_what_cannot_be_moved_does_not_keep_the_job_from_going_on(
    there: Site, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """PBS deletes it, then, and the job that finishes has it submitted again."""
    there.pbs.fail("qalter", "qalter: Unauthorized Request", status=159)
    assert conclude("requeue", EXIT_REQUEUE) == 0
    assert (
        "could not be pointed at 3.fakepbs: job 2.fakepbs: qalter: Unauth"
        in capsys.readouterr().out
    )


# Not going on


@pytest.mark.parametrize(("status", "ends"), [(0, 1), (1, 1), (137, 137)])
def test_a_job_that_failed_ends_so(there: Site, script: Path, status: int, ends: int) -> None:
    before = submitted(there)
    assert conclude("failed", status) == ends
    assert submitted(there) == before


def test_a_finished_stage_looks_after_what_comes_next(
    there: Site, tmp_path: Path, tiny_acgan: ACGANConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepare("acgan-digits", tiny_acgan, tmp_path / "runs" / "gan", threads=1)
    there.submit(run)
    there.fail(JOB)
    records.complete(run, "train", [], {"steps": 1})
    assert conclude("finished", 0) == 0  # of a script of somebody's own
    assert there.live() == []
    monkeypatch.setenv(followers.ROOT, str(run.path))
    assert conclude("finished", 137) == 0  # whatever happened on the way out
    assert there.live() == ["4.fakepbs", "5.fakepbs"]
    assert jobs_of(run)["gan sample"] == "4.fakepbs"


# As a job's wrapper calls it


@pytest.fixture
def run(there: Site, script: Path, tmp_path: Path, tiny_acgan: ACGANConfig) -> Run:
    """Its training is what the job does."""
    run = prepare("acgan-digits", tiny_acgan, tmp_path / "runs" / "gan", threads=1)
    pickles.dump(DelayedSubmission(stages(run)[0].job), tmp_path / "t1_0.pkl")
    return run


def call(there: Site, run: Run, status: int) -> "subprocess.CompletedProcess[str]":
    place = {
        "SUBMITIT_EXECUTOR": "pbs", "GANYMEDE_SCHEDULER": "pbs", "GANYMEDE_JOB": JOB,
        "GANYMEDE_STEP": "s1", "SUBMITIT_PBS_JOB_ID": JOB, "SUBMITIT_PBS_NUM_TASKS": "1",
        "SUBMITIT_PBS_NUM_NODES": "1",
    }  # fmt: skip
    pickle = run.path.parent.parent / "t1_0.pkl"
    command = [sys.executable, "-m", "jobs.succession", str(pickle), "--step", "s1"]
    return subprocess.run(
        [*command, "--status", str(status)],
        env=os.environ | place,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_job_that_saved_and_wants_to_go_on_has_recorded_that_itself(
    there: Site, run: Run
) -> None:
    done = call(there, run, EXIT_REQUEUE)
    assert done.returncode == 0, done.stderr
    assert "goes on as job 3.fakepbs" in done.stdout
    assert records.latest(run, "train") is None


def test_a_job_that_broke_is_recorded_and_tried_again_by_another(there: Site, run: Run) -> None:
    done = call(there, run, 1)
    assert done.returncode == 0, done.stderr
    record = records.latest(run, "train") or {}
    assert (record["cause"], record["next"]) == (Cause.CRASHED, "requeue")
    assert (record["job_id"], record["line"], record["token"]) == (JOB, "0.fakepbs", "t1")
    assert there.state("3.fakepbs") == ("H", f"afterany:{JOB}")


def test_a_job_that_was_deleted_does_not_go_on(there: Site, run: Run) -> None:
    before = submitted(there)
    qsub.cancel([JOB])
    assert call(there, run, 143).returncode == 143
    record = records.latest(run, "train") or {}
    assert (record["cause"], record["next"]) == (Cause.CANCELLED, "failed")
    assert submitted(there) == before
