"""Which schedulers there are, and which one is meant."""

from pathlib import Path

import pytest
from fake_slurm import FakeSlurm, install

from slurm import queue, schedulers
from slurm.errors import SchedulerError
from slurm.of_slurm import Slurm


class Other(Slurm):
    """A second kind of scheduler, on any machine."""

    name, title = "other", "The other one"

    def is_here(self) -> bool:
        return True

    def is_inside(self) -> bool:
        return True


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    monkeypatch.setattr(queue, "_CONFIGURATIONS", ())
    for name in set(schedulers.SCHEDULERS) - {"slurm"}:
        monkeypatch.delitem(schedulers.SCHEDULERS, name)
    return install(tmp_path, monkeypatch)


def test_each_is_registered_by_its_name() -> None:
    assert {name: scheduler.name for name, scheduler in schedulers.SCHEDULERS.items()} == {
        name: name for name in schedulers.SCHEDULERS
    }
    assert schedulers.of("slurm").title == "Slurm"


@pytest.mark.parametrize("name", ["lsf", "local", ""])
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(SchedulerError, match=f"scheduler is '{name}'; allowed: slurm"):
        schedulers.of(name)


def test_where_this_machine_submits_to(slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    assert schedulers.here() is schedulers.of("slurm")
    monkeypatch.delenv("SLURM_CONF")
    assert schedulers.here() is None
    other = Other()
    monkeypatch.setitem(schedulers.SCHEDULERS, "other", other)
    assert schedulers.here() is other
    monkeypatch.setenv("SLURM_CONF", "slurm.conf")
    assert schedulers.here() is schedulers.of("slurm")


def test_whose_job_this_process_belongs_to(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert schedulers.inside() is None
    monkeypatch.setitem(schedulers.SCHEDULERS, "other", Other())
    assert schedulers.inside() is schedulers.of("other")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert schedulers.inside() is schedulers.of("slurm")
