"""The doctor, on a cluster that lacks nothing: it says so, and its rehearsal shows it."""

from user import User


def test_all_holds_and_the_rehearsal_is_stopped_and_goes_on(user: User) -> None:
    done = user.ganymede("doctor", "--on", "slurm", "--rehearse", "--nodes", "2")
    rows = [line for line in done.stdout.splitlines() if line.startswith(("holds", "mind"))]
    verdicts = {line[7:].partition(":")[0]: line[:5] for line in rows}
    assert verdicts["partition low (default)"] == "holds"
    for name in ("saves when told to stop", "scontrol on a node", "goes on", "can be cancelled"):
        assert verdicts[name] == "holds"
    assert done.stdout.splitlines()[-1] == "all that a run needs holds here"
    assert list((user.home / "runs").iterdir()) == []
    assert not user.command("squeue", "--noheader", "--me").stdout
