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
