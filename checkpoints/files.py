"""Files that are either whole or not there: written aside, synced, then renamed into place."""

import contextlib
import errno
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

# Temporary names start with this, so that a crash leaves nothing that a reader would mistake for
# data, and `remove_leftovers` knows what to clear.
ASIDE = ".aside-"
_GONE = f"{ASIDE}gone-"
_LEFTOVER_S = 60.0
_PORTION = 1 << 16  # bytes that are read at once
_lasting: list[Path] = []


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable (a rename is only as durable as its parent)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def lasting(folder: Path) -> Iterator[None]:
    """Until the block ends, `folder` is not made anew if it vanishes: it was removed, or moved."""
    _lasting.append(folder)
    try:
        yield
    finally:
        _lasting.remove(folder)


def make_folder(folder: Path) -> None:
    """Make a folder that may be there already, its parents too, each durable in its own parent.

    Raises FileNotFoundError if a `lasting` folder among them is gone.
    """
    if folder.is_dir():
        return
    if folder in _lasting:
        raise FileNotFoundError(errno.ENOENT, "removed or moved meanwhile", str(folder))
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    with contextlib.suppress(PermissionError):  # one may write to some folders and not read them
        sync_folder(folder.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder so that no crash leaves a part of it under its name; if it is there."""
    aside = folder.with_name(f"{_GONE}{uuid.uuid4().hex}")
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    sync_folder(folder.parent)  # or else its name might come back, with what is left of it
    shutil.rmtree(aside, ignore_errors=True)


def write_new(path: Path, data: bytes | memoryview, sync: bool = True) -> None:
    """Write a file that nobody looks at yet. A failed write leaves no file behind."""
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            if sync:
                os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        raise


@contextlib.contextmanager
def written_aside(path: Path, data: bytes | memoryview, sync: bool = True) -> Iterator[Path]:
    """A temporary sibling of `path` that holds `data`, for the caller to move into place."""
    make_folder(path.parent)
    aside = path.with_name(f"{ASIDE}{uuid.uuid4().hex}")
    write_new(aside, data, sync)
    try:
        yield aside
    finally:
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()


@contextlib.contextmanager
def made_aside(path: Path) -> Iterator[Path]:
    """A name for the caller to write a file under, which takes the place of `path` at the end.

    For what is too large to be built in memory. If the body raises, nothing is left.
    """
    make_folder(path.parent)
    aside = path.with_name(f"{ASIDE}{uuid.uuid4().hex}")
    try:
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()


def write_bytes(path: Path, data: bytes | memoryview, sync: bool = True) -> None:
    """Replace `path` by `data` in one step.

    With `sync` it is on the disk when this returns; without, only other processes see it at once.
    Raises OSError (a full disk, a read-only folder), and then `path` is what it was before.
    """
    _put(path, data, sync, lambda aside: aside.replace(path))


def create_bytes(path: Path, data: bytes) -> None:
    """Write `path` in one step. Raises FileExistsError if it is there: one caller wins."""

    def claim(aside: Path) -> None:
        try:
            os.link(aside, path)  # unlike rename, refuses an existing name; not O_EXCL: never empty
        except FileExistsError:
            if aside.stat().st_nlink < 2:  # 2: done; only the file server's first answer was lost
                raise

    _put(path, data, True, claim)


def _put(
    path: Path, data: bytes | memoryview, sync: bool, into_place: Callable[[Path], object]
) -> None:
    """Write aside, and anew if that is gone by then.

    Its age is told by a clock: somebody whose clock is ahead may have cleared it away.
    """
    for is_last in (False, True):
        try:
            with written_aside(path, data, sync) as aside:
                into_place(aside)
            break
        except FileNotFoundError:
            if is_last:
                raise
    if sync:
        sync_folder(path.parent)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes `path` in one step when the block ends without error.

    Raises FileExistsError if `path` is there already, unless it is an empty folder.
    """
    make_folder(path.parent)
    aside = path.with_name(f"{ASIDE}{uuid.uuid4().hex}")
    aside.mkdir()
    try:
        yield aside
        sync_folder(aside)
        try:
            aside.rename(path)  # refuses a folder that holds anything
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            raise FileExistsError(f"{path} is there already") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    sync_folder(path.parent)


def to_json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def write_json(path: Path, value: Any, sync: bool = True) -> None:
    write_bytes(path, to_json(value), sync)


def read_json(path: Path) -> Any:
    """What a file says. Raises ValueError for one that is damaged, OSError as opening it does.

    By msgspec and bare system calls, since thousands of small ones are read for one answer.
    """
    content = _content(path)
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:  # NaN and Infinity, which Python writes and JSON does not have
        return json.loads(content.decode())


def _content(path: Path) -> bytes:
    descriptor, parts = os.open(path, os.O_RDONLY | os.O_CLOEXEC), []
    try:
        while part := os.read(descriptor, _PORTION):
            parts.append(part)
    finally:
        os.close(descriptor)
    return b"".join(parts)


def remove_leftovers(folder: Path) -> None:
    """Remove what a crash left half-written or half-removed in `folder`, not below it.

    A file younger than a minute may be some other process's, at work.
    """
    for path in folder.glob(f"{_GONE}*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(f"{ASIDE}*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and time.time() - path.stat().st_mtime > _LEFTOVER_S:
                path.unlink()
