"""No crash, at any moment, loses what was committed: every one of them is tried."""

import functools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from benchmarks.crashes import __main__ as crashes
from benchmarks.crashes import disk, explorer, operations, scenario_store
from benchmarks.crashes.broken import STORES
from benchmarks.crashes.disk import Disk
from benchmarks.crashes.explorer import Crash
from benchmarks.crashes.operations import Operation, Unseen


@pytest.fixture
def scratch() -> Iterator[Path]:
    with crashes.scratch() as folder:
        yield folder


traced = pytest.mark.skipif(not operations.available(), reason="there is no strace here")


def recorded(tmp_path: Path, code: str) -> tuple[list[Operation], Path]:
    """What a Python program does in a folder, whose name it is given."""
    root = tmp_path / "root"
    root.mkdir()
    command = [sys.executable, "-c", code, str(root)]
    return operations.record(command, root, tmp_path / "log"), root


@traced
def test_no_crash_loses_what_was_committed(scratch: Path) -> None:
    """Five checkpoints with pruning, snapshots, their packing, and records: all crash points."""
    found = crashes.explore_store(scratch)
    assert found.failures == ()
    assert found.crashes > 1000
    assert found.folders > 300


@traced
@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("RenamesFirst", "is good"),
        ("ManifestFirst", "is good"),
        ("PrunesInPlace", "manifest.json is missing"),
        ("PrunesEarly", "the latest good checkpoint is 0, committed was 1"),
    ],
)
def test_a_broken_store_is_found_out(scratch: Path, name: str, problem: str) -> None:
    root = scratch / "root"
    root.mkdir()
    command = [sys.executable, "-m", "benchmarks.crashes.scenario_store", str(root), name]
    done = operations.record(command, root, scratch / "log")

    def judge(found: Iterable[Crash]) -> Iterator[tuple[Crash, str]]:
        """Up to the first failure."""
        for crash, wrong in crashes.judged(scratch, scenario_store.problem, 1, found):
            yield crash, wrong
            if wrong:
                return

    (failure,) = explorer.explore(done, judge).failures
    assert problem in failure.problem
    assert set(STORES) == {"good", "RenamesFirst", "ManifestFirst", "PrunesInPlace", "PrunesEarly"}


@traced
def test_what_was_seen_is_all_that_happened(tmp_path: Path) -> None:
    """Appending, seeking, other descriptors of a file, threads, children, renames of open files."""
    done, root = recorded(
        tmp_path,
        """
import os, subprocess, sys, threading
from pathlib import Path
root = Path(sys.argv[1])
(root / "a" / "b").mkdir(parents=True)
with (root / "a" / "first").open("wb") as file:
    file.write(b"0123456789"); file.flush()
    file.seek(2); file.write(b"xx"); file.flush(); os.fsync(file.fileno())
    copy = os.dup(file.fileno()); os.write(copy, b"yy"); os.close(copy)
    (root / "a" / "first").rename(root / "second")
    file.write(b"!"); file.truncate(8)
    os.writev(file.fileno(), [b"v", b"w"])
with (root / "log").open("ab") as file: file.write(b"one,")
with (root / "log").open("ab") as file: file.write(b"two,")
thread = threading.Thread(target=(root / "thread").write_bytes, args=(b"t" * 5000,))
thread.start(); thread.join()
subprocess.run(["sh", "-c", "echo child >> log; mv thread moved; rmdir a/b"], cwd=root, check=True)
os.link(root / "second", root / "third")
with (root / "third").open("r+b") as file: os.pwrite(file.fileno(), b"Z", 1)
(root / "log").open("rb").read()
os.unlink(root / "second")
""",
    )
    explorer.check(done, root)
    assert (root / "third").read_bytes() == b"0Zxxyy!vw"
    assert {"open", "write", "rename", "link", "unlink", "rmdir", "mkdir", "sync", "truncate"} == {
        operation.kind for operation in done
    }
    for missing in [n for n, operation in enumerate(done) if operation.kind == "write"]:
        with pytest.raises(Unseen, match=r"differ from the real folder|nothing was seen"):
            explorer.check([*done[:missing], *done[missing + 1 :]], root)


@traced
def test_what_cannot_be_replayed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unseen, match=r"mmap of .*mapped cannot be followed"):
        recorded(
            tmp_path,
            """
import mmap, sys
with open(sys.argv[1] + "/mapped", "w+b") as file:
    file.write(b"0" * 4096); file.flush()
    mmap.mmap(file.fileno(), 4096)[:2] = b"11"
""",
        )


def test_what_a_power_loss_may_leave() -> None:
    """A file that is written aside, synced or not, and renamed over another."""
    device = Disk()
    for step in (
        Operation("open", "old", "O_CREAT"),
        Operation("write", "old", data=b"old"),
        Operation("sync", "old"),
        Operation("sync", "."),
        Operation("open", "aside", "O_CREAT"),
        Operation("write", "aside", data=b"new!"),
        Operation("rename", "aside", "old"),
    ):
        device.apply(step)
    assert device.whole() == {"old": b"new!"}
    found = [tree for _, tree in device.after_power_loss()]
    assert found == [
        {"old": b"old"},  # the rename is lost with all the rest
        {"old": b""},  # the rename is there, its contents are not
        {"old": b"\0\0\0\0"},
        {"old": b"old"},  # the contents would be there, but not under any name
    ]
    device.apply(Operation("sync", "old"))
    assert [tree for _, tree in device.after_power_loss()] == [{"old": b"old"}] * 2
    device.apply(Operation("sync", "."))
    assert list(device.after_power_loss()) == []


def test_every_crash_has_its_place(tmp_path: Path) -> None:
    steps = [
        Operation("open", "file", "O_CREAT"),
        Operation("write", "file", data=b"abcd"),
        Operation("mark", "", "written"),
    ]
    found = list(explorer.crashes(steps))
    killed = [(crash.place, crash.tree, crash.done) for crash in found if not crash.lost]
    assert killed == [
        (0, {}, ()),
        (1, {"file": b""}, ()),
        (2, {"file": b"abcd"}, ()),
        (3, {"file": b"abcd"}, ("written",)),
    ]
    assert [crash.tree for crash in found if crash.lost == "half of the write"] == [{"file": b"ab"}]
    made = tmp_path / "made"
    disk.write(killed[2][1], made)
    assert disk.read(made) == {"file": b"abcd"}

    def problem(folder: Path, marks: tuple[str, ...]) -> str:
        return "wrong" * len(marks)

    judge = functools.partial(crashes.judged, tmp_path, problem, 1)
    explored = explorer.explore(steps, judge)
    assert (explored.operations, explored.crashes) == (3, len(found))
    assert explored.folders == len({crash.key for crash in found})
    assert {failure.crash.done for failure in explored.failures} == {("written",)}
