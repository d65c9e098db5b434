"""Ends that somebody or something forces: cancelled, crashed, killed, out of memory, refused."""

import time

import pytest
from states import assert_same_state
from user import User, kill, processes

HANGING_S = 30.0


def test_scancel_of_a_pending_job(user: User) -> None:
    user.command("sbatch", "-p", "high", "-N", "4", "-o", "/dev/null", "--wrap", "sleep 300")
    job_id = user.start("run")
    assert user.rows("run")["train"]["state"] == "queued"
    user.scancel(job_id)
    user.cluster.wait_for(lambda: user.rows("run")["report"]["state"] == "cancelled")
    rows = user.rows("run")
    assert (rows["train"]["state"], rows["train"]["cause"]) == ("cancelled", "cancelled")
    assert "never began, since train cancelled" in rows["sample"]["error"]
    assert user.attempts("run") == []


def test_scancel_of_a_running_job_is_not_queued_again(user: User) -> None:
    job_id = user.start("run")
    user.wait_for_step("run", 40)
    user.scancel(job_id)
    user.wait_for_attempts("run", 1)
    user.cluster.wait_for(lambda: not user.command("squeue", "-h").stdout.strip(), 60)
    assert user.causes("run") == ["cancelled"]
    rows = user.rows("run")
    assert rows["train"]["step"] == user.run("run").store().latest().step, "it saved first"
    assert {row["state"] for row in rows.values()} == {"cancelled"}
    time.sleep(3)
    assert len(user.attempts("run")) == 1
    assert user.attempts("run", "sample") == [], "afterok was never released"


def test_cancel_verb(user: User) -> None:
    user.start("run")
    user.wait_for_step("run", 40)
    user.ganymede("cancel", "run")
    user.cluster.wait_for(lambda: not user.command("squeue", "-h").stdout.strip(), 60)
    assert user.causes("run") == ["cancelled"]
    assert {row["state"] for row in user.rows("run").values()} == {"cancelled"}


def test_crash_in_the_variant_is_retried_then_failed(user: User) -> None:
    user.profile(user.fault("crash@30", once=False) + "\nretries = 1")
    job_id = user.start("run", "--profile", "test")
    user.wait_for_attempts("run", 2)
    user.cluster.wait_for(lambda: not user.command("squeue", "-h").stdout.strip(), 60)
    assert user.causes("run") == ["crashed", "crashed"]
    for record in user.attempts("run"):
        assert "ValueError: a fault in the variant" in record["traceback"]
        assert record["job_id"] == job_id
    rows = user.rows("run")
    assert rows["train"]["state"] == "failed"
    assert "a fault in the variant" in rows["train"]["error"]
    for stage in ("sample", "report"):
        assert rows[stage]["state"] == "cancelled"
        assert "never began, since train failed" in rows[stage]["error"]


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
