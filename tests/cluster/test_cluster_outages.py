"""Something else goes away: a node, the controller, the launcher, an answer."""

import json
import signal
import sys
import threading
import time

import pytest
from states import assert_same_state
from user import TINY, TWO_RANKS, User, processes

_SBATCH = """#!/bin/sh
# The real sbatch, with something happening to its {n}-th call or to its answer.
echo call >> {folder}/calls
answer=$(/usr/bin/sbatch "$@") || exit $?
if [ $(wc -l < {folder}/calls) = {n} ]; then {event}; fi
echo "$answer"
"""
_LOST = 'echo "sbatch: error: Socket timed out on send/recv operation" >&2; exit 1'


def shim(user: User, n: int, event: str) -> dict[str, str]:
    """An environment in which the user's sbatch misbehaves; the jobs are submitted for real."""
    folder = user.home / "bin"
    folder.mkdir()
    folder.chmod(0o777)
    script = folder / "sbatch"
    script.write_text(_SBATCH.format(folder=folder, n=n, event=event))
    script.chmod(0o755)
    return {"PATH": f"{folder}:{user.cluster.environment()['PATH']}"}


def job_ids(user: User, name: str) -> dict[str, str]:
    """The job of each stage, as its newest submission says."""
    found = {}
    for path in sorted(user.run(name).submissions.glob("*.json")):
        record = json.loads(path.read_text())
        found[record["stage"]] = record["job_id"]
    return found


def queued(user: User) -> list[str]:
    return sorted(user.command("squeue", "-h", "-o", "%j").stdout.split())


def test_node_down_and_back(user: User, undisturbed: User) -> None:
    user.profile(user.fault("slow@0.2"))  # it takes the controller half a minute to notice
    job_id = user.start("run", "--profile", "test")
    user.wait_for_step("run", 60)
    first = processes(job_id)
    user.cluster.stop_daemon("n2")
    try:
        user.cluster.wait_for(lambda: "down" in user.cluster.root("sinfo", "-h", "-n", "n2"), 90)
        user.wait_for_attempts("run", 1)
    finally:
        user.cluster.start_node("n2")
    user.wait_until_finished("run")
    assert user.causes("run") == ["node lost", "finished"]
    assert {record["job_id"] for record in user.attempts("run")} == {job_id}
    assert not any(process.is_running() for process in first)
    assert_same_state(user.final_state("run"), undisturbed.final_state("run"))


def test_controller_down_while_one_submits_and_another_asks(user: User) -> None:
    user.cluster.stop_daemon("slurmctld")
    command = (sys.executable, "-m", "jobs.cli")
    submitting = user.popen(
        *command, "run", *TINY, "--name", "run", "--on", "slurm", *TWO_RANKS,
    )  # fmt: skip
    time.sleep(12)
    user.cluster.wait_for((user.run("run").path / "config.json").exists)
    asking = user.popen(*command, "status", "run")
    answers: dict[str, tuple[str, str]] = {}
    threads = [
        threading.Thread(target=lambda n=name, p=process: answers.update({n: p.communicate()}))
        for name, process in (("submitting", submitting), ("asking", asking))
    ]
    for thread in threads:
        thread.start()
    time.sleep(18)
    assert submitting.poll() is None, "it waits"
    user.cluster.start_controller()
    for thread in threads:
        thread.join(120)
    told = "the scheduler does not answer"
    assert submitting.returncode == 0
    assert told in "".join(answers["submitting"])
    assert asking.returncode == 0
    assert "queued" in answers["asking"][0] or "waiting" in answers["asking"][0]
    assert queued(user) == ["run.report", "run.sample", "run.train"]


def test_controller_goes_away_between_two_stages(user: User) -> None:
    environment = shim(user, 1, "touch {}".format(user.home / "bin" / "first-is-in"))
    submitting = user.popen(
        sys.executable, "-m", "jobs.cli", "run", *TINY, "--name", "run", "--on", "slurm",
        *TWO_RANKS, environment=environment,
    )  # fmt: skip
    user.cluster.wait_for((user.home / "bin" / "first-is-in").exists)
    user.cluster.stop_daemon("slurmctld")
    time.sleep(10)
    user.cluster.start_controller()
    output, errors = submitting.communicate(timeout=180)
    assert submitting.returncode == 0, output + errors
    assert queued(user) == ["run.report", "run.sample", "run.train"]


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_lost_answer_is_looked_up_and_not_submitted_again(user: User, stage: int) -> None:
    environment = shim(user, stage, _LOST)
    done = user.ganymede(
        "run", *TINY, "--name", "run", "--on", "slurm", *TWO_RANKS, environment=environment
    )
    assert "it had arrived: job" in done.stdout
    assert queued(user) == ["run.report", "run.sample", "run.train"]
    assert (user.home / "bin" / "calls").read_text().count("call") == 3
    states = user.command("squeue", "-h", "-o", "%i %j").stdout.split()
    by_name = dict(zip(states[1::2], states[::2], strict=True))
    assert {f"run.{stage}": job for stage, job in job_ids(user, "run").items()} == by_name


@pytest.mark.parametrize("stage", [1, 2])
def test_launcher_killed_between_two_stages(user: User, stage: int) -> None:
    environment = shim(user, stage, "kill -KILL $PPID; exit 1")
    flags = ("run", *TINY, "--name", "run", "--on", "slurm", *TWO_RANKS)
    killed = user.ganymede(*flags, environment=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(queued(user)) == stage
    again = user.ganymede(*flags)
    assert f"found job {job_ids(user, 'run')[('train', 'sample')[stage - 1]]}" in again.stdout
    assert queued(user) == ["run.report", "run.sample", "run.train"]
    user.wait_until_finished("run")
    assert user.causes("run") == ["finished"]


def test_job_of_a_launcher_that_died_finds_its_pickle(user: User) -> None:
    environment = shim(user, 1, "kill -KILL $PPID; exit 1")
    flags = ("run", *TINY, "--name", "run", "--on", "slurm", *TWO_RANKS)
    user.ganymede(*flags, environment=environment, check=False)
    user.cluster.wait_for(lambda: user.causes("run") == ["finished"], 120)
    assert user.rows("run")["train"]["state"] == "finished"
