"""Whether a recorded process still runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs import records
from jobs.processes import is_alive, is_here
from jobs.records import Attempt
from jobs.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_killed_process_is_dead_and_a_reused_pid_is_another(run: Run) -> None:
    program = (
        "import sys; from pathlib import Path; from jobs.records import Attempt;"
        "from jobs.run import Run; Attempt.begin(Run(Path(sys.argv[1])), 'train');"
        "import os; os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(run.path)], check=False)
    record = records.latest(run, "train")
    assert "cause" not in record
    assert not is_alive(record)
    assert not is_alive(record | {"pid": os.getpid()})
    assert Attempt.begin(run, "train").number == 2


def test_other_boot_is_dead_and_other_machine_counts_as_alive(run: Run) -> None:
    Attempt.begin(run, "train")
    record = records.latest(run, "train")
    assert is_alive(record)
    assert not is_alive(record | {"boot_id": "another"})
    assert is_alive(record | {"boot_id": "another", "host": "another"})
    assert is_alive(record | {"host": "another", "pid": 1 << 22})  # another container
    assert is_here(record)
    assert not is_here(record | {"host": "another"})


def test_no_change_of_the_clock_makes_a_process_dead(run: Run) -> None:
    """The time of its start that the system tells is reckoned from its present clock."""
    Attempt.begin(run, "train")
    record = records.latest(run, "train")
    for hours in (-5, 5):
        shifted = record["process_started"] + 3600 * hours
        assert is_alive(record | {"process_started": shifted})
    assert not is_alive(record | {"process_ticks": record["process_ticks"] - 1})
    earlier = {name: value for name, value in record.items() if name != "process_ticks"}
    assert is_alive(earlier)
    assert not is_alive(earlier | {"process_started": 0.0})
