"""Cancelled to make room (PreemptMode=CANCEL, GraceTime=0), or by the user: they look alike."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

from slurm import queue
from slurm.executors import SCRIPTS

PARTS = f"source '{SCRIPTS}/setup.sh'; source '{SCRIPTS}/attempt.sh'"

# As scontrol showed jobs (Slurm 22.05.8) at the moment at which SIGTERM came.
_MADE_ROOM = (
    "JobId=8 JobName=l.sh UserId=someone(1001) JobState=COMPLETING Reason=None Requeue=1 "
    "Restarts=0 BatchFlag=1 RunTime=00:00:04 SubmitTime=1795337389 StartTime=1795337389 "
    "EndTime=1795337393 Deadline=N/A PreemptEligibleTime=1795337389 PreemptTime=1795337393 "
    "SuspendTime=None LastSchedEval=1795337389 Partition=abrupt"
)
_BY_USER = _MADE_ROOM.replace("PreemptTime=1795337393", "PreemptTime=None")
_IN_GRACE = _MADE_ROOM.replace("JobState=COMPLETING", "JobState=RUNNING").replace(
    "EndTime=1795337393", "EndTime=1795337413"
)
_BY_USER_IN_GRACE = _MADE_ROOM.replace("EndTime=1795337393", "EndTime=1795337399")
_REQUEUED = _MADE_ROOM.replace("Restarts=0", "Restarts=1")

_CASES = [
    pytest.param(_MADE_ROOM, "preempted", True, id="made room"),
    pytest.param(_IN_GRACE, "preempted", True, id="in the grace time"),
    pytest.param(_BY_USER, "cancelled", False, id="by the user"),
    pytest.param(_BY_USER_IN_GRACE, "cancelled", False, id="by the user, in the grace time"),
    pytest.param(_REQUEUED, "preempted", False, id="queued again by Slurm"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Holds the stand-in for scontrol, which shows the job as the file `job` says."""
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(
        f"#!/bin/sh\n[ $SLURM_TIME_FORMAT = %s ] || [ $1 = requeue ] || exit 9\n"
        f"case $1 in requeue) touch {tmp_path}/requeued ;; *) cat {tmp_path}/job ;; esac\n"
    )
    scontrol.chmod(scontrol.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "sleep").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    for name in ("SLURM_JOB_NODELIST", "SLURM_RESTART_COUNT", "SLURM_TIME_FORMAT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(("job", "meaning", "again"), _CASES)
def test_the_job_and_its_script_agree(folder: Path, job: str, meaning: str, again: bool) -> None:
    (folder / "job").write_text(f"{job}\n")
    assert queue.why_stopped("8", restarts=0) == meaning
    script = f"SLURM_JOB_ID=8; {PARTS}; ganymede_ask_requeue"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert (folder / "requeued").exists() is again
    told = "queued again as job 8" if again else "not queued again by this script"
    assert told in done.stdout


def test_a_later_start_counts_its_own_restarts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    (folder / "job").write_text(f"{_REQUEUED}\n")
    assert queue.why_stopped("8", restarts=1) == "preempted"
    script = f"SLURM_JOB_ID=8; {PARTS}; ganymede_ask_requeue"
    subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert (folder / "requeued").exists()
