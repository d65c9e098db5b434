"""Each record by itself is well-formed here; what they say together is not."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whole_run
from whole_run import edit

from gan import samples
from jobs import records, verify
from jobs.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return whole_run.copy(tmp_path)


def vouch(run: Run, stage: str, path: Path) -> None:
    """Have the stage's record agree with a file as it is now."""
    digest = {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    name = str(path.relative_to(run.path))
    edit(run.stage_file(stage), lambda record: record["outputs"].update({name: digest}))


def test_a_finished_run_is_in_order(run: Run) -> None:
    assert verify.problems(run) == []


def test_a_missing_attempt_is_named(run: Run) -> None:
    run.attempt_file("train", 1).rename(run.attempt_file("train", 2))
    edit(run.attempt_file("train", 2), lambda record: record.update(number=2))
    assert any(
        "train-0001.json is missing: a later attempt is there" in f for f in verify.problems(run)
    )


def test_an_attempt_that_is_there_twice_is_named(run: Run) -> None:
    shutil.copy(run.attempt_file("train", 1), run.attempts / "train-00001.json")
    assert f"{run.attempts}: attempt 1 of train is there twice" in verify.problems(run)


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: r.update(number=7), "train-0001.json is the record of attempt 7 of train"),
        (lambda r: r.update(stage="sample"), "is the record of attempt 1 of sample"),
        (lambda r: r.update(cause="tired"), "cause is 'tired'; allowed: finished, "),
        (lambda r: r.update(ended=r["started"] - 1000), "train-0001.json ended before it started"),
        (lambda r: r.update(cause="crashed"), "says finished; the newest attempt's end is:"),
        (lambda r: r.update(started=r["started"] + 9000, ended=r["ended"] + 9000),
         "train.json was finished before its newest attempt started"),
    ],
)  # fmt: skip
def test_an_attempt_that_does_not_fit(run: Run, change: Change, told: str) -> None:
    edit(run.attempt_file("train", 1), change)
    assert any(told in line for line in verify.problems(run))


def test_attempts_that_start_in_another_order(run: Run) -> None:
    shutil.copy(run.attempt_file("train", 1), run.attempt_file("train", 2))
    edit(run.attempt_file("train", 2), lambda r: r.update(number=2, started=r["started"] - 400))
    assert [f"{run.attempt_file('train', 2)} started before attempt 1"] == verify.problems(run)


def test_clocks_of_two_machines_may_differ_somewhat(run: Run) -> None:
    shutil.copy(run.attempt_file("train", 1), run.attempt_file("train", 2))
    edit(run.attempt_file("train", 2), lambda r: r.update(number=2, started=r["started"] - 200))
    assert verify.problems(run) == []


def test_an_attempt_killed_right_after_its_stage_was_finished_is_in_order(run: Run) -> None:
    edit(run.attempt_file("train", 1), lambda record: (record.pop("cause"), record.pop("ended")))
    assert verify.problems(run) == []


@pytest.mark.parametrize(
    ("stage", "change", "told"),
    [
        ("train", lambda r: r.update(stage="sample"), "train.json is the record of stage sample"),
        ("train", lambda r: r.update(attempts=3), "train.json counts 3 attempts; there are 1"),
        ("train", lambda r: r["result"].update(steps=9), "tells of 9 steps; the config makes them"),
        ("sample", lambda r: r.update(finished=r["finished"] - 5000),
         "sample.json was finished before its newest attempt started"),
    ],
)  # fmt: skip
def test_a_completion_that_does_not_fit(run: Run, stage: str, change: Change, told: str) -> None:
    edit(run.stage_file(stage), change)
    assert any(told in line for line in verify.problems(run))


def test_a_follow_up_finished_before_what_it_needs(run: Run) -> None:
    for name in ("attempts/train-0001.json", "stages/train.json"):
        edit(run.path / name, lambda r: r.update(
            {k: r[k] + 5000 for k in ("started", "ended", "finished") if k in r}))  # fmt: skip
    assert verify.problems(run)[0] == (
        f"{run.stage_file('sample')} says finished; stage train of {run.path}, which it needs, "
        "was finished after it"
    )


def test_a_follow_up_whose_need_is_not_finished(run: Run) -> None:
    records.withdraw(run, "train")
    assert any(
        line.endswith(f"stage train of {run.path}, which it needs, is not")
        for line in verify.problems(run)
    )


def test_progress_beyond_the_end(run: Run) -> None:
    edit(run.progress_file("train"), lambda progress: progress.update(step=16))
    assert verify.problems(run) == [f"{run.progress_file('train')}: step is 16 of 15"]


def test_settings_that_do_not_fit_each_other(run: Run) -> None:
    edit(run.config_file, lambda settings: settings.update(total_steps=20))
    assert f"{run.config_file}: total_steps is 20, its config makes it 15" in verify.problems(run)


def test_a_checkpoint_beyond_the_end(run: Run) -> None:
    extra = run.store().path(20)
    shutil.copytree(run.store().path(15), extra)
    edit(extra / "manifest.json", lambda manifest: manifest.update(step=20))
    assert verify.problems(run) == [f"{extra} is beyond the last step, 15"]


def rewrite(run: Run, path: Path, **changes: Any) -> None:
    """A samples file that its stage vouches for, but for what is changed."""
    old = samples.read(path)
    steps = np.array(changes.pop("steps", old.steps))
    content = samples.pack_bytes(old.images, old.labels, steps, old.attributes | changes)
    path.write_bytes(content)
    vouch(run, "sample", path)


def test_samples_of_steps_that_the_schedule_does_not_have(run: Run) -> None:
    rewrite(run, run.path / "samples.h5", steps=[5, 11, 15])
    assert verify.problems(run) == [
        f"{run.path / 'samples.h5'} is of steps 5, 11, 15; by the schedule: 5, 10, 15"
    ]


def test_generated_images_of_other_weights(run: Run) -> None:
    rewrite(run, run.generated_file, weights_sha256="f" * 64)
    assert verify.problems(run)[0].startswith(
        f"{run.generated_file} was made by other weights (ffffffffffff) than the checkpoint's ("
    )


def test_samples_of_another_config(run: Run) -> None:
    rewrite(run, run.generated_file, identity="0" * 64)
    assert verify.problems(run) == [f"{run.generated_file} is of another config (000000000000)"]


def test_a_report_that_tells_other_figures_than_the_records(run: Run) -> None:
    path = run.path / "report.json"
    told = json.loads(path.read_text())
    told["figures"][0]["value"] = 0.9
    path.write_text(json.dumps(told))
    vouch(run, "report", path)
    (line,) = verify.problems(run)
    assert line.startswith(f"{path}: run/sample/diversity is 0.9, the records say 0.")
