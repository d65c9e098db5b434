"""What a cluster does, and which guarantees hold on it."""

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from checkpoints import files
from jobs.options import Doctor
from jobs.rehearsal import rehearse
from slurm import capabilities, guarantees, queue, schedulers
from slurm.errors import SchedulerError
from slurm.executors import script
from slurm.findings import Finding, Verdict
from slurm.orders import Order
from slurm.resources import Profile, Resources, load_profile

_REPLACED = 100  # times that a file is replaced under a reader's eyes
_RIVALS = 8  # that want to create the same file
_LOCKS_S = 30.0
_OF_ONE_MACHINE = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "ramfs", "overlay"}
_STYLES = {Verdict.HOLDS: "green", Verdict.MIND: "yellow", Verdict.FAILS: "bold red"}
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


def examine(options: Doctor) -> int:
    """Tell what holds here, and rehearse if asked to.

    Returns the exit status: 1 if a guarantee that runs need does not hold.
    """
    found, profile = _of_profile(options.profile)
    found += _CLUSTERS[options.on](profile, options.resources)
    found += of_folder(options.runs)
    if options.on == "slurm" and not options.rehearse:
        untried = "not tried: --rehearse stops a real job and watches it go on"
        found.append(Finding("scontrol on a node", "unknown", untried, Verdict.MIND))
    show(found)
    failed = _failed(found)
    if options.rehearse and profile and not failed:
        found = rehearse(options.runs, profile, options.resources)
        show(found)
        failed = _failed(found)
    elif options.rehearse:
        print("no rehearsal, since it would fail too")
    told = f"does not hold: {', '.join(failed)}" if failed else "all that a run needs holds here"
    print(told)
    return 1 if failed else 0


def _failed(found: Sequence[Finding]) -> list[str]:
    return [finding.name for finding in found if finding.verdict == Verdict.FAILS]


def _of_profile(name: str | None) -> tuple[list[Finding], Profile | None]:
    try:
        profile = load_profile(name)
    except SchedulerError as error:
        return [Finding("profile", str(name), str(error), Verdict.FAILS)], None
    told = f"read; hash {profile.hash[:12]}, which a run's records keep"
    return ([Finding("profile", profile.name, told)] if name else []), profile


def _of_slurm(profile: Profile | None, flags: Resources) -> list[Finding]:
    try:
        cluster = capabilities.read()
    except SchedulerError as error:
        meaning = "nothing can be submitted, asked or queued again from here"
        return [Finding("scontrol", str(error), meaning, Verdict.FAILS)]
    booking = [_booking(profile, flags)] if profile else []
    return [*guarantees.of_cluster(cluster), *booking]


def _of_pbs(profile: Profile | None, flags: Resources) -> list[Finding]:
    """Nothing is known of PBS yet. Raises SchedulerError."""
    raise SchedulerError(f"{schedulers.of('pbs').title} cannot be examined yet")


_CLUSTERS = {"slurm": _of_slurm, "pbs": _of_pbs}


def _booking(profile: Profile, flags: Resources) -> Finding:
    """Whether Slurm would take such a training job; nothing is submitted."""
    is_chosen = bool(profile.name) or flags != Resources()
    order = Order("doctor", "doctor", profile.for_stage("train", flags), profile)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "job.sh"
            path.write_text(script(order, Path(folder)), "utf-8")
            queue.call("sbatch", "--test-only", str(path))
    except SchedulerError as error:
        hint = "" if is_chosen else "; give --profile, or --partition, --account and the like"
        verdict = Verdict.FAILS if is_chosen else Verdict.MIND
        return Finding("booking", str(error), f"such a job would be refused{hint}", verdict)
    what = "with this profile and these flags" if is_chosen else "without any flags"
    return Finding("booking", "accepted", f"a training job {what} would be taken")


def of_folder(runs: Path) -> list[Finding]:
    """What the file system of the run folder can do, tried out in a folder of its own."""
    there = next(path for path in (runs.absolute(), *runs.absolute().parents) if path.is_dir())
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


def show(found: Sequence[Finding]) -> None:
    """A table in a terminal, else a line for each."""
    if not sys.stdout.isatty():
        for row in found:
            print(f"{row.verdict:<5}  {row.name}: {row.value} -> {row.meaning}")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("", "what", "found", "what it means for a run"):
        table.add_column(title, overflow="fold")
    for row in found:
        verdict = Text(row.verdict, style=_STYLES[row.verdict])
        table.add_row(verdict, row.name, row.value, row.meaning)
    Console(highlight=False, markup=False).print(table)
