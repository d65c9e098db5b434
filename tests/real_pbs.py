"""A real PBS on this machine, if there is one, used by somebody else than root."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
_BIN = Path("/opt/pbs/bin")


def user_name() -> str:
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    return os.environ.get("GANYMEDE_TEST_USER", "ganymede")


def environment() -> dict[str, str]:
    """Its commands first on PATH, and this checkout's packages."""
    path = f"{_BIN}{os.pathsep}{os.environ['PATH']}"
    foreign = ("PBS_", "SLURM", "GANYMEDE", "SUBMITIT", "PYTEST")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    home = pwd.getpwnam(user_name()).pw_dir
    return kept | {
        "PATH": path, "HOME": home, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_CONFIG_HOME": f"{home}/.config",
    }  # fmt: skip


def why_not() -> str:
    """Why no real PBS can be used; empty if one can."""
    if not (_BIN / "qstat").exists():
        return f"no PBS in {_BIN}"
    try:
        pwd.getpwnam(user_name())
    except KeyError:
        return f"PBS takes no jobs of root, and there is no user {user_name()}"
    try:
        done = run(["qstat", "-B"], ROOT)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"PBS cannot be asked: {error}"
    return "" if done.returncode == 0 else f"PBS does not answer: {done.stderr.strip()}"


def run(
    command: list[str], folder: Path, timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a command as that user."""
    if os.geteuid() == 0:
        command = ["runuser", "-u", user_name(), "--", *command]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True,
        timeout=timeout_s, check=False,
    )  # fmt: skip


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of that user's, which is removed again."""
    account = pwd.getpwnam(user_name())
    path = Path(tempfile.mkdtemp(prefix="ganymede-test-", dir=account.pw_dir))
    os.chown(path, account.pw_uid, account.pw_gid)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
