"""A job that submits the one that goes on in its place, on the stand-in for PBS."""

import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import fake_pbs
import pytest
from fake_pbs import FakePBS

from slurm import pbs_states, qsub, succession
from slurm.errors import SchedulerError
from slurm.qsub import Request

# What a job does: it notes its place, and hands over until there have been enough of its line.
WRAPPER = """#!/bin/bash
export PATH={bin}:$PATH PYTHONPATH={path} GANYMEDE_SCRIPT={folder}/t1.sh
export GANYMEDE_LINE=${{GANYMEDE_LINE:-$PBS_JOBID}}
export GANYMEDE_INDEX=${{GANYMEDE_INDEX:-$PBS_ARRAY_INDEX}}
echo "$PBS_JOBID of $GANYMEDE_LINE, $GANYMEDE_INDEX, $GANYMEDE_TOKEN" >>{folder}/starts
while [ ! -e {folder}/go ]; do sleep 0.02; done
[ $(grep -cF "of $GANYMEDE_LINE," {folder}/starts) -lt {enough} ] || exit 0
exec {python} -c 'from slurm import succession; succession.hand_over()' >>{folder}/said 2>&1
"""


@pytest.fixture
def pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePBS]:
    found = fake_pbs.install(tmp_path, monkeypatch)
    (tmp_path / "logs").mkdir()
    monkeypatch.chdir(tmp_path)
    yield found
    found.stop()


def submit(pbs: FakePBS, *more: str, starts: int = 2, go: bool = True) -> str:
    """Submit a wrapper whose line has so many starts; without `go` it waits for that file."""
    folder = Path("logs").absolute()
    values = {"bin": pbs.folder / "bin", "folder": folder, "enough": starts}
    values |= {"python": sys.executable, "path": shlex.quote(os.pathsep.join(sys.path))}
    (folder / "t1.sh").write_text(WRAPPER.format(**values))
    if go:
        (folder / "go").touch()
    options = ["-N", "x", "-j", "oe", "-k", "doe", "-o", f"{folder}/", "-l", "select=1:ncpus=1"]
    options += more
    succession.write_options(folder / "t1.sh", options)
    executable = ("/bin/bash", str(folder / "t1.sh"))
    return qsub.submit(Request(options, executable, "tabc"))


def said() -> list[str]:
    return Path("logs", "said").read_text().splitlines()


def test_a_job_goes_on_as_another_one_with_what_it_was_submitted_with(pbs: FakePBS) -> None:
    job = submit(pbs, "-l", "walltime=00:10:00", "-A", "lab")
    assert pbs.wait(job)["Exit_status"] == 0
    successor = succession.successor_of(Path("logs"), job)
    assert successor is not None
    assert pbs.wait(successor)["Exit_status"] == 0
    first, second = pbs.calls("qsub")
    assert second[: second.index("-W")] == first[: first.index("-v")]
    assert second[second.index("-W") :][:2] == ["-W", f"depend=afterany:{job}"]
    assert second[second.index("--") :] == first[first.index("--") :]
    assert Path("logs", "starts").read_text().splitlines() == [
        f"{job} of {job}, , tabc", f"{successor} of {job}, , tabc"
    ]  # fmt: skip
    assert said() == [f"goes on as job {successor}"]


def test_a_line_of_jobs_ends_with_the_newest(pbs: FakePBS) -> None:
    job = submit(pbs, starts=4)
    newest = "4.fakepbs"
    while newest not in pbs.jobs():
        pass
    pbs.wait(newest)
    assert succession.newest(Path("logs"), job) == newest
    assert succession.newest(Path("logs"), newest) == newest
    assert succession.successor_of(Path("logs"), newest) is None
    starts = Path("logs", "starts").read_text().splitlines()
    assert starts == [f"{number}.fakepbs of {job}, , tabc" for number in (1, 2, 3, 4)]


