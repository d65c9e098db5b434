"""Plain submitit: the script of somebody who knows nothing else prints the same on every cluster.

On a real Slurm it is run by `tests/cluster/test_cluster_submitit.py`.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_pbs
import pytest
import real_pbs

HERE = Path(__file__).parent
EXPECTED = (HERE / "submitit_script.txt").read_text().splitlines()
# submitit's local jobs have states of their own, and are not in a queue.
ON_CLUSTERS = EXPECTED[EXPECTED.index("in it: ['ID_0_result.pkl', 'ID_submitted.pkl']") + 1 :]
LOCALLY = [line for line in EXPECTED if line not in ON_CLUSTERS and not line.startswith("states")]
Script = Callable[[str], list[str]]


def command(cluster: str) -> list[str]:
    return [sys.executable, "-W", "error", str(HERE / "submitit_script.py"), cluster]


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
    done = subprocess.run(
        command("pbs"), cwd=tmp_path, env=pbs.environment(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert lines(done) == EXPECTED


@pytest.mark.slow
def test_real_pbs() -> None:
    if reason := real_pbs.why_not():
        pytest.skip(reason)
    with real_pbs.folder() as folder:
        assert lines(real_pbs.run(command("pbs"), folder, timeout_s=300)) == EXPECTED
