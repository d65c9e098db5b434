"""Many runs, looked at by one process or by several."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.status import Bench
from jobs.overview import Overview
from jobs.run import list_runs

_RUNS = 20


@pytest.fixture
def overview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Overview:
    """Portions so small that other processes get some."""
    bench = Bench(tmp_path)
    bench.make(_RUNS)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2})
    runs = tmp_path / "runs"
    return Overview(list_runs(runs), runs, few=3, portion=4)


def test_several_processes_see_what_one_sees_and_ask_once(overview: Overview) -> None:
    seen = overview()
    calls = overview.runs.parent / "calls"
    assert len(calls.read_text().splitlines()) == 1
    assert len(seen.rows) == 2 * _RUNS
    assert seen.problems == []
    assert seen == replace(overview, few=_RUNS)()


def test_an_unreadable_run_hides_no_other_in_whichever_process(overview: Overview) -> None:
    broken = [overview.chosen[number] for number in (1, 9, _RUNS - 1)]
    for run in broken:
        run.config_file.write_text("{")
    seen = overview()
    assert len(seen.rows) == 2 * (_RUNS - len(broken))
    assert [line.split()[0] for line in seen.problems] == [str(r.config_file) for r in broken]


def test_what_left_the_queue_is_written_down_by_other_processes_too(overview: Overview) -> None:
    first = [row.state for row in overview().rows]
    records = sorted(overview.runs.glob("failed-*/submissions/report-0001.json"))
    assert len(records) == 2
    assert all('"left": "CANCELLED"' in path.read_text() for path in records)
    assert [row.state for row in overview().rows] == first
