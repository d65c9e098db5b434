"""What a process did to a folder, as strace saw it.

Hooks in Python see nothing of what torch and HDF5 write from C; system calls leave nothing out.
What cannot be replayed (a file mapped for writing, data moved inside the kernel) is refused.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MARK = b"done: "  # begins what a scenario writes to /dev/null to say how far it has come
_LONGEST = 1 << 26  # bytes of a write; a longer one is refused
_FOLLOWED = (
    "open", "openat", "creat", "close", "dup", "dup2", "dup3", "fcntl", "lseek", "read", "readv",
    "write", "pwrite64", "writev", "pwritev", "ftruncate", "truncate", "rename", "renameat",
    "renameat2", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "link", "linkat", "fsync",
    "fdatasync", "clone", "clone3", "fork", "vfork", "chdir", "fchdir",
)  # fmt: skip
_REFUSED = (
    "mmap", "copy_file_range", "sendfile", "splice", "fallocate", "symlink", "symlinkat",
    "pwritev2", "io_uring_setup",
)  # fmt: skip
_LINE = re.compile(r"(\d+) +(.*)")
_RETURNED = re.compile(r"(\w+)\((.*)\) += (\d+|0x[0-9a-f]+)(?:<(.*?)>)?(?: .*|\(.*)?")
_HEX = r"(?:\\x[0-9a-f]{2})*"
# Among the arguments of a call: a descriptor with its path, or a string.
_PLACE = re.compile(rf'(?P<fd>\d+|AT_FDCWD)<(?P<at>{_HEX})>|"(?P<text>{_HEX})"(?P<cut>\.\.\.)?')
_FLAG = re.compile(r"O_[A-Z]+")
_CHANGING = {"O_CREAT", "O_TRUNC"}
_OPENING = _CHANGING | {"O_APPEND"}
_FORKS = ("clone", "clone3", "fork", "vfork")
_WRITES = ("write", "pwrite64", "writev", "pwritev")
_KINDS = {
    "ftruncate": "truncate", "renameat": "rename", "renameat2": "rename", "mkdirat": "mkdir",
    "linkat": "link", "fsync": "sync", "fdatasync": "sync",
}  # fmt: skip


class Unseen(Exception):
    """Something was done to the folder that cannot be replayed; the message says what."""


@dataclass(frozen=True)
class Operation:
    """One call that succeeded. Paths are relative to the folder; "." is the folder itself."""

    kind: str  # open, write, truncate, rename, link, unlink, rmdir, mkdir, sync; or mark
    path: str
    other: str = ""  # the second path of rename and link; the flags of open; the text of a mark
    data: bytes = b""
    offset: int | None = 0  # where a write begins, None: at the end; the size after truncate

    def __str__(self) -> str:
        where = "the end" if self.offset is None else self.offset
        more = f"({len(self.data)} bytes at {where})" if self.kind == "write" else self.other
        return f"{self.kind} {self.path} {more}".rstrip()


def available() -> bool:
    return shutil.which("strace") is not None


def record(command: Sequence[str], folder: Path, log: Path) -> list[Operation]:
    """Run a command, and return all that it and its children did in `folder`, in order.

    What they write to /dev/null after MARK stands among the operations as marks. Raises Unseen, and
    RuntimeError if the command fails.
    """
    strace = [
        "strace", "--follow-forks", "--seccomp-bpf", "--decode-fds=path", "-xx",
        f"--string-limit={_LONGEST}", f"--output={log}", "--raw=read,readv",
        f"--trace={','.join(f'?{name}' for name in (*_FOLLOWED, *_REFUSED))}", "--",
    ]  # fmt: skip
    done = subprocess.run([*strace, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
    with log.open() as lines:
        return list(_Reader(str(folder.resolve())).read(lines))


@dataclass(frozen=True)
class _Call:
    name: str
    arguments: str
    result: int
    made: str  # the path of the descriptor that it returned

    def places(self) -> list[re.Match[str]]:
        return list(_PLACE.finditer(self.arguments))

    def paths(self, cwd: str = "/") -> list[str]:
        """Those that are named: strings below the folder before them, or descriptors alone."""
        found, base = [], cwd
        places = self.places()
        for place in places:
            if place["fd"]:
                base = _plain(place["at"])
            else:
                found.append(os.path.normpath(Path(base, _plain(place["text"]))))
        return found or [base]

    @property
    def descriptor(self) -> int:
        return int(self.arguments.split("<")[0].split(",")[0], 0)


def _plain(text: str) -> str:
    return os.fsdecode(bytes.fromhex(text.replace("\\x", "")))


@dataclass
class _Open:
    """An open file: descriptors that were duplicated or inherited share its place."""

    offset: int = 0
    appends: bool = False


@dataclass
class _Process:
    """What its threads share."""

    cwd: str
    files: dict[int, _Open] = field(default_factory=dict)

    def file(self, descriptor: int) -> _Open:
        return self.files.setdefault(descriptor, _Open())


class _Reader:
    """Follows every descriptor, since a write alone does not say where in the file it goes."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.processes: dict[str, _Process] = {}  # by thread
        self.begun: dict[str, str] = {}  # calls that have not returned, by thread

    def read(self, lines: Iterable[str]) -> Iterator[Operation]:
        for line in lines:
            match = _LINE.match(line.rstrip())
            if not match:
                continue
            thread, text = match[1], match[2]
            if text.endswith("<unfinished ...>"):
                self.begun[thread] = text.removesuffix("<unfinished ...>")
                continue
            if text.startswith("<... "):
                text = self.begun.pop(thread, "") + text.partition(" resumed>")[2]
            if done := _RETURNED.fullmatch(text):
                call = _Call(done[1], done[2], int(done[3], 0), _plain(done[4] or ""))
                yield from self._follow(self._process(thread), call)

    def _process(self, thread: str) -> _Process:
        """That of a thread. A thread may be seen before the call that made it returns."""
        if thread not in self.processes:
            making = (item for item in self.begun.items() if item[1].startswith(_FORKS))
            *_, (maker, text) = [("", ""), *making]
            self._make(thread, self.processes.get(maker, _Process(str(Path.cwd()))), text)
        return self.processes[thread]

    def _make(self, thread: str, maker: _Process, call: str) -> None:
        copied = _Process(maker.cwd, dict(maker.files))
        self.processes.setdefault(thread, maker if "CLONE_FILES" in call else copied)

    def _follow(self, process: _Process, call: _Call) -> Iterator[Operation]:
        if call.name in _FORKS:
            self._make(str(call.result), process, call.arguments)
        elif call.name in ("read", "readv"):
            process.file(call.descriptor).offset += call.result
        elif call.name in ("open", "openat", "creat"):
            flags = set(_FLAG.findall(call.arguments)) & _OPENING
            flags |= {"O_CREAT", "O_TRUNC"} if call.name == "creat" else set()
            process.files[call.result] = _Open(appends="O_APPEND" in flags)
            if flags & _CHANGING:
                yield from self._inside("open", [call.made], other=" ".join(sorted(flags)))
        elif call.name in ("dup", "dup2", "dup3") or "F_DUPFD" in call.arguments:
            process.files[call.result] = process.file(call.descriptor)
        elif call.name == "close":
            process.files.pop(call.descriptor, None)
        elif call.name == "lseek":
            process.file(call.descriptor).offset = call.result
        elif call.name in _WRITES:
            yield from self._written(process.file(call.descriptor), call)
        elif call.name in _REFUSED:
            self._refuse(call, process.cwd)
        elif call.name in ("chdir", "fchdir"):
            process.cwd = call.paths(process.cwd)[0]
        elif call.name != "fcntl":
            yield from self._changed(call, process.cwd)

    def _written(self, file: _Open, call: _Call) -> Iterator[Operation]:
        places = call.places()
        data = b"".join(_bytes(place) for place in places if not place["fd"])[: call.result]
        offset: int | None = file.offset
        if call.name.startswith("p"):
            offset = int(call.arguments.rsplit(",", 1)[1])
        else:
            file.offset += call.result
            offset = None if file.appends else offset
        path = _plain(places[0]["at"])
        if path == os.devnull and data.startswith(MARK):
            yield Operation("mark", "", data.removeprefix(MARK).decode())
        yield from self._inside("write", [path], data=data, offset=offset)

    def _changed(self, call: _Call, cwd: str) -> Iterator[Operation]:
        kind = _KINDS.get(call.name, call.name)
        kind = "rmdir" if kind == "unlinkat" and "AT_REMOVEDIR" in call.arguments else kind
        size = int(call.arguments.rsplit(",", 1)[1]) if kind == "truncate" else 0
        yield from self._inside(kind.removesuffix("at"), call.paths(cwd), offset=size)

    def _inside(
        self, kind: str, paths: Sequence[str], other: str = "", **more: Any
    ) -> Iterator[Operation]:
        found = [self._relative(path) for path in paths]
        if all(path is None for path in found):
            return
        if None in found:
            raise Unseen(f"{kind} {' '.join(paths)} goes from or to a place outside {self.folder}")
        first, *second = [path for path in found if path is not None]
        yield Operation(kind, first, second[0] if second else other, **more)

    def _relative(self, path: str) -> str | None:
        """None outside the folder, and for a file that has no name any more."""
        if path != self.folder and not path.startswith(f"{self.folder}/"):
            return None
        return os.path.relpath(path, self.folder)

    def _refuse(self, call: _Call, cwd: str) -> None:
        inside = any(self._relative(path) is not None for path in call.paths(cwd))
        writable = "MAP_SHARED" in call.arguments and "PROT_WRITE" in call.arguments
        if inside and (writable or call.name != "mmap"):
            raise Unseen(f"{call.name} of {call.paths(cwd)[0]} cannot be followed")


def _bytes(place: re.Match[str]) -> bytes:
    if place["cut"]:
        raise Unseen(f"a write of more than {_LONGEST} bytes")
    return bytes.fromhex(place["text"].replace("\\x", ""))
