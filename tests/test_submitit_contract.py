"""Plain submitit: the script of somebody who knows nothing else prints the same on every cluster.

On a real Slurm it is run by `tests/cluster/test_cluster_submitit.py`.
"""

import ast
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fake_pbs
import pytest
import real_pbs

HERE = Path(__file__).parent
EXPECTED = (HERE / "submitit_script.txt").read_text().splitlines()
# submitit's local jobs have states of their own, and are not in a queue.
ON_CLUSTERS = EXPECTED[EXPECTED.index("in it: ['ID_0_result.pkl', 'ID_submitted.pkl']") + 1 :]
LOCALLY = [line for line in EXPECTED if line not in ON_CLUSTERS and not line.startswith("states")]


STANDS_IN = 'it\'s "k\u00e4se" $(touch owned) a,b:c'  # where the user stands


def command(*words: str) -> list[str]:
    return [sys.executable, "-W", "error", str(HERE / "submitit_script.py"), *words]


def lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_local(tmp_path: Path) -> None:
    done = subprocess.run(
        command("local"), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert lines(done) == LOCALLY


@pytest.fixture
def pbs(tmp_path: Path) -> Iterator[fake_pbs.FakePBS]:
    found = fake_pbs.install(tmp_path)
    yield found
    found.stop()


def test_stand_in_for_pbs(pbs: fake_pbs.FakePBS, tmp_path: Path) -> None:
    (tmp_path / STANDS_IN).mkdir()
    done = subprocess.run(
        command("pbs"), cwd=tmp_path / STANDS_IN, env=pbs.environment(), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert lines(done) == EXPECTED


@pytest.mark.slow
def test_real_pbs() -> None:
    if reason := real_pbs.why_not():
        pytest.skip(reason)
    with real_pbs.folder() as folder:
        real_pbs.run(["mkdir", STANDS_IN], folder)
        assert lines(real_pbs.run(command("pbs"), folder / STANDS_IN, timeout_s=300)) == EXPECTED


# A preemption by requeue, which is not the user's to order


def wait_for_text(path: Path, text: str) -> None:
    deadline = time.monotonic() + 120
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"no {text!r} in {path}"
        time.sleep(0.05)


def assert_went_on(job_id: str, told: list[str]) -> None:
    """As the same job, from where it was."""
    (found,) = told
    starts = ast.literal_eval(found.removesuffix(" True"))
    assert [started for _, started in starts] == [job_id] * 2
    assert starts[0][0] == 0 < 10 < starts[1][0]


def test_a_preempted_job_keeps_its_id_on_the_stand_in(
    pbs: fake_pbs.FakePBS, tmp_path: Path
) -> None:
    def script(*words: str) -> list[str]:
        done = subprocess.run(
            command("pbs", *words), cwd=tmp_path, env=pbs.environment(), capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        return lines(done)

    (job_id,) = script("start")
    wait_for_text(tmp_path / "logs" / f"{job_id}_0_log.out", "at 10\n")
    pbs.requeue(job_id)
    assert_went_on(job_id, script("logs", job_id))


@pytest.mark.slow
def test_a_preempted_job_keeps_its_id_on_a_real_pbs() -> None:
    if reason := real_pbs.why_not() or (os.geteuid() and "only root may requeue a job"):
        pytest.skip(reason)
    with real_pbs.folder() as folder:
        (job_id,) = lines(real_pbs.run(command("pbs", "start"), folder))
        wait_for_text(folder / "logs" / f"{job_id}_0_log.out", "at 10\n")
        qrerun = ["qrerun", job_id]
        subprocess.run(qrerun, env=real_pbs.environment(), check=True, capture_output=True)
        assert_went_on(job_id, lines(real_pbs.run(command("pbs", "logs", job_id), folder)))
