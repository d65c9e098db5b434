import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm import queue
from slurm.errors import SchedulerError

_NOBODY = 65534


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """PATH is a folder into which we must not look, as of another user."""
    (tmp_path / "closed").mkdir(mode=0)
    monkeypatch.setenv("PATH", str(tmp_path / "closed"))
    monkeypatch.setenv("SLURM_CONF", "slurm.conf")
    before = os.geteuid()
    if before == 0:  # root may look everywhere
        os.seteuid(_NOBODY)
    yield
    os.seteuid(before)


@pytest.mark.usefixtures("closed")
def test_a_folder_of_path_that_is_closed_to_us_holds_nothing() -> None:
    assert not queue.is_here()
    with pytest.raises(SchedulerError, match="squeue is not on this machine's PATH"):
        queue.jobs()
