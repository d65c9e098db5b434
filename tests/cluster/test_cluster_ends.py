"""Ends that something forces: a rank that crashes or is killed, memory that is full, a refusal."""

import pytest
from states import assert_same_state
from user import User, kill, processes

HANGING_S = 30.0


def test_crash_of_another_rank_is_told_by_its_own_words(user: User, undisturbed: User) -> None:
    user.profile(user.fault("crash@60/1"))
    user.start("run", "--profile", "test")
    user.wait_until_finished("run")
    first = user.attempts("run")[0]
    assert first["cause"] == "crashed"
    assert first["error"] == "rank 1: a fault in the variant"
    assert "ValueError: a fault in the variant" in first["traceback"]
    assert_same_state(user.final_state("run"), undisturbed.final_state("run"))


@pytest.mark.parametrize("rank", [0, 1])
def test_sigkill_of_one_rank(user: User, undisturbed: User, rank: int) -> None:
    job_id = user.start("run")
    user.wait_for_step("run", 60)
    before = {process.pid for process in processes(job_id)}
    kill(user.rank(job_id, rank))
    user.cluster.wait_for(
        lambda: not before & {process.pid for process in processes(job_id)}, HANGING_S
    )
    user.wait_until_finished("run")
    assert user.causes("run") == ["killed", "finished"]
    assert_same_state(user.final_state("run"), undisturbed.final_state("run"))


def test_out_of_memory(user: User, undisturbed: User) -> None:
    user.profile(user.fault("memory@60/1"))
    user.start("run", "--profile", "test")
    user.wait_until_finished("run")
    assert user.causes("run") == ["out of memory", "finished"]
    assert_same_state(user.final_state("run"), undisturbed.final_state("run"))


def test_set_up_line_that_fails_is_named(user: User) -> None:
    user.profile('setup = ["true", "module load no-such-module"]')
    user.start("run", "--profile", "test")
    user.wait_for_attempts("run", 1)
    (record,) = user.attempts("run")
    assert record["cause"] == "refused"
    assert "module load no-such-module" in record["error"]
    assert "torch" not in user.logs("run")


def test_gpus_that_torch_cannot_use_stop_the_job_before_step_0(user: User) -> None:
    user.start("run", "--gpus-per-node", "1", "--tasks-per-node", "1")
    user.wait_for_attempts("run", 1)
    (record,) = user.attempts("run")
    assert record["cause"] == "refused"
    for word in ("1 GPUs a node", "driver", "torch", "--gpus-per-node 0"):
        assert word in record["error"]
    assert user.run("run").store().steps() == []
