"""Slurm's own qsub and qstat (Debian's slurm-wlm-torque), which are no PBS."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from user import TINY, User

ROOT = Path(__file__).parent.parent.parent
SCRIPT = str(ROOT / "slurm" / "scripts" / "run.pbs")
SETTINGS = {
    "GANYMEDE_HOME": str(ROOT), "GANYMEDE_PYTHON": sys.executable, "PYTHONPATH": str(ROOT),
}  # fmt: skip
# The folder of Slurm's commands, and none that a PBS beside it may have.
SLURMS = {"PATH": f"{Path(shutil.which('sbatch') or '/').parent}:/usr/bin:/bin"}


@pytest.fixture(autouse=True)
def torque() -> None:
    if not (Path(shutil.which("sbatch") or "/").parent / "qsub").exists():
        pytest.skip("Slurm has no qsub here (slurm-wlm-torque)")


def qsub(user: User, *arguments: str, **variables: str) -> str:
    """Submit run.pbs, and wait for all of the run; returns the job's number."""
    given = ",".join(f"{name}={value}" for name, value in (SETTINGS | variables).items())
    done = user.command("qsub", "-v", given, *arguments, environment=SLURMS)
    return done.stdout.strip()


def assert_all_in_one_job(user: User, job_id: str) -> None:
    user.wait_until_finished("run", 400)
    stages = ("train", "sample", "report")
    tried = [attempt for stage in stages for attempt in user.attempts("run", stage)]
    assert [(a["stage"], a["cause"]) for a in tried] == [(stage, "finished") for stage in stages]
    assert {(a["job_id"], a["scheduler"], a["ranks"]) for a in tried} == {(job_id, "slurm", 1)}


def test_run_pbs_is_a_job_of_slurm_there(user: User) -> None:
    """That qsub pastes its words into a shell's line: each space needs a backslash."""
    words = "\\ ".join((*TINY, "--name", "run"))
    job_id = qsub(user, SCRIPT, GANYMEDE_RUN=words)
    shown = user.command("scontrol", "--oneliner", "show", "job", job_id).stdout
    for told in ("JobName=ganymede", "Requeue=1", "TimeLimit=01:00:00", "NumTasks=1"):
        assert f" {told} " in shown
    assert re.search(r" NumNodes=1(-1)? ", shown)  # a range as long as the job is waiting
    assert_all_in_one_job(user, job_id)


def test_run_pbs_takes_arguments_there(user: User) -> None:
    job_id = qsub(user, "-l", "walltime=30:00", SCRIPT, *TINY, "--name", "run")
    shown = user.command("scontrol", "--oneliner", "show", "job", job_id).stdout
    assert " TimeLimit=00:30:00 " in shown
    assert_all_in_one_job(user, job_id)


def test_pbs_is_not_there(user: User) -> None:
    done = user.ganymede("run", *TINY, "--on", "pbs", check=False, environment=SLURMS)
    assert done.returncode == 2
    assert done.stderr.endswith("no PBS here\n")
    done = user.ganymede("run", *TINY, check=False, environment=SLURMS)
    assert "this machine submits to Slurm: give --on slurm" in done.stderr
    code = (
        "import submitit; from slurm.pbs import PBSExecutor; print(PBSExecutor.affinity());"
        "submitit.AutoExecutor('logs', cluster='pbs')"
    )
    done = user.command(sys.executable, "-c", code, check=False, environment=SLURMS)
    assert done.stdout == "-1\n"
    assert "RuntimeError: no PBS here: qstat --version does not answer as PBS does" in done.stderr
    assert user.queue() == []