def test_what_waits_for_a_job_waits_for_its_successor(pbs: FakePBS) -> None:
    job = submit(pbs, go=False)
    follower = qsub.submit(Request([], ["/bin/true"], "tdef", f"afterok:{job}"))
    last = qsub.submit(Request([], ["/bin/true"], "tghi", f"afterok:{follower}"))
    Path("logs", "go").touch()
    assert pbs.wait(job)["Exit_status"] == 0
    successor = succession.newest(Path("logs"), job)
    assert said()[1:] == [f"job {follower} waits for {successor} now"]
    ran = [pbs.wait(job_id) for job_id in (successor, follower, last)]
    assert [(found["substate"], found["run_count"]) for found in ran] == [(92, 1)] * 3


def test_a_follower_that_cannot_be_moved_is_told_of(pbs: FakePBS) -> None:
    job = submit(pbs, go=False)
    stuck = qsub.submit(Request(["-h"], ["/bin/true"], "tdef", f"afterok:{job}"))
    pbs.fail("qalter", f"qalter: Unauthorized Request  {stuck}\n", status=159)
    Path("logs", "go").touch()
    assert pbs.wait(job)["Exit_status"] == 0
    successor = succession.newest(Path("logs"), job)
    assert said()[1:] == [
        f"what waits for this job could not be pointed at {successor}: job {stuck}: qalter: "
        f"Unauthorized Request {stuck}"
    ]
    assert pbs.wait(successor)["Exit_status"] == 0


def test_where_jobs_may_not_submit_it_says_so_and_what_waited_is_deleted(pbs: FakePBS) -> None:
    job = submit(pbs, go=False)
    follower = qsub.submit(Request([], ["/bin/true"], "tdef", f"afterok:{job}"))
    pbs.change(qsub_in_jobs=False)
    Path("logs", "go").touch()
    assert pbs.wait(job)["Exit_status"] == 1
    assert said()[-1] == (
        "slurm.errors.SchedulerError: qsub: Bad UID for job execution (exit status 175)"
    )
    assert succession.newest(Path("logs"), job) == job
    assert "run_count" not in pbs.wait(follower)
    assert len(pbs.jobs()) == 2


def test_a_task_of_an_array_goes_on_as_a_job_of_its_own(pbs: FakePBS) -> None:
    array = submit(pbs, "-J", "0-1", "-A", "lab")
    starts = set()
    for index in (0, 1):
        task = pbs_states.task_id(array, index)
        assert pbs.wait(task)["Exit_status"] == 0
        successor = succession.newest(Path("logs"), task)
        assert pbs.wait(successor)["Exit_status"] == 0
        starts |= {f"{job_id} of {task}, {index}, tabc" for job_id in (task, successor)}
    assert set(Path("logs", "starts").read_text().splitlines()) == starts
    for again in pbs.calls("qsub")[1:]:
        assert not {"-J", "0-1", "-W"} & set(again)
        assert again[again.index("-A") :][:2] == ["-A", "lab"]


def test_options_for_another_job_are_without_those_of_the_first_start(tmp_path: Path) -> None:
    script = tmp_path / "t1.sh"
    first = ["-h", "-J", "0-3%2", "-a", "2359", "-W", "depend=afterok:7", "-W", "block=true"]
    kept = ["-N", "a b", "-W", "umask=022", "-l", "place=excl", "-q", "-h"]
    succession.write_options(script, [*kept[:2], *first, *kept[2:]])
    assert succession.read_options(script) == (kept, ["/bin/bash", str(script)])
    succession.write_options(script, ["-q", "x"], ["/bin/true", "käse"])
    assert succession.read_options(script) == (["-q", "x"], ["/bin/true", "käse"])


@pytest.mark.parametrize("text", [None, "", "{", json.dumps({"options": []})])
def test_without_knowing_how_it_was_submitted_nothing_is(tmp_path: Path, text: str | None) -> None:
    script = tmp_path / "t1.sh"
    if text is not None:
        succession.options_file(script).write_text(text)
    with pytest.raises(SchedulerError, match=rf"^how {script} was submitted is not known: "):
        succession.resubmit(script, "tabc", "", {})
