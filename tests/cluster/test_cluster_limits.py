"""Little time to save: preemption without a grace time, and a signal of the site."""

from states import assert_same_state
from user import EPOCH, TINY, User


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
