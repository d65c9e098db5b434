from pathlib import Path

import pytest
from captured_slurm import CapturedSlurm

from slurm import capabilities, guarantees
from slurm.findings import Finding, Verdict


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CapturedSlurm:
    return CapturedSlurm(tmp_path / "slurm", monkeypatch, accounting=False)


@pytest.fixture
def accounting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CapturedSlurm:
    return CapturedSlurm(tmp_path / "slurm", monkeypatch, accounting=True)


def found() -> dict[str, Finding]:
    rows = guarantees.of_cluster(capabilities.read())
    assert len({row.name for row in rows}) == len(rows)
    return {row.name: row for row in rows}


def test_a_plain_cluster_lacks_nothing_that_is_needed(slurm: CapturedSlurm) -> None:
    rows = found()
    assert {row.verdict for row in rows.values()} == {Verdict.HOLDS, Verdict.MIND}
    assert [name for name, row in rows.items() if row.verdict == Verdict.MIND] == [
        "EnforcePartLimits"
    ]
    assert rows["Slurm version"].value == "22.05.8"
    assert rows["accounting"].value == "none"
    assert "not needed" in rows["accounting"].meaning
    assert rows["MinJobAge"].value == "300 s"
    assert rows["wait after a requeue"].value == "121 s"
    assert rows["signal to a preempted job"].value == "SIGTERM"
    assert rows["largest array"].value == "101"
    assert "none to be seen without accounting; MaxJobCount 10000" in rows["submit limits"].value


def test_partitions(slurm: CapturedSlurm) -> None:
    rows = found()
    low = rows["partition low (default)"]
    assert low.value == (
        "GraceTime 20 s, PreemptMode REQUEUE, PriorityTier 1, MaxTime UNLIMITED, "
        "OverSubscribe EXCLUSIVE"
    )
    assert low.meaning == ("high may stop a job here, which has 20 s to save and is queued again")
    assert "has KillWait (15 s) to save and is queued again" in rows["partition abrupt"].meaning
    assert rows["partition high"].meaning == "no other job stops yours"


def test_partitions_that_differ_in_their_names_alone_share_a_row(slurm: CapturedSlurm) -> None:
    slurm.set_partition("abrupt", GraceTime="20")
    rows = found()
    assert [name for name in rows if "partition" in name] == [
        "partitions low (default), abrupt",
        "partition high",
    ]


def test_a_cluster_with_accounting_that_enforces_limits(accounting: CapturedSlurm) -> None:
    rows = found()
    assert rows["accounting"].value == "slurmdbd, enforces associations,limits,qos"
    assert "may have to name an --account" in rows["accounting"].meaning
    assert "7 jobs in account other, 3 jobs in account lab" in rows["submit limits"].value
    assert rows["signal to a preempted job"].value == "--signal, else SIGTERM"
    low = rows["partition low (default)"].meaning
    assert "has 20 s to save and queues itself again" in low  # PreemptMode is CANCEL
    assert "a longer run goes on in further starts of 1-00:00:00" in low
    assert rows["EnforcePartLimits"].verdict == Verdict.HOLDS


def test_no_requeue_by_default_is_no_lack(accounting: CapturedSlurm) -> None:
    row = found()["JobRequeue"]
    assert (row.value, row.verdict) == ("0", Verdict.HOLDS)
    assert "ours do (--requeue)" in row.meaning


def test_statuses_that_slurm_queues_again_by_itself(accounting: CapturedSlurm) -> None:
    row = found()["RequeueExitHold"]
    assert (row.value, row.verdict) == ("85", Verdict.MIND)
    assert "held until you release it" in row.meaning
    assert "RequeueExit" not in found()


def test_accounting_that_does_not_answer(accounting: CapturedSlurm) -> None:
    accounting.refuses("sacctmgr", "sacctmgr: error: Problem talking to the database")
    assert "Problem talking to the database" in found()["submit limits"].value


def test_preemption_by_quality_of_service(accounting: CapturedSlurm) -> None:
    accounting.set(PreemptType="preempt/qos")
    rows = found()
    assert "night (PreemptMode cancel, GraceTime 00:01:30)" in rows["QOS"].value
    assert "the QOS tells how a job is stopped" in rows["partition abrupt"].meaning
    accounting.refuses("sacctmgr", "sacctmgr: error: Problem talking to the database")
    assert (found()["QOS"].value, found()["QOS"].verdict) == ("unknown", Verdict.MIND)


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"SLURM_VERSION": "21.08.6"}, "Slurm version", "21.08.6"),
        ({"KillWait": "5 sec"}, "KillWait", "5 s"),
        ({"KillWait": "5 sec"}, "partition abrupt", "GraceTime 0 s"),
        ({"SlurmdTimeout": "0 sec"}, "SlurmdTimeout", "never"),
    ],
)
def test_what_one_should_mind(
    slurm: CapturedSlurm, settings: dict[str, str], name: str, value: str
) -> None:
    slurm.set(**settings)
    row = found()[name]
    assert row.verdict == Verdict.MIND
    assert row.value.startswith(value)


def test_what_else_a_cluster_may_say(slurm: CapturedSlurm) -> None:
    slurm.set(PreemptType="preempt/none", MinJobAge="0 sec", MaxArraySize="0", KillWait="(null)")
    slurm.set_partition("low", State="DRAIN")
    rows = found()
    assert rows["preemption"].value == "none"
    assert "signal to a preempted job" not in rows
    assert "for good" in rows["MinJobAge"].meaning
    assert "a job for each run" in rows["largest array"].meaning
    assert rows["KillWait"].value == "unknown"
    assert "its state is DRAIN" in rows["partition low (default)"].meaning
    slurm.set(PreemptType="preempt/partition_prio", PreemptExemptTime="01:00:00")
    slurm.set_partition("abrupt", PreemptMode="GANG,SUSPEND")
    rows = found()
    assert rows["preemption"].value.endswith("not in the first 01:00:00")
    assert "is suspended, and goes on where it stood" in rows["partition abrupt"].meaning
