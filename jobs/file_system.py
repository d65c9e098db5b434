"""What the file system of the run folder can do, tried out in it."""

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from checkpoints import files
from slurm.findings import Finding, Verdict

_REPLACED = 100  # times that a file is replaced under a reader's eyes
_RIVALS = 8  # that want to create the same file
_LOCKS_S = 30.0
_OF_ONE_MACHINE = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "ramfs", "overlay"}
# Ends with status 0 if a lock that one process holds is refused to another, for both kinds.
_LOCKS = """
import fcntl, os, sys

def is_refused(path, lock):
    try:
        with open(path, "r+") as file:
            lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True

for lock in (fcntl.lockf, fcntl.flock):
    with open(sys.argv[1], "r+") as file:
        lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        child = os.fork()
        if child == 0:
            os._exit(0 if is_refused(sys.argv[1], lock) else 1)
        if os.waitpid(child, 0)[1] != 0:
            sys.exit("a lock is given to two processes at once")
"""


def existing(runs: Path) -> Path:
    """The run folder, or the nearest one above it that there is."""
    return next(path for path in (runs.absolute(), *runs.absolute().parents) if path.is_dir())


def examine(runs: Path) -> list[Finding]:
    """A finding for each thing that runs need of it, tried out in a folder of its own."""
    there = existing(runs)
    kind = _kind(there)
    try:
        folder = Path(tempfile.mkdtemp(prefix=".doctor-", dir=there))
    except OSError as error:
        meaning = f"nothing can be written in {there} ({error.strerror}): give another --runs"
        return [Finding("run folder", f"{runs} ({kind})", meaning, Verdict.FAILS)]
    try:
        checks = (_rename, _links, _fsync, _locks)
        return [_place(runs, kind), *(_tried(check, folder) for check in checks)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _kind(folder: Path) -> str:
    """Name of the file system that holds a folder; empty if it is not to be found out."""
    path = folder.resolve()
    mounts = [m for m in psutil.disk_partitions(all=True) if path.is_relative_to(m.mountpoint)]
    return str(max(mounts, key=lambda m: len(m.mountpoint)).fstype) if mounts else ""


def _place(runs: Path, kind: str) -> Finding:
    value = f"{runs} ({kind or 'unknown file system'})"
    if kind in _OF_ONE_MACHINE:
        meaning = "seems to be this machine's own: the nodes must see the same folder"
        return Finding("run folder", value, meaning, Verdict.MIND)
    return Finding("run folder", value, "the nodes must see it under the same path")


def _tried(check: Callable[[Path], Finding], folder: Path) -> Finding:
    try:
        return check(folder)
    except OSError as error:
        name = check.__name__.strip("_").replace("links", "hard links")
        needed = f"runs need it and cannot be here: give another --runs ({error})"
        return Finding(name, f"fails: {error.strerror or error}", needed, Verdict.FAILS)


def _rename(folder: Path) -> Finding:
    """Replace a file again and again while another thread reads it; then try folders."""
    path, whole = folder / "replaced", (b"a" * 65536, b"b" * 65536)
    files.write_bytes(path, whole[0], sync=False)
    read, torn, over = 0, 0, threading.Event()

    def watch() -> None:
        nonlocal read, torn
        while not over.is_set():
            try:
                torn += path.read_bytes() not in whole
            except OSError:
                torn += 1
            read += 1

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(_REPLACED):
            files.write_bytes(path, whole[number % 2], sync=False)
    finally:
        over.set()
        watcher.join()
    value = f"{_REPLACED} times under {read} reads, {torn} of them torn"
    if torn:
        meaning = "a reader may see half a file, or none: records and checkpoints are not safe here"
        return Finding("rename", value, meaning, Verdict.FAILS)
    _replace_folder(folder)
    return Finding("rename", value, "records and checkpoints are whole, or not there")


def _replace_folder(folder: Path) -> None:
    """A checkpoint is a folder that is renamed into place. Raises OSError if that cannot be."""
    aside, target = folder / "aside", folder / "step"
    aside.mkdir()
    (aside / "file").write_bytes(b"x")
    aside.rename(target)
    if not (target / "file").is_file():
        raise OSError("a renamed folder has lost its file")


def _links(folder: Path) -> Finding:
    """One of many who create the same file must win: so attempts get their numbers."""
    path = folder / "claimed"

    def claim(number: int) -> bool:
        try:
            files.create_bytes(path, str(number).encode())
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(_RIVALS) as rivals:
        won = [number for number, has in enumerate(rivals.map(claim, range(_RIVALS))) if has]
    value = f"{len(won)} of {_RIVALS} rivals got the name"
    if len(won) != 1 or path.read_bytes() != str(won[0]).encode():
        meaning = "two jobs could train one run at the same time: give another --runs"
        return Finding("hard links", value, meaning, Verdict.FAILS)
    return Finding("hard links", value, "no two jobs ever train one run at the same time")


def _fsync(folder: Path) -> Finding:
    start = time.monotonic()
    files.write_bytes(folder / "synced", b"x")
    took = f"file and folder in {1000 * (time.monotonic() - start):.0f} ms"
    return Finding("fsync", took, "what was recorded outlives a crash of the machine")


def _locks(folder: Path) -> Finding:
    path = folder / "locked"
    path.touch()
    command = [sys.executable, "-c", _LOCKS, str(path)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LOCKS_S, check=False
        )
        problem = (done.stderr.strip().splitlines() or [""])[-1] if done.returncode else ""
    except subprocess.TimeoutExpired:
        problem = f"no answer within {_LOCKS_S:.0f} s"
    if problem:
        meaning = "runs need none; if HDF5 complains of them: export HDF5_USE_FILE_LOCKING=FALSE"
        return Finding("locks", f"do not work: {problem}", meaning, Verdict.MIND)
    return Finding("locks", "fcntl and flock work", "runs need none; HDF5 takes them")
