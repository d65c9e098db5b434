"""Follow-ups, arrays, and another number of ranks."""

import json
from collections import defaultdict

import pytest
from cluster import MAX_ARRAY_SIZE
from user import TINY, TOTAL_STEPS, User

from jobs import records


def submission(user: User, name: str, stage: str) -> dict:
    return json.loads(user.run(name).submission_file(stage, 1).read_text())


def test_follow_up_refuses_when_its_need_failed_and_was_forgotten(user: User) -> None:
    """`afterok` lets a dependent go if the job it waits for is purged, failed or not."""
    user.profile(user.fault("crash@30", once=False) + "\nretries = 0")
    user.cluster.forget_jobs_after(2)
    try:
        job_id = user.start("run", "--profile", "test")
        user.wait_for_attempts("run", 1)
        user.cluster.wait_for(
            lambda: (
                user.command("squeue", "-t", "all", "-h", "-j", job_id, check=False).stdout == ""
            ),
            90,
        )
        token = submission(user, "run", "sample")["token"]
        script = user.run("run").path / "logs" / f"{token}.sh"
        user.command("sbatch", f"--dependency=afterok:{job_id}", str(script))
        user.wait_for(lambda: user.causes("run", "sample") == ["refused"])
    finally:
        user.cluster.forget_jobs_after(300)
    (record,) = user.attempts("run", "sample")
    assert "stage train" in record["error"]
    assert "is not finished" in record["error"]
    assert records.completion(user.run("run"), "sample") is None


@pytest.mark.parametrize(("first", "then"), [("2", "1"), ("1", "2")])
def test_goes_on_with_another_number_of_ranks(user: User, first: str, then: str) -> None:
    trace = user.home / "trace"
    user.command("mkdir", str(trace))
    user.profile(f'{user.fault("none@0", once=False)[:-1]}, "export GANYMEDE_TRACE={trace}"]')
    job_id = user.start("run", "--profile", "test", "--nodes", first, "--minutes", "10")
    user.wait_for_step("run", 60)
    user.scancel(job_id)
    user.wait_for_attempts("run", 1)
    user.cluster.wait_for(lambda: not user.command("squeue", "-h").stdout.strip(), 60)
    user.start("run", "--profile", "test", "--nodes", then, "--minutes", "10")
    user.wait_until_finished("run")
    attempts = user.attempts("run")
    assert [str(record["ranks"]) for record in attempts] == [first, then]
    assert "ranks: " in attempts[1]["warning"]

    stopped = attempts[1]["from_step"]
    used: dict[int, list[int]] = defaultdict(list)
    for path in sorted(trace.iterdir()):  # by job, start and rank
        is_first = path.name.split("-")[0] == attempts[0]["job_id"]
        for line in path.read_text().splitlines():
            step, images = line.split()
            if not is_first or int(step) < stopped:
                used[int(step)] += map(int, images.split(","))
    assert sorted(used) == list(range(TOTAL_STEPS))
    steps_per_pass, batch = 22, 64
    for start in range(0, TOTAL_STEPS, steps_per_pass):
        images = [image for step in range(start, start + steps_per_pass) for image in used[step]]
        assert len(images) == len(set(images)) == steps_per_pass * batch, "none twice"
        assert set(images) <= set(range(1438))


def test_sweep_of_200_is_one_call_for_each_chunk(user: User) -> None:
    calls = user.count_calls("sbatch")
    done = user.ganymede(
        "run", *TINY, "--name", "grid", "--on", "slurm", "--sweep", "seed=0..99",
        "--sweep", "model.width=4,8", "--max-running", "1", environment=calls.environment,
    )  # fmt: skip
    chunks = -(-200 // MAX_ARRAY_SIZE)
    stages = 3
    assert calls.count() == chunks * stages, done.stdout
    queue = user.command("squeue", "-h", "-r", "-o", "%F %K %j").stdout.splitlines()
    assert len(queue) == 200 * stages
    again = user.ganymede(
        "run", *TINY, "--name", "grid", "--on", "slurm", "--sweep", "seed=0..99",
        "--sweep", "model.width=4,8", environment=calls.environment,
    )  # fmt: skip
    assert calls.count() == chunks * stages, again.stdout
    member = user.run("grid/seed-0_model.width-4")
    user.cluster.wait_for(lambda: records.completion(member, "sample"), 240)
    assert records.completion(member, "train"), "a task waits for the task of the same index"
    rows = json.loads(user.ganymede("status", "grid", "--json").stdout)
    assert len(rows) == 600
    assert sum(row["stage"] == "train" and row["state"] == "running" for row in rows) <= chunks
    user.ganymede("cancel", "grid")
    user.cluster.wait_for(lambda: not user.command("squeue", "-h").stdout.strip(), 120)
