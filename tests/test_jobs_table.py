from dataclasses import replace

from jobs.status import StageStatus
from jobs.table import lines

ROW = StageStatus(
    run="demo/gan", path="runs/demo/gan", recipe="demo/gan", stage="train", state="failed",
    step=42, total_steps=660, cause="crashed", attempts=3, job_id="17_2",
    error="train/loss is\nnan at step 42", seconds=None,
)  # fmt: skip
FOLLOWER = replace(
    ROW, stage="report", state="queued", step=None, total_steps=None, cause=None, attempts=0,
    job_id=None, error=None, queue="PENDING (Dependency)",
)  # fmt: skip


def test_each_stage_has_one_line_that_other_programs_can_search() -> None:
    assert list(lines([ROW, FOLLOWER])) == [
        "run       stage   state   step    attempts  job   why",
        "demo/gan  train   failed  42/660  3         17_2  crashed: train/loss is nan at step 42",
        "demo/gan  report  queued          0               PENDING (Dependency)",
    ]


def test_a_narrow_terminal_folds_the_last_column_alone() -> None:
    assert list(lines([ROW], 75)) == [
        "run       stage  state   step    attempts  job   why",
        "demo/gan  train  failed  42/660  3         17_2  crashed: train/loss is nan",
        "                                                 at step 42",
    ]
    assert len(list(lines([ROW], 5))) == 3  # what cannot be folded may be wider


def test_cause_that_says_the_same_as_the_state_is_left_out() -> None:
    finished = replace(ROW, state="cancelled", cause="cancelled", error=None)
    assert list(lines([finished]))[1].endswith("17_2")
