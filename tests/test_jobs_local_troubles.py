"""A training process that is suspended, moved away from, copied, or started twice."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from states import assert_same_state
from trainers import products

from benchmarks.crashes.__main__ import scratch
from gan import data, recipes, scalars
from jobs import records
from jobs.run import Run
from jobs.stage import TAKE_OVER
from jobs.train import Train

_CODE = (
    "import sys; from pathlib import Path; from jobs.train import Train; Train(Path(sys.argv[1]))()"
)
_LIMIT_S = 90.0
Start = Callable[[Run], "subprocess.Popen[str]"]


def prepared(folder: Path) -> Run:
    plain = recipes.gan_digits()
    config = replace(
        plain,
        data=replace(plain.data, image_size=8),
        model=replace(plain.model, latent=8, generator_hidden=8, critic_hidden=8),
        train=replace(
            plain.train, epochs=6, passes_per_epoch=1, batch_size=64, log_every=5, grid_rows=1,
            checkpoint_minutes=1e-3,
        ),
    )  # fmt: skip
    run = Run(folder)
    run.write("gan-digits", config, data.inspect(config.data), 1)
    return run


@pytest.fixture(scope="module")
def undisturbed() -> Iterator[Run]:
    with scratch() as folder:
        run = prepared(folder / "run")
        assert Train(run.path)() == "finished"
        yield run


@pytest.fixture
def place() -> Iterator[Path]:
    """Where a file is durable at once: the tests are about processes."""
    with scratch() as folder:
        yield folder


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts training in a process of its own, which does not outlive the test."""
    begun = []

    def begin(run: Run) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", _CODE, str(run.path)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        begun.append(process)
        return process

    yield begin
    for process in begun:
        with process:  # closes its pipe, and waits
            process.kill()


def wait_for_step(run: Run, step: int) -> None:
    end = time.monotonic() + _LIMIT_S
    while max(run.store().steps(), default=0) < step:
        assert time.monotonic() < end
        time.sleep(0.01)


def suspended(run: Run, start: Start) -> "subprocess.Popen[str]":
    """A process that stands still somewhere in its second epoch, or soon after."""
    process = start(run)
    wait_for_step(run, 25)
    process.send_signal(signal.SIGSTOP)
    while (status := os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)) is None:
        time.sleep(0.01)
    assert status.si_status == signal.SIGSTOP
    return process


def assert_equal(run: Run, other: Run) -> None:
    ends = [r.store().latest() for r in (run, other)]
    assert ends[0].step == ends[1].step == run.settings()["total_steps"]
    assert_same_state(ends[0].load(), ends[1].load())
    assert products(run.path) == products(other.path)
    mine, theirs = scalars.read(run.scalars), scalars.read(other.scalars)
    assert mine.keys() == theirs.keys()
    for tag, (steps, values) in theirs.items():
        assert steps.tolist() == mine[tag][0].tolist()
        assert (values == mine[tag][1]).all()


def checksums(run: Run) -> dict[str, str]:
    """Of all but what the first attempt alone writes, and nobody reads when it is superseded."""
    own = {run.attempt_file("train", 1), min(run.scalars.iterdir())}
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in run.path.rglob("*")
        if path.is_file() and path not in own
    }


def test_one_that_wakes_after_another_took_over_writes_nothing_any_more(
    undisturbed: Run, start: Start, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepared(place / "run")
    first = suspended(run, start)
    with pytest.raises(SystemExit) as left:  # stopped is not dead
        Train(run.path)()
    assert left.value.code == 2
    monkeypatch.setenv(TAKE_OVER, "1")
    assert Train(run.path)() == "finished"
    before = checksums(run)
    first.send_signal(signal.SIGCONT)
    told, _ = first.communicate(timeout=_LIMIT_S)
    assert first.returncode == 1
    assert "train ended: superseded: attempt 1 of train was taken over" in told
    assert records.read(run.attempt_file("train", 1))["cause"] == "superseded"
    assert records.latest(run, "train")["cause"] == "finished"
    assert checksums(run) == before
    assert_equal(run, undisturbed)


def test_a_folder_that_is_moved_while_it_trains_is_gone_on_with_where_it_is(
    undisturbed: Run, start: Start, place: Path
) -> None:
    """And not made anew, without its settings, where it was."""
    run = prepared(place / "run")
    process = start(run)
    wait_for_step(run, 25)
    moved = Run(run.path.rename(place / "elsewhere"))
    told, _ = process.communicate(timeout=_LIMIT_S)
    assert process.returncode != 0
    assert str(run.path) in told
    assert "the end could not be recorded" in told
    assert [path.name for path in place.iterdir()] == ["elsewhere"]
    assert Train(moved.path)() == "finished"
    assert records.read(moved.attempt_file("train", 1))["cause"] == "killed"
    assert_equal(moved, undisturbed)


def test_a_copy_and_its_original_both_go_on(
    undisturbed: Run, start: Start, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy has the record of an attempt that lives, on this machine or another."""
    run = prepared(place / "run")
    process = suspended(run, start)
    copies = [Run(shutil.copytree(run.path, place / name)) for name in ("here", "there")]
    path = copies[1].attempt_file("train", 1)
    path.write_text(path.read_text().replace('"host": "', '"host": "another-'))
    process.send_signal(signal.SIGCONT)
    for copy in copies:
        with pytest.raises(SystemExit) as left:
            Train(copy.path)()
        assert left.value.code == 2
    monkeypatch.setenv(TAKE_OVER, "1")
    for copy in copies:
        assert Train(copy.path)() == "finished"
        assert_equal(copy, undisturbed)
    told, _ = process.communicate(timeout=_LIMIT_S)
    assert process.returncode == 0, told
    assert_equal(run, undisturbed)


def test_of_two_that_start_at_once_one_goes_on(undisturbed: Run, start: Start, place: Path) -> None:
    run = prepared(place / "run")
    both = [start(run), start(run)]
    told = {process.returncode: out for process in both for out in [process.communicate()[0]]}
    assert told.keys() == {0, 2}, told
    assert "train not begun: attempt 1 of train" in told[2]
    assert records.numbers(run, "train") == [1]
    assert_equal(run, undisturbed)
