"""Time that runs out: the walltime, and preemption without a grace time."""

import itertools

import pytest
from states import assert_same_state
from user import EPOCH, TINY, User


def test_walltime_shorter_than_the_training(user: User, capsys: pytest.CaptureFixture[str]) -> None:
    user.profile(user.fault("slow@0.1", once=False))  # 352 steps: 35 s and more
    job_id = user.start("run", "--profile", "test", "--nodes", "2", "--minutes", "1")
    user.wait_until_finished("run")
    attempts = user.attempts("run")
    assert user.causes("run") == ["time limit"] * (len(attempts) - 1) + ["finished"]
    assert len(attempts) > 1
    assert {record["job_id"] for record in attempts} == {job_id}
    with capsys.disabled():
        for before, after in itertools.pairwise(attempts):
            print(
                f"\nhand-over at step {after['from_step']}: last step to saved "
                f"{before['saved_after_s']} s, job start to first new step "
                f"{after['first_step_after_s']} s"
            )


def test_preempted_without_grace_saves_within_killwait(user: User, undisturbed: User) -> None:
    user.start("run", "--partition", "abrupt")
    user.wait_for_step("run", EPOCH + 40)
    user.preempt()
    user.wait_until_finished("run")
    assert user.causes("run") == ["preempted", "finished"]
    assert user.attempts("run")[1]["from_step"] > EPOCH
    assert_same_state(user.final_state("run"), undisturbed.final_state("run"))


def test_signal_of_the_site_stops_and_goes_on(user: User, undisturbed: User) -> None:
    job_id = user.start("run", recipe=TINY)
    user.wait_for_step("run", 40)
    user.command("scancel", "--signal=USR2", job_id)
    user.wait_until_finished("run")
    assert len(user.causes("run")) == 2
    assert_same_state(user.final_state("run"), undisturbed.final_state("run"))
