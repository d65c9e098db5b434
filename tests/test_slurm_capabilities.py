from pathlib import Path

import pytest
from captured_slurm import CapturedSlurm

from slurm import capabilities
from slurm.capabilities import Cluster, Partition
from slurm.errors import SchedulerError, Unreachable


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CapturedSlurm:
    return CapturedSlurm(tmp_path / "slurm", monkeypatch, accounting=False)


@pytest.fixture
def accounting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CapturedSlurm:
    return CapturedSlurm(tmp_path / "slurm", monkeypatch, accounting=True)


def test_a_cluster_without_accounting(slurm: CapturedSlurm) -> None:
    cluster = capabilities.read()
    assert cluster.version == (22, 5, 8)
    assert cluster.words("JobRequeue") == "1"
    assert cluster.words("RequeueExit") == ""  # printed as (null)
    assert cluster.words("AccountingStorageEnforce") == ""  # printed as none
    assert (cluster.seconds("MinJobAge"), cluster.seconds("KillWait")) == (300, 15)
    assert cluster.seconds("NoSuchSetting") is None
    assert cluster.preempts_by == "partition_prio"
    assert not cluster.sends_user_signal
    assert cluster.largest_array == 101
    assert cluster.requeue_delay_s == 121
    assert cluster.accounts is None
    assert cluster.partitions == (
        Partition("low", True, 20, "REQUEUE", 1, "UNLIMITED", "EXCLUSIVE", "UP"),
        Partition("abrupt", False, 0, "REQUEUE", 1, "UNLIMITED", "EXCLUSIVE", "UP"),
        Partition("high", False, 0, "OFF", 10, "UNLIMITED", "EXCLUSIVE", "UP"),
    )


def test_a_cluster_with_accounting(accounting: CapturedSlurm) -> None:
    cluster = capabilities.read()
    assert cluster.words("AccountingStorageEnforce") == "associations,limits,qos"
    assert cluster.sends_user_signal
    assert cluster.words("RequeueExitHold") == "85"
    assert cluster.partitions[0].max_time == "1-00:00:00"
    assert cluster.partitions[0].preempt_mode == "CANCEL"
    assert cluster.accounts is not None
    assert cluster.accounts.limits == (
        "7 jobs in account other", "3 jobs in account lab", "5 jobs in QOS night"
    )  # fmt: skip
    assert cluster.accounts.qos == (
        "normal (PreemptMode cluster, GraceTime 00:00:00)",
        "night (PreemptMode cancel, GraceTime 00:01:30)",
    )


def test_limits_of_a_qos_that_is_not_ones_own_do_not_count(accounting: CapturedSlurm) -> None:
    (accounting.folder / "answers" / "assoc.txt").write_text("lab|gpu|normal|3\n")
    accounts = capabilities.read().accounts
    assert accounts is not None
    assert accounts.limits == ("3 jobs in account lab, partition gpu",)
    assert accounts.qos == ("normal (PreemptMode cluster, GraceTime 00:00:00)",)


def test_accounting_that_does_not_answer_hides_nothing_else(accounting: CapturedSlurm) -> None:
    accounting.refuses("sacctmgr", "sacctmgr: error: Problem talking to the database")
    cluster = capabilities.read()
    assert len(cluster.partitions) == 3
    assert cluster.accounts is not None
    assert "Problem talking to the database" in cluster.accounts.problem


def test_a_silent_controller_is_told(slurm: CapturedSlurm) -> None:
    slurm.is_silent()
    with pytest.raises(Unreachable, match="Unable to contact slurm controller"):
        capabilities.read()


def test_a_machine_without_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SchedulerError, match="scontrol is not on this machine's PATH"):
        capabilities.read()


@pytest.mark.parametrize(
    ("settings", "sends"),
    [
        ({"SlurmctldParameters": "enable_configless,preempt_send_user_signal"}, True),
        ({"PreemptParameters": "youngest_first,send_user_signal"}, True),  # later versions
        ({"SlurmctldParameters": "enable_configless"}, False),
        ({}, False),
    ],
)
def test_the_signal_of_a_preemption(settings: dict[str, str], sends: bool) -> None:
    assert Cluster(settings).sends_user_signal is sends


@pytest.mark.parametrize(
    ("settings", "largest"),
    [
        ({}, 1001),
        ({"MaxArraySize": "50000"}, 50000),
        ({"MaxArraySize": "50000", "SchedulerParameters": "bf_continue,max_array_tasks=200"}, 200),
        ({"MaxArraySize": "101", "SchedulerParameters": "max_array_tasks=200"}, 101),
        ({"MaxArraySize": "0"}, 0),
    ],
)
def test_the_largest_array(settings: dict[str, str], largest: int) -> None:
    assert Cluster(settings).largest_array == largest


def test_the_wait_after_a_requeue_may_be_set() -> None:
    assert Cluster({"SchedulerParameters": "bf_continue,requeue_delay=10"}).requeue_delay_s == 11


@pytest.mark.parametrize(
    ("kind", "preempts_by"),
    [("preempt/none", ""), ("(null)", ""), ("preempt/qos", "qos"), ("preempt/other", "other")],
)
def test_what_preempts(kind: str, preempts_by: str) -> None:
    assert Cluster({"PreemptType": kind}).preempts_by == preempts_by


def test_who_goes_first(slurm: CapturedSlurm) -> None:
    cluster = capabilities.read()
    low, abrupt, high = cluster.partitions
    assert [cluster.before(p) for p in (low, abrupt, high)] == [["high"], ["high"], []]
    slurm.set_partition("low", PreemptMode="OFF")
    assert capabilities.read().before(capabilities.read().partitions[0]) == []
    slurm.set(PreemptType="preempt/none")
    cluster = capabilities.read()
    assert cluster.before(cluster.partitions[1]) == []
