"""All processes of one run, found by a mark in their environment: launchers, jobs and ranks."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

MARK = "GANYMEDE_KILLS"  # environment: of which run of a campaign a process is
_PROC = Path("/proc")
_GONE_S = 30.0


def available() -> bool:
    """Whether the system shows the environment of one's processes."""
    return (_PROC / "self/environ").exists()


def start(
    command: Sequence[str], mark: str, log: Path, environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    """Start a marked process in a session of its own; what it says is added to the log."""
    with log.open("ab") as file:
        return subprocess.Popen(
            command,
            env=os.environ | environment | {MARK: mark},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )


def marked(mark: str) -> list[int]:
    """The ids of all living processes whose mark begins so, parents mostly before children."""
    found, wanted = [], f"{MARK}={mark}".encode()
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended, or is somebody else's
                if wanted in (_PROC / entry.name / "environ").read_bytes():
                    found.append(int(entry.name))
    return sorted(found)


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_all(mark: str, first: Sequence[int] = ()) -> None:
    """Kill these at once, then all others with this mark, until none of them is left.

    One that is just dying has no environment any more, and still counts as alive.
    """
    for pid in first:
        kill(pid)
    killed, end = set(first), time.monotonic() + _GONE_S
    while left := {*marked(mark), *filter(lives, killed)}:
        for pid in left:
            kill(pid)
        killed |= left
        if time.monotonic() > end:
            raise RuntimeError(f"processes {sorted(left)} cannot be killed")
        time.sleep(0.002)


def lives(pid: int) -> bool:
    """Whether a process has not ended yet, waited for or not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def tell_all(mark: str, number: signal.Signals) -> None:
    """Send a signal to all processes with this mark, as a batch system does."""
    for pid in marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
