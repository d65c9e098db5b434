"""Runs that a group shares. Modes and owners are judged, so that root's tests tell the same."""

import grp
import os
import pwd
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs import sharing
from jobs.cli import main
from jobs.run import Run, RunError

TINY = (
    "gan-digits", "--data.image-size", "8", "--model.latent", "8", "--model.generator-hidden", "8",
    "--model.critic-hidden", "8", "--train.epochs", "1", "--train.passes-per-epoch", "1",
    "--train.batch-size", "256", "--train.final-samples", "8", "--threads", "1", "--here",
)  # fmt: skip
OWN = grp.getgrgid(os.getegid()).gr_name


@pytest.fixture(autouse=True)
def same_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


FIRST = os.environ.get("GANYMEDE_TEST_USER", "ganymede")


def two_accounts() -> str:
    """Why two ordinary users cannot act here; "" if they can."""
    if os.geteuid() != 0:
        return "only root can act as two users"
    for name in (FIRST, "nobody"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            return f"there is no user {name}"
        done = subprocess.run(
            [sys.executable, "-P", "-c", "import submitit, torch, jobs.cli"],
            user=account.pw_uid, group=account.pw_gid, extra_groups=[], cwd="/",
            capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            return f"user {name} cannot read this Python"
    return ""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may write to: pytest's own are closed to all but one user."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o1777)
        yield Path(name)


@pytest.mark.slow
def test_one_user_goes_on_with_the_run_of_another(open_folder: Path) -> None:
    if reason := two_accounts():
        pytest.skip(reason)
    first, second = pwd.getpwnam(FIRST), pwd.getpwnam("nobody")
    group = grp.getgrgid(first.pw_gid).gr_name

    def ganymede(account: pwd.struct_passwd, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "jobs.cli", *words, "--runs", str(open_folder / "runs")],
            user=account.pw_uid, group=account.pw_gid, extra_groups=[first.pw_gid], umask=0o022,
            cwd=open_folder, env=os.environ | {"HOME": str(open_folder)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 1), done.stderr
        return done.stdout + done.stderr

    minutes = ("--minutes", "0.001")  # it saves, and stops at once
    ganymede(first, "run", *TINY, "--name", "run", "--group", group, *minutes)
    said = ganymede(second, "resume", "run", "--here", *minutes)
    assert "going on from step 0" in said
    run = Run(open_folder / "runs" / "run")
    owners = {path.stat().st_uid for path in run.attempts.glob("train-*.json")}
    assert owners == {first.pw_uid, second.pw_uid}
    for name, account in (("logs", first), (f"logs-{second.pw_uid}", second)):
        found = (run.path / name).stat()
        assert (found.st_uid, found.st_mode & 0o077) == (account.pw_uid, 0)
    for name, (mode, gid) in modes(run.path).items():
        if not name.startswith("logs"):
            assert gid == first.pw_gid, name
            assert mode == (0o2770 if (run.path / name).is_dir() else 0o660), name
    assert "(private: of whoever started this job)" in ganymede(first, "logs", "run")
    assert "every file is as it was written" in ganymede(first, "verify", "run")


def modes(folder: Path) -> dict[str, tuple[int, int]]:
    """Mode and group of everything in a folder."""
    found = {}
    for path in (folder, *folder.rglob("*")):
        status = path.lstat()
        if not stat.S_ISLNK(status.st_mode):
            found[str(path.relative_to(folder))] = stat.S_IMODE(status.st_mode), status.st_gid
    return found


def test_a_whole_run_is_written_for_its_group_and_the_logs_are_not(tmp_path: Path) -> None:
    """Launched with another umask, and by the jobs themselves, which are processes of their own."""
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", "run", *TINY, "--name", "run", "--group", OWN],
        cwd=tmp_path, capture_output=True, text=True, check=False, umask=0o077,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    run = Run(tmp_path / "runs" / "run")
    private = {name for name in modes(run.path) if name.split("/")[0] == "logs"}
    assert any(name.endswith("_submitted.pkl") for name in private)
    for name, (mode, group) in modes(run.path).items():
        is_folder = (run.path / name).is_dir()
        assert group == os.getegid(), name
        if name not in private:
            assert mode == (0o2770 if is_folder else 0o660), name
        elif name == "logs" or name.endswith(".pkl"):
            assert mode & 0o077 == 0, name


def test_an_existing_run_is_opened_and_its_logs_are_not(tmp_path: Path) -> None:
    (tmp_path / "run" / "attempts").mkdir(parents=True)
    for name in ("config.json", "attempts/train-0001.json"):
        (tmp_path / "run" / name).touch(mode=0o644)
    for name in ("logs", "logs-1234"):
        (tmp_path / "run" / name).mkdir(mode=0o700)
        (tmp_path / "run" / name / "job.pkl").touch(mode=0o600)
    (tmp_path / "outside").touch(mode=0o600)
    (tmp_path / "run" / "link").symlink_to(tmp_path / "outside")
    run = Run(tmp_path / "run")
    assert not sharing.is_shared(run.path)
    sharing.share(run, OWN)
    assert sharing.is_shared(run.path)
    found = {name: mode for name, (mode, _) in modes(run.path).items()}
    assert found == {
        ".": 0o2770, "config.json": 0o660, "attempts": 0o2770, "attempts/train-0001.json": 0o660,
        "logs": 0o700, "logs/job.pkl": 0o600, "logs-1234": 0o700, "logs-1234/job.pkl": 0o600,
    }  # fmt: skip
    assert stat.S_IMODE((tmp_path / "outside").stat().st_mode) == 0o600


def test_only_a_shared_run_changes_the_umask(tmp_path: Path) -> None:
    run = Run(tmp_path)
    sharing.adopt(run)
    assert os.umask(0o022) == 0o022
    tmp_path.chmod(0o2770)
    sharing.adopt(run)
    assert os.umask(0o022) == 0o007
    sharing.adopt(Run(tmp_path / "not there"))
    assert os.umask(0o022) == 0o022


def test_a_group_that_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    own = {os.getegid(), *os.getgroups()}
    other = next(group.gr_name for group in grp.getgrall() if group.gr_gid not in own)
    for name, why in (("no-such-group", "which does not exist"), (other, "which you are not in")):
        assert main(["run", *TINY, "--group", name]) == 2
        told = capsys.readouterr().err
        assert f"group is {name!r}, {why}; allowed: " in told
        assert OWN in told
    assert list(tmp_path.iterdir()) == []


def test_each_user_has_logs_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path)
    assert run.logs == tmp_path / "logs"
    run.logs.mkdir()
    assert run.logs == tmp_path / "logs"
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    assert run.logs == tmp_path / "logs-4321"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_somebody_elses_files_that_are_not_shared_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").touch(mode=0o644)
    os.chown(tmp_path / "config.json", 4321, -1)
    os.chown(tmp_path, 1234, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    with pytest.raises(RunError, match=r"config\.json belongs to 4321 and is not shared"):
        sharing.share(Run(tmp_path), OWN)
