"""Preemption: by a partition that goes first, with a grace time and without one."""

from states import assert_same_state
from user import EPOCH, User


def test_preempted_three_times_ends_in_the_same_bits(user: User, undisturbed: User) -> None:
    job_id = user.start("run")
    for attempt, step in enumerate((40, EPOCH // 2, EPOCH + 40), start=1):
        user.wait_for_step("run", step, attempt)
        user.preempt()
        user.wait_for_attempts("run", attempt)
    user.wait_until_finished("run")
    assert user.causes("run") == ["preempted"] * 3 + ["finished"]
    assert {record["job_id"] for record in user.attempts("run")} == {job_id}
    starts = [record["from_step"] for record in user.attempts("run")]
    assert starts == sorted(set(starts)), "every attempt went on where the one before had stopped"
    assert all(step % EPOCH for step in starts[1:]), "it was in the middle of an epoch"
    assert "without progress" not in user.logs("run"), "no retry was spent"
    assert_same_state(user.final_state("run"), undisturbed.final_state("run"))
