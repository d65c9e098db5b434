"""Who acts in these tests, and which processes are theirs."""

import contextlib
import functools
import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import psutil
from cluster import user_name

ROOT = Path(__file__).parent.parent.parent


@functools.cache
def account() -> pwd.struct_passwd:
    """Of whoever acts: where root runs the tests, an ordinary user who can use what they use."""
    own = pwd.getpwuid(os.geteuid())
    with contextlib.suppress(KeyError, PermissionError):
        if own.pw_uid == 0:
            found = pwd.getpwnam(user_name())
            subprocess.run(
                [sys.executable, "-P", "-c", "import submitit, torch; open('setup.cfg')"],
                user=found.pw_uid, group=found.pw_gid, extra_groups=[], cwd=ROOT, check=True,
            )  # fmt: skip
            return found
    return own


def give(path: Path) -> None:
    """Have a path belong to whoever acts."""
    os.chown(path, account().pw_uid, account().pw_gid)


def processes_of(variable: str, value: str) -> list[psutil.Process]:
    """All live processes of whoever acts that have a variable of this value."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.uids().real != account().pw_uid:
                continue
            if process.environ().get(variable) == value:
                found.append(process)
    return found


def kill(*processes: psutil.Process) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
