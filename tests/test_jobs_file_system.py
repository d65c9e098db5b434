import errno
import os
import threading
from pathlib import Path

import pytest

from jobs import file_system
from slurm.findings import Verdict


def test_all_is_tried_and_nothing_is_left(tmp_path: Path) -> None:
    rows = {row.name: row for row in file_system.examine(tmp_path / "runs")}
    assert list(rows) == ["run folder", "rename", "hard links", "fsync", "locks"]
    assert rows["rename"].value.endswith(" 0 of them torn")
    assert rows["hard links"].value == "1 of 8 rivals got the name"
    assert not [name for name, row in rows.items() if row.verdict == Verdict.FAILS]
    assert not list(tmp_path.iterdir())


def test_a_link_that_takes_an_existing_name_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "link", os.replace)
    rows = {row.name: row for row in file_system.examine(tmp_path)}
    assert rows["hard links"].verdict == Verdict.FAILS
    assert "8 of 8 rivals" in rows["hard links"].value


def test_a_replacement_that_a_reader_can_see_half_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looked, read_bytes = threading.Event(), Path.read_bytes

    def empty(source: Path, target: Path) -> Path:
        target.write_bytes(b"")
        looked.clear()
        looked.wait(0.1)
        return target

    def look(path: Path) -> bytes:
        data = read_bytes(path)
        looked.set()
        return data

    monkeypatch.setattr(Path, "replace", empty)
    monkeypatch.setattr(Path, "read_bytes", look)
    rows = {row.name: row for row in file_system.examine(tmp_path)}
    assert rows["rename"].verdict == Verdict.FAILS
    assert " 0 of them torn" not in rows["rename"].value


def test_a_folder_that_cannot_be_synced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    row = {row.name: row for row in file_system.examine(tmp_path)}["fsync"]
    assert (row.verdict, row.value) == (Verdict.FAILS, "fails: Invalid argument")


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ("import sys; sys.exit('OSError: No locks available')", "OSError: No locks available"),
        ("import time; time.sleep(60)", "no answer within 0 s"),
    ],
)
def test_locks_that_do_not_work_are_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, value: str
) -> None:
    monkeypatch.setattr(file_system, "_LOCKS", program)
    monkeypatch.setattr(file_system, "_LOCKS_S", 0.3)
    row = {row.name: row for row in file_system.examine(tmp_path)}["locks"]
    assert (row.verdict, row.value) == (Verdict.MIND, f"do not work: {value}")
    assert "HDF5_USE_FILE_LOCKING" in row.meaning
