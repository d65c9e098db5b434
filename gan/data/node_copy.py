"""Copies of a packed set on the storage of a node, one for all its processes and later jobs."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from checkpoints import files
from gan.data.images import DataError

_KEEP_FREE = 1 << 20  # bytes, for folders and notes


def fetch(source: Path, folder: str, digest: str, verify: Callable[[Path, str], None]) -> Path:
    """The copy of `source` in `folder`, made if it is not there; variables are looked up here.

    Its name has the SHA-256 of the contents in it, so that it is never taken for another's.
    `verify(path, digest)` must raise DataError for a damaged copy, which is then made anew. Raises
    DataError if it does not fit, or the folder cannot be.
    """
    target = _folder(folder) / f"{source.stem}-{digest[:16]}{source.suffix}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            if not _is_good(target, digest, verify):
                _copy(source, target)
                verify(target, digest)
    except OSError as error:
        raise DataError(
            f"{source} cannot be copied to {target.parent} (data.copy_to): {error}"
        ) from error
    return target


def _folder(given: str) -> Path:
    expanded = os.path.expandvars(given)
    if "$" in expanded:
        raise DataError(
            f"data.copy_to is {given!r}, and {expanded!r} on this node; allowed: variables that "
            "are set here"
        )
    return Path(expanded).expanduser()


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One process of the node at a time: the others find the copy made.

    A lock that the file system does not know is no obstacle; each then makes the copy, which is
    put in its place whole.
    """
    with target.with_name(f".{target.name}.lock").open("w") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_good(target: Path, digest: str, verify: Callable[[Path, str], None]) -> bool:
    if not target.is_file():
        return False
    try:
        verify(target, digest)
    except DataError:
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    needed, free = source.stat().st_size + _KEEP_FREE, shutil.disk_usage(target.parent).free
    if free < needed:
        raise DataError(
            f"{target.parent} has {free / 1e9:.3f} GB free, {source} needs {needed / 1e9:.3f}; "
            "give another folder as --data.copy-to, or none"
        )
    files.remove_leftovers(target.parent)
    with files.made_aside(target) as aside:
        shutil.copyfile(source, aside)
