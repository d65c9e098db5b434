"""Stopping and going on: a real training, in processes of its own, loses and repeats no step."""

import json
from pathlib import Path
from typing import Any

import pytest
import whole_run

from benchmarks import measuring, resume
from benchmarks.attempt import PARTS, Size
from checkpoints import files


def test_every_attempt_begins_where_the_one_before_was_saved(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = resume.measure(Size(width=4, batch=2, threads=1), repeats=1)
    measuring.tell(result, as_json=True)
    assert json.loads(capsys.readouterr().out) == result
    first, second = result["saved_steps"]
    assert 3 <= first < first + 3 <= second
    assert 0 < result["signal_to_commit_s"] <= result["signal_to_exit_s"]
    assert result["signal_to_last_step_s"] <= result["signal_to_commit_s"]
    assert result["start_to_new_step_s"] == pytest.approx(sum(result["parts_s"].values()))
    assert list(result["parts_s"]) == list(PARTS)
    assert result["state_mb"] > 0
    assert f"at steps {first}, {second}" in resume.text(result)


@pytest.mark.parametrize(
    ("saved", "steps"),
    [
        (9, {"from": 9, "first": 10, "last": 15}),  # the record says 10
        (10, {"from": 9, "first": 10, "last": 15}),  # a step was done again
        (10, {"from": 10, "first": 12, "last": 15}),  # one was left out
        (10, {"from": 10, "first": 11, "last": 16}),  # the last one was not saved
    ],
)
def test_a_lost_or_repeated_step_is_found_out(
    tmp_path: Path, saved: int, steps: dict[str, Any]
) -> None:
    run = whole_run.copy(tmp_path)
    whole_run.edit(run.attempt_file("train", 1), lambda record: record.update(from_step=10))
    seamless = {"from": 10, "first": 11, "last": 15}
    assert resume.require_seamless(run, 10, {"steps": seamless}) == 15
    with pytest.raises(RuntimeError, match=f"step {saved} was saved"):
        resume.require_seamless(run, saved, {"steps": steps})
    assert files.read_json(run.attempt_file("train", 1))["from_step"] == 10
