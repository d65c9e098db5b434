"""Runs that a group shares: its members read and go on with them; the logs stay private.

Nothing but the folder's own mode says that a run is shared: setgid, and writable for its group. So
every job of it, wherever it runs, sets its umask by looking at the folder.
"""

import grp
import os
import pwd
import stat
from pathlib import Path

from jobs.run import Run, RunError

UMASK = 0o007
_FOLDER, _FILE = stat.S_ISGID | 0o770, 0o660


def group_id(name: str) -> int:
    """The number of a group that this user is in. Raises RunError, naming the user's groups."""
    own = {os.getegid(), *os.getgroups()}
    try:
        found = grp.getgrnam(name).gr_gid
    except KeyError:
        raise RunError(f"group is {name!r}, which does not exist; allowed: {_names(own)}") from None
    if found not in own:
        raise RunError(f"group is {name!r}, which you are not in; allowed: {_names(own)}")
    return found


def _names(numbers: set[int]) -> str:
    names = []
    for number in sorted(numbers):
        try:
            names.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue  # of a group without a name nobody could speak
    return ", ".join(names) or "none, you are in no group that has a name"


def share(run: Run, name: str) -> None:
    """Open a run's folder to a group, with all that is in it but the private logs.

    Raises RunError for a group that cannot be, or for files of somebody else that are not shared.
    """
    number = group_id(name)
    for folder, folders, names in os.walk(run.path):
        _open(Path(folder), number, _FOLDER)
        folders[:] = [inner for inner in folders if not is_private(inner)]
        for inner in names:
            _open(Path(folder) / inner, number, _FILE)


def is_private(name: str) -> bool:
    """Whether a folder of a run is its user's alone: pickles of jobs are in there."""
    return name == "logs" or name.startswith("logs-")


def _open(path: Path, group: int, mode: int) -> None:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return
    wanted = stat.S_IMODE(found.st_mode) & ~0o007 | mode
    if (found.st_gid, stat.S_IMODE(found.st_mode)) == (group, wanted):
        return
    if found.st_uid != os.geteuid() and os.geteuid() != 0:
        owner = found.st_uid
        try:
            told = pwd.getpwuid(owner).pw_name
        except KeyError:
            told = str(owner)
        if found.st_gid == group and found.st_mode & 0o060 == 0o060:
            return
        raise RunError(f"{path} belongs to {told} and is not shared; {told} can share the run")
    os.chown(path, -1, group, follow_symlinks=False)
    path.chmod(wanted)  # after chown, which may clear setgid


def is_shared(path: Path) -> bool:
    """Whether a run's folder is open to its group."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_ISGID and mode & stat.S_IWGRP)


def adopt(run: Run) -> None:
    """Have this process write for the group, if the run is shared."""
    if is_shared(run.path):
        os.umask(UMASK)
