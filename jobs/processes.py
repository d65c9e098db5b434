"""Whether a process that a record tells of still runs: asked of the machine, never of a clock."""

import contextlib
import platform
from pathlib import Path
from typing import Any

import psutil


def boot_id() -> str:
    """Changes with every start of the machine."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return str(psutil.boot_time())


def this_process() -> dict[str, Any]:
    """What a record says of the process that writes it; see `is_here` and `is_alive`."""
    process = psutil.Process()
    facts: dict[str, Any] = {
        "host": platform.node(),
        "boot_id": boot_id(),
        "pid": process.pid,
        "process_started": process.create_time(),
    }
    ticks = _ticks(process.pid)
    return facts if ticks is None else facts | {"process_ticks": ticks}


def _ticks(pid: int) -> int | None:
    """When a process began, counted from the machine's start: no change of the clock moves it.

    (psutil adds the time of the start, which the system reckons back from its present clock.)
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])  # proc_pid_stat(5): field 22, starttime


def is_here(record: dict[str, Any]) -> bool:
    """Whether the attempt's process id means something on this machine."""
    return bool(record["host"] == platform.node() and record["boot_id"] == boot_id())


def is_alive(record: dict[str, Any]) -> bool:
    """Whether the attempt's process still runs; asked of the machine, not guessed from a clock.

    An attempt on a machine that cannot be asked counts as alive.
    """
    if "cause" in record:
        return False
    if not is_here(record):
        return bool(record["host"] != platform.node())  # same name, other boot: it went down
    try:
        process = psutil.Process(record["pid"])
        alive = process.status() != psutil.STATUS_ZOMBIE
        if "process_ticks" in record:
            return alive and _ticks(process.pid) == record["process_ticks"]
        return alive and abs(process.create_time() - record["process_started"]) < 1
    except psutil.NoSuchProcess:
        return False
