"""Which GPUs of a node a job may use, where its scheduler has booked some and named none."""

import os
import socket
import subprocess
from dataclasses import dataclass, field

from slurm.errors import SchedulerError

VISIBLE = "CUDA_VISIBLE_DEVICES"
_ASK_S = 60.0


@dataclass
class Claim:
    """GPUs that are this process's as long as it lives."""

    visible: str | None = None  # for CUDA_VISIBLE_DEVICES; None: it stays as it is
    locks: list[socket.socket] = field(default_factory=list)


def claim(count: int, whole_node: bool) -> Claim:
    """GPUs for a job that has booked `count` of this node's.

    Those that the site names; else all, if the job has the node to itself; else free ones, each
    under a lock that ends with this process. Raises SchedulerError if there are not so many: a GPU
    in use by somebody else is never taken.
    """
    if not count or whole_node or os.environ.get(VISIBLE):
        return Claim()
    found, busy = _ask("gpu", "uuid"), set(_ask("compute-apps", "gpu_uuid"))
    taken = Claim()
    names: list[str] = []
    for name in found:
        if len(names) < count and name not in busy and (lock := _lock(name)):
            names.append(name)
            taken.locks.append(lock)
    if len(names) < count:
        for lock in taken.locks:
            lock.close()
        raise SchedulerError(
            f"{count} GPUs were booked on {socket.gethostname()}, whose scheduler names none of "
            f"them; free there: {len(names)} of {len(found)}. Book whole nodes (--exclusive), or "
            f"ask the site to set {VISIBLE}"
        )
    taken.visible = ",".join(names)
    return taken


def _ask(what: str, column: str) -> list[str]:
    """A column of what nvidia-smi knows. Raises SchedulerError if it cannot be asked."""
    command = ["nvidia-smi", f"--query-{what}={column}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = f"nvidia-smi cannot be asked ({error})"
    else:
        if done.returncode == 0:
            return [line.strip() for line in done.stdout.splitlines() if line.strip()]
        problem = " ".join((done.stderr or done.stdout).split()) or "nvidia-smi fails"
    raise SchedulerError(
        f"GPUs were booked on {socket.gethostname()}, whose scheduler names none of them, and "
        f"which are free is not to be found out: {problem}"
    )


def _lock(name: str) -> socket.socket | None:
    """A name of this machine alone, that no file outlives; None if another process has it."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0ganymede-gpu-{name}")
    except OSError:
        lock.close()
        return None
    return lock
