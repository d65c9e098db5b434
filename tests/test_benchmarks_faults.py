"""Disks that fail: a run ends with its cause, loses nothing, and goes on to the same bits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import faults
from benchmarks.crashes.__main__ import scratch
from benchmarks.faults import CALLS, UNREACHED, End, Fault
from jobs.records import Attempt, Cause
from jobs.run import Run

pytestmark = pytest.mark.skipif(not faults.available(), reason="there is no strace here")


@pytest.fixture(scope="module")
def reference() -> Iterator[Run]:
    with scratch() as folder:
        yield faults.reference_run(folder)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("write", "EIO", 2),  # of the thread that saves: a checkpoint's manifest
        Fault("fsync", "EDQUOT", 3),
        Fault("fsync", "EIO", 20),
        Fault("rename", "EIO", 2),
        Fault("rename", "EROFS", 6, lasting=True),
        Fault("link", "EIO", 1),
        Fault("mkdir", "ENOSPC", 3, lasting=True),
        Fault("unlink", "EIO", 4),
    ],
    ids=str,
)
def test_a_call_that_fails_loses_nothing_and_changes_no_bit(
    fault: Fault, reference: Run, tmp_path: Path
) -> None:
    assert faults.problem(fault, tmp_path, reference) == ""


def test_every_kind_of_place_is_known(reference: Run, tmp_path: Path) -> None:
    counts, end = faults.places(faults.prepare(tmp_path / "runs"), tmp_path / "log")
    assert end.status == 0, end.said
    assert counts.keys() == set(CALLS)
    assert min(counts.values()) >= 2  # a claim for each of the two stages
    assert min(counts["write"], counts["fsync"], counts["rename"]) > 20
    beyond = Fault("link", "EIO", 1000)
    assert faults.problem(beyond, tmp_path, reference) == UNREACHED


def test_an_end_that_nothing_explains_is_found_out(tmp_path: Path) -> None:
    """A test of the test."""
    run, fault = Run(tmp_path), Fault("fsync", "EIO", 1)
    attempt = Attempt.begin(run, "train")
    assert "nothing says why" in faults._untold(run, fault, End(1, "something went wrong", ""))
    assert "status 0, unfinished" in faults._untold(run, fault, End(0, "", ""))
    assert faults._untold(run, fault, End(1, "OSError: Input/output error", "")) == ""
    attempt.end(Cause.CRASHED)
    assert faults._untold(run, fault, End(1, "", "")) == ""
