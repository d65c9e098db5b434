"""Only pickles that nobody else could have written are loaded. Modes are judged, so root's too."""

import os
import pickle
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from submitit.core.utils import DelayedSubmission

from slurm import pickles
from slurm.errors import SchedulerError


class Trap:
    """Leaves a mark when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pickles.make_folder(tmp_path / "run" / "logs")


@pytest.fixture
def trap(folder: Path, tmp_path: Path) -> Path:
    pickles.dump(Trap(tmp_path / "sprung"), folder / "job.pkl")
    return folder / "job.pkl"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refused(path: Path, tmp_path: Path) -> str:
    with pytest.raises(SchedulerError, match="not ") as error:
        pickles.load(path)
    assert not (tmp_path / "sprung").exists()
    return str(error.value)


def test_pickles_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = pickles.make_folder(tmp_path / "logs")
        pickles.dump(3, folder / "a.pkl")
    finally:
        os.umask(before)
    assert (mode(folder), mode(folder / "a.pkl")) == (0o700, 0o600)
    assert pickles.load(folder / "a.pkl") == 3


def test_a_folder_from_before_is_closed(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(mode=0o755)
    pickles.make_folder(tmp_path / "logs")
    assert mode(tmp_path / "logs") == 0o700


def test_a_link_to_a_pickle_in_the_folder_is_followed(folder: Path) -> None:
    pickles.dump(3, folder / "token_0.pkl")
    (folder / "7_submitted.pkl").symlink_to(folder / "token_0.pkl")
    assert pickles.load(folder / "7_submitted.pkl") == 3


@pytest.mark.parametrize("wrong", [0o640, 0o604, 0o660, 0o606])
def test_a_file_that_others_may_read_or_write_is_refused(
    trap: Path, tmp_path: Path, wrong: int
) -> None:
    trap.chmod(wrong)
    told = refused(trap, tmp_path)
    assert f"has mode {wrong:03o}; allowed: a file of yours ({os.geteuid()})" in told


@pytest.mark.parametrize("wrong", [0o750, 0o705, 0o770, 0o2770, 0o1777])
def test_a_folder_that_others_may_enter_is_refused(trap: Path, tmp_path: Path, wrong: int) -> None:
    trap.parent.chmod(wrong)
    assert "allowed: a folder of yours" in refused(trap, tmp_path)


def test_a_link_that_leads_to_somebody_elses_folder_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o777)
    pickles.dump(Trap(tmp_path / "sprung"), outside / "job.pkl")
    (folder / "link.pkl").symlink_to(outside / "job.pkl")
    assert str(outside) in refused(folder / "link.pkl", tmp_path)


def test_what_is_no_file_is_refused(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / "pipe.pkl", 0o600)
    assert refused(folder / "pipe.pkl", tmp_path).endswith("is not loaded; allowed: a plain file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_pickle_of_another_user_is_refused(trap: Path, tmp_path: Path) -> None:
    os.chown(trap, 12345, -1)
    assert "it belongs to user 12345" in refused(trap, tmp_path)
    os.chown(trap, 0, -1)
    os.chown(trap.parent, 12345, -1)
    assert "allowed: a folder of yours" in refused(trap, tmp_path)
    with pytest.raises(SchedulerError, match="allowed: a folder of yours"):
        pickles.make_folder(trap.parent)


WATCHED = """
import atexit, gc, runpy, sys
atexit.register(lambda: print(gc.get_freeze_count() > 0))
{before}
runpy.run_module("slurm.start", run_name="__main__")
"""


def job(folder: Path, *start: str) -> subprocess.CompletedProcess[str]:
    """As a job begins: `python -m slurm.start FOLDER`."""
    environment = os.environ | {
        "SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_JOB_ID": "7", "SUBMITIT_LOCAL_GLOBALID": "0"
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, *(start or ("-m", "slurm.start")), str(folder)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_job_starts_from_a_private_pickle_and_leaves_a_private_result(
    folder: Path, tmp_path: Path
) -> None:
    pickles.dump(DelayedSubmission(os.mkdir, tmp_path / "done"), folder / "7_submitted.pkl")
    assert job(folder).returncode == 0
    assert (tmp_path / "done").is_dir()
    assert mode(folder / "7_0_result.pkl") == 0o600
    assert pickle.loads((folder / "7_0_result.pkl").read_bytes()) == ("success", None)


@pytest.mark.parametrize("before", ["", 'sys.modules["triton"] = sys'])
@pytest.mark.parametrize("ends", [os.getpid, sys.exit], ids=["returns", "exits"])
def test_a_job_ends_without_a_search_for_garbage(
    folder: Path, before: str, ends: Callable[[], object]
) -> None:
    pickles.dump(DelayedSubmission(ends), folder / "7_submitted.pkl")
    done = job(folder, "-c", WATCHED.format(before=before))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == str(not before)


def test_a_job_does_not_start_from_any_other(folder: Path, tmp_path: Path) -> None:
    pickles.dump(Trap(tmp_path / "sprung"), folder / "7_submitted.pkl")
    (folder / "7_submitted.pkl").chmod(0o644)
    done = job(folder)
    assert done.returncode != 0
    assert "is not used, since what is in it would run as you" in done.stderr
    assert not (tmp_path / "sprung").exists()


def test_the_end_of_a_job_is_not_recorded_from_any_other(folder: Path, tmp_path: Path) -> None:
    pickles.dump(Trap(tmp_path / "sprung"), folder / "job.pkl")
    folder.chmod(0o770)
    for module in ("jobs.closing", "jobs.succession"):
        done = subprocess.run(
            [sys.executable, "-m", module, str(folder / "job.pkl"), "--status", "0"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert "would run as you" in done.stderr
    assert not (tmp_path / "sprung").exists()
