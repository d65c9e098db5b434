"""Status over many runs, made as `benchmarks.status` makes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.status import KINDS, Bench, make_template
from jobs import records, status
from jobs.answers import Queue
from jobs.records import Attempt, Cause
from jobs.run import list_runs


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench(tmp_path)
    made.make(20)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return made


def test_all_runs_together_ask_the_scheduler_once(bench: Bench) -> None:
    runs = bench.folder / "runs"
    queued = Queue()
    rows = [row for run in list_runs(runs) for row in status.run_status(run, runs, queued)]
    assert bench.calls() == 1
    found: dict[str, set[tuple[str, str, int | None]]] = {}
    for row in rows:
        kind = row.run.partition("-")[0]
        found.setdefault(kind, set()).add((row.stage, row.state, row.step))
    assert found == {
        "finished": {("train", "finished", 660), ("report", "finished", None)},
        "running": {("train", "running", 330), ("report", "queued", None)},
        "queued": {("train", "queued", 0), ("report", "queued", None)},
        "again": {("train", "queued", 230), ("report", "queued", None)},
        "failed": {("train", "failed", 42), ("report", "cancelled", None)},
    }
    assert len({(row.run, row.stage) for row in rows}) == len(rows) == 40
    assert len({row.job_id for row in rows}) == 40


def test_command_asks_once_and_not_at_all_without_open_jobs(bench: Bench) -> None:
    _, printed = bench.status("runs")
    assert len(printed.splitlines()) == 41
    assert bench.calls() == 1
    bench.status("none")
    assert bench.calls() == 1


def test_stage_that_finishes_during_the_look_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its attempt without an end nor its attempt's end without a record is seen alone."""
    running = next(kind for kind in KINDS if kind.name == "running")
    run = make_template(running, tmp_path / "run")
    finish: list[Callable[[], None]] = [
        lambda: records.complete(run, "train", [], {"steps": 660}),
        lambda: Attempt(run, "train", 1).end(Cause.FINISHED),
    ]

    def finishing_after(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            found = function(*arguments)
            while finish:
                finish.pop(0)()
            return found

        return call

    monkeypatch.setattr(records, "completion", finishing_after(records.completion))
    monkeypatch.setattr(status._Known, "of", finishing_after(status._Known.of))
    assert status.run_status(run, tmp_path)[0].state == "finished"
    assert not finish
