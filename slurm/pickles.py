"""Pickles of jobs: loading one runs whatever is in it, so only the user's own are loaded.

A job's pickle is written with mode 600 into a folder of mode 700; anything else is refused before
a byte of it is looked at. Folder and file are opened once and judged by what was opened, so that
nothing can be put in their place in between.
"""

import contextlib
import os
import pickle
import stat
from pathlib import Path
from typing import Any

from submitit.core import utils

from slurm.errors import SchedulerError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_folder(folder: Path) -> Path:
    """`folder` itself, there and private: one of this user's is closed to all others.

    Raises SchedulerError if it is somebody else's.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(opened)
        if found.st_uid == os.geteuid() and found.st_mode & _OTHERS:
            os.fchmod(opened, stat.S_IMODE(found.st_mode) & ~_OTHERS)
        _require_private(folder, os.fstat(opened), "a folder")
    finally:
        os.close(opened)
    return folder


def dump(value: Any, path: Path) -> None:
    """Write a pickle that only this user may read; a file that was there before is removed."""
    path.unlink(missing_ok=True)
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(opened, "wb") as file:
        utils.cloudpickle.dump(value, file, pickle.HIGHEST_PROTOCOL)


def load(path: Path | str) -> Any:
    """What is in a pickle. Raises SchedulerError if anybody else could have written it."""
    real = Path(path).resolve()  # a job's own is a link to the one of its submission
    with _opened(real) as file:
        return pickle.load(file)


def require_private(path: Path) -> None:
    """Raise SchedulerError if anybody else could have written a file that is about to be run."""
    try:
        with _opened(path.resolve()):
            pass
    except OSError as error:
        raise SchedulerError(f"{path} cannot be used: {error}") from None


@contextlib.contextmanager
def _opened(path: Path) -> Any:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _require_private(path.parent, os.fstat(folder), "a folder")
        opened = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    finally:
        os.close(folder)
    with os.fdopen(opened, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise SchedulerError(f"{path} is not loaded; allowed: a plain file")
        _require_private(path, found, "a file")
        yield file


def _require_private(path: Path, found: os.stat_result, what: str) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid() or mode & _OTHERS:
        raise SchedulerError(
            f"{path} is not used, since what is in it would run as you: it belongs to user "
            f"{found.st_uid} and has mode {mode:03o}; allowed: {what} of yours "
            f"({os.geteuid()}) that no one else may read or write"
        )
