"""The stand-in for PBS does what PBS does."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fake_pbs
import pytest


@pytest.fixture
def pbs(tmp_path: Path) -> Iterator[fake_pbs.FakePBS]:
    found = fake_pbs.install(tmp_path)
    yield found
    found.stop()


def run(pbs: fake_pbs.FakePBS, *words: str) -> str:
    return subprocess.run(
        words, env=pbs.environment(), cwd=pbs.folder, text=True, check=True, capture_output=True
    ).stdout.strip()


def test_a_failed_job_deletes_what_waited_for_its_success(pbs: fake_pbs.FakePBS) -> None:
    first = run(pbs, "qsub", "--", "/bin/bash", "-c", "sleep 0.2; exit 3")
    second = run(pbs, "qsub", "-W", f"depend=afterok:{first}", "--", "/bin/true")
    assert pbs.wait(first)["Exit_status"] == 3
    deleted = pbs.wait(second)
    assert (deleted["substate"], deleted["Hold_Types"]) == (92, "s")
    assert "Exit_status" not in deleted


def test_a_deleted_job_may_end_by_itself(pbs: fake_pbs.FakePBS) -> None:
    program = "import signal, sys, time; signal.signal(15, lambda *a: sys.exit(7)); time.sleep(60)"
    job = run(pbs, "qsub", "--", sys.executable, "-ISc", program)
    pbs.change(blind_s=0.0)
    pbs.wait(job, "R", lambda found: found["resources_used"]["walltime"] >= "00:00:01")
    run(pbs, "qdel", job)
    ended = pbs.wait(job)
    assert (ended["Exit_status"], ended["substate"]) == (7, 91)


@pytest.mark.parametrize("kind", ["afterany", "afterok"])
def test_deleting_a_job_that_waits_for_another_deletes_what_waits_for_it(
    pbs: fake_pbs.FakePBS, kind: str
) -> None:
    """While those that wait for one that only waits for a node are held for ever."""
    pbs.change(nodes={})
    first = run(pbs, "qsub", "--", "/bin/true")
    second = run(pbs, "qsub", "-W", f"depend=afterany:{first}", "--", "/bin/true")
    third = run(pbs, "qsub", "-W", f"depend={kind}:{second}", "--", "/bin/true")
    fourth = run(pbs, "qsub", "-W", f"depend={kind}:{first}", "--", "/bin/true")
    run(pbs, "qdel", second)
    run(pbs, "qdel", first)
    found = pbs.jobs()
    assert [(found[job]["job_state"], found[job]["substate"]) for job in (third, fourth)] == [
        ("F", 92), ("H", 22)
    ]  # fmt: skip
    run(pbs, "qalter", "-W", f"depend={kind}:{first}", fourth)  # as if the first had gone well
    assert pbs.job(fourth)["job_state"] == "Q"
