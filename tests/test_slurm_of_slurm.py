"""Slurm as a scheduler: one job and one array, from their submission to their end."""

import math
from pathlib import Path

import pytest
from fake_slurm import FakeSlurm, install

from slurm import queue
from slurm.errors import SchedulerError, Unreachable
from slurm.of_slurm import Slurm
from slurm.orders import Order
from slurm.resources import Resources
from slurm.scheduler import Phase

SLURM = Slurm()
SILENT = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    monkeypatch.setattr(queue, "_LOOK_AGAIN_S", 0.01)
    return install(tmp_path, monkeypatch)


def test_a_job_and_an_array_that_waits_for_it(slurm: FakeSlurm, tmp_path: Path) -> None:
    number = SLURM.submit(tmp_path, Order("a", "ta", Resources()), [math.e.hex])
    order = Order("b", "tb", Resources(), dependency=SLURM.after([number]), indices=(0, 3))
    array = SLURM.submit(tmp_path, order, [math.e.hex, math.pi.hex])
    assert (number, array) == ("100", "101")
    assert slurm.options("101_3")["dependency"] == "afterok:100"
    slurm.set_job("100", "RUNNING")
    found = {job_id: (state.token, state.phase) for job_id, state in SLURM.jobs().items()}
    assert found == {
        "100": ("ta", Phase.RUNNING),
        "101_0": ("tb", Phase.WAITING),
        "101_3": ("tb", Phase.WAITING),
    }
    SLURM.cancel(["101_3", "100"])
    assert [SLURM.is_live(job_id) for job_id in ("100", "101_0", "101_3", "9")] == [
        False, True, False, False,
    ]  # fmt: skip


def test_a_silent_controller_is_asked_again(slurm: FakeSlurm) -> None:
    slurm.fail("squeue", SILENT)
    said: list[str] = []
    with pytest.raises(Unreachable):
        SLURM.jobs()
    slurm.fail("squeue", SILENT)
    assert SLURM.jobs(patience_s=30, say=said.append) == {}
    assert len(said) == 1


def test_ids_of_tasks() -> None:
    assert [SLURM.task_id("7", None), SLURM.task_id("7", 0)] == ["7", "7_0"]
    assert [SLURM.split_id("7"), SLURM.split_id("7_0")] == [("7", None), ("7", 0)]
    assert SLURM.after_corresponding(["8", "7"]) == "aftercorr:7:8"


def test_the_largest_array_is_the_sites(slurm: FakeSlurm) -> None:
    slurm.change(config={"MaxArraySize": "12"})
    assert SLURM.largest_array() == 12


def test_why_a_job_was_stopped(slurm: FakeSlurm) -> None:
    slurm.set_job("7", "RUNNING", PreemptTime="2026-01-01T00:00:00")
    assert SLURM.why_stopped("7", restarts=0) == "preempted"


@pytest.mark.parametrize(
    ("node", "is_lost"),
    [
        ({"state": "idle", "boot": "90"}, False),
        ({"state": "idle", "boot": "110"}, True),  # it has started since
        ({"state": "down*", "boot": "90"}, True),
    ],
)
def test_a_lost_node(slurm: FakeSlurm, node: dict[str, str], is_lost: bool) -> None:
    slurm.change(nodes={"n1": node})
    assert SLURM.lost_node("n1", 100.0) == is_lost


def test_folders_that_it_cannot_have(tmp_path: Path) -> None:
    assert SLURM.check_folder(tmp_path) == tmp_path
    with pytest.raises(SchedulerError, match="allowed for Slurm"):
        SLURM.check_folder(tmp_path / "50%")
