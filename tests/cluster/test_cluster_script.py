"""The scheduler's own way: `sbatch slurm/scripts/run.sbatch`, without the launcher."""

import sys
from pathlib import Path

from states import assert_same_state
from user import TINY, User

ROOT = Path(__file__).parent.parent.parent


def test_run_sbatch_stops_is_queued_again_and_ends_in_the_same_bits(
    user: User, undisturbed: User
) -> None:
    environment = {"GANYMEDE_HOME": str(ROOT), "GANYMEDE_PYTHON": sys.executable}
    job_id = user.command(
        "sbatch", "--parsable", "--nodes=2", str(ROOT / "slurm" / "scripts" / "run.sbatch"), *TINY,
        "--name", "run", environment=environment,
    ).stdout.strip()  # fmt: skip
    user.wait_for_step("run", 60)
    assert user.rows("run")["train"]["state"] == "running"
    user.preempt()
    user.wait_until_finished("run")
    assert user.causes("run") == ["preempted", "finished"]
    assert {record["job_id"] for record in user.attempts("run")} == {job_id}
    assert_same_state(user.final_state("run"), undisturbed.final_state("run"))
