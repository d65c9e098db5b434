"""Every folder that a machine may leave when it dies in the middle, one after the other.

Before each operation of a recording, and after the last: as a killed process leaves the folder,
with the write that was under way torn in its middle, and as a power loss may leave it (`Disk`).
Folders that are alike are judged once.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.crashes import disk
from benchmarks.crashes.disk import Disk, Tree
from benchmarks.crashes.operations import Operation, Unseen


@dataclass(frozen=True)
class Crash:
    """A folder that may be found."""

    place: int  # how many operations were done
    during: str  # the operation under way
    lost: str  # what was lost beside it; "" if the process was killed and the machine lived
    tree: Tree
    done: tuple[str, ...]  # the marks before it

    @property
    def key(self) -> str:
        """The same for crashes of which the same is expected."""
        digest = hashlib.sha256("\0".join(self.done).encode())
        for path, data in self.tree.items():
            digest.update(f"\0{path}\0{'folder' if data is None else len(data)}\0".encode())
            digest.update(data or b"")
        return digest.hexdigest()

    def __str__(self) -> str:
        lost = f"; lost: {self.lost}" if self.lost else ""
        return f"crash at operation {self.place} ({self.during}{lost})"


@dataclass(frozen=True)
class Failure:
    crash: Crash
    problem: str

    def __str__(self) -> str:
        return f"{self.crash}: {self.problem}"


@dataclass(frozen=True)
class Explored:
    operations: int
    crashes: int  # with those that left the same folder as another
    folders: int  # that were judged
    failures: tuple[Failure, ...]


def crashes(operations: Sequence[Operation]) -> Iterator[Crash]:
    """All of them, in the order of the operations."""
    device, done = Disk(), ()
    for place, operation in enumerate(operations):
        for lost, tree in _around(device, operation):
            yield Crash(place, str(operation), lost, tree, done)
        device.apply(operation)
        if operation.kind == "mark":
            done = (*done, operation.other)
    yield Crash(len(operations), "the end", "", device.whole(), done)
    for lost, tree in device.after_power_loss():
        yield Crash(len(operations), "the end", lost, tree, done)


def _around(device: Disk, operation: Operation) -> Iterator[tuple[str, Tree]]:
    """What may be found instead of the state after `operation`."""
    yield "", device.whole()
    yield from device.after_power_loss()
    if operation.kind == "write" and len(operation.data) > 1:
        torn = device.copy()
        torn.apply(replace(operation, data=operation.data[: len(operation.data) // 2]))
        yield "half of the write", torn.whole()
        for lost, tree in torn.after_power_loss():
            yield f"half of the write, {lost}", tree


def check(operations: Sequence[Operation], folder: Path) -> None:
    """Make sure that the recording is all that happened: replayed, it is the real folder, byte for
    byte. Raises Unseen."""
    device = Disk()
    for operation in operations:
        device.apply(operation)
    replayed, real = dict(sorted(device.whole().items())), disk.read(folder)
    wrong = [path for path in {**replayed, **real} if replayed.get(path, 0) != real.get(path, 0)]
    if wrong:
        raise Unseen(f"replayed, {len(wrong)} paths differ from the real folder: {wrong[:5]}")


def explore(
    operations: Sequence[Operation],
    judge: Callable[[Iterable[Crash]], Iterable[tuple[Crash, str]]],
    every: int = 1,
) -> Explored:
    """Judge each folder once; `judge` gives every crash back with what is wrong with it, or "".

    With `every` above 1 only so many of the folders are judged, evenly spread.
    """
    seen: set[str] = set()
    total = itertools.count()

    def fresh() -> Iterator[Crash]:
        for crash in crashes(operations):
            next(total)
            if crash.key not in seen:
                seen.add(crash.key)
                if len(seen) % every == 0:
                    yield crash

    judged = 0
    failures = []
    for crash, problem in judge(fresh()):
        judged += 1
        if problem:
            failures.append(Failure(crash, problem))
    return Explored(len(operations), next(total), judged, tuple(failures))
