import shutil
from pathlib import Path

import pytest
from captured_pbs import CapturedPBS

from slurm import commands, pbs_capabilities
from slurm.errors import SchedulerError, Unreachable
from slurm.pbs_capabilities import Limits, Node, PBSCluster, Queue, User
from slurm.pbs_values import Attributes


@pytest.fixture
def pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CapturedPBS:
    return CapturedPBS(tmp_path / "pbs", monkeypatch, limits=False)


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CapturedPBS:
    return CapturedPBS(tmp_path / "pbs", monkeypatch, limits=True)


def queue(cluster: PBSCluster, name: str) -> Queue:
    return next(queue for queue in cluster.queues or () if queue.name == name)


def test_a_server_with_few_settings(pbs: CapturedPBS) -> None:
    cluster = pbs_capabilities.read()
    assert (cluster.release, cluster.version) == ("23.06.06", (23, 6, 6))
    assert cluster.history_s == 14 * 24 * 3600
    assert cluster.largest_array == 10000
    assert cluster.default_queue == "workq"
    assert cluster.default_walltime == ""
    assert cluster.node_fail_requeue_s == 310
    assert cluster.query_other_jobs is True
    assert not cluster.admits_root
    assert cluster.preemption_order == "SCR"
    assert cluster.first_of_all == ("express",)
    assert cluster.limits() == Limits()
    assert cluster.nodes == (
        Node("pbshost", True, 8, 16.0, 2),
        Node("pbsnode2", True, 8, 16.0, 2),
    )
    assert cluster.has_ngpus is True
    workq, express = cluster.queues or ()
    assert (workq.priority, express.priority) == (0, 200)
    assert (workq.grace_s, workq.longest, workq.default_walltime) == (10, "", "")
    assert workq.is_enabled and workq.is_started and not workq.is_routing
    assert (cluster.before(workq), cluster.before(express)) == (("express",), ())


def test_limits_history_and_other_kinds_of_queues(limited: CapturedPBS) -> None:
    cluster = pbs_capabilities.read()
    assert cluster.history_s == 120 * 3600
    assert cluster.limits() == Limits(queued=900)
    some, route = queue(cluster, "captest"), queue(cluster, "caproute")
    assert (some.longest, some.default_walltime, some.grace_s) == ("24:00:00", "01:00:00", 60)
    assert some.is_enabled and some.is_fed_by_others and not some.is_started
    assert cluster.limits(some) == Limits(queued=10, waiting=7, running=2, queued_by_all=500)
    assert route.is_routing and route.destinations == ["captest"]
    assert not route.is_enabled
    assert (some.admits(User("bob")), some.admits(User("carol"))) == (True, False)
    assert route.admits(User("carol"))


def test_the_narrowest_limit_on_a_user_counts() -> None:
    text = "[u:PBS_GENERIC=10],[u:bob=3],[g:lab=7]"
    found = {name: Attributes({"max_queued": text}) for name in ("bob", "carol", "dora")}
    users = {"bob": User("bob", frozenset({"lab"})), "dora": User("dora")}
    users["carol"] = User("carol", frozenset({"lab"}))
    limits = {n: PBSCluster("23", users[n], server=found[n]).limits().queued for n in users}
    assert limits == {"bob": 3, "carol": 7, "dora": 10}


def test_plain_limits_of_older_servers() -> None:
    old = Attributes({"max_user_run": 4, "max_queuable": 100})
    limits = PBSCluster("19.1", User("bob"), server=old).limits()
    assert limits == Limits(running=4, queued_by_all=100)


def test_a_queue_for_groups() -> None:
    lab = Queue("lab", Attributes({"acl_group_enable": "True", "acl_groups": "lab"}))
    assert lab.admits(User("bob", frozenset({"users", "lab"})))
    assert not lab.admits(User("bob", frozenset({"users"})))


def test_the_walltime_of_a_job_that_asks_for_none(pbs: CapturedPBS) -> None:
    pbs.set_server(resources_default={"ncpus": 1, "walltime": "12:00:00"})
    assert pbs_capabilities.read().default_walltime == "12:00:00"
    pbs.set_queue("workq", resources_default={"walltime": "01:00:00"})
    assert pbs_capabilities.read().default_walltime == "01:00:00"


@pytest.mark.parametrize(
    ("settings", "history"),
    [
        ({"job_history_enable": "False", "job_history_duration": "120:00:00"}, 0),
        ({"job_history_enable": None}, 0),
        ({"job_history_enable": True, "job_history_duration": "00:10:00"}, 600),
    ],
)
def test_for_how_long_ended_jobs_are_known(
    pbs: CapturedPBS, settings: dict[str, object], history: int
) -> None:
    pbs.set_server(**settings)
    assert pbs_capabilities.read().history_s == history


@pytest.mark.parametrize(("setting", "expected"), [(None, 310), (0, 0), (-5, 1), (600, 600)])
def test_when_a_lost_node_is_given_up(pbs: CapturedPBS, setting: int | None, expected: int) -> None:
    pbs.set_server(node_fail_requeue=setting)
    assert pbs_capabilities.read().node_fail_requeue_s == expected


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ({}, ("express",)),
        ({"preempt_queue_prio": "201"}, ()),
        ({"preempt_queue_prio": "0"}, ("workq", "express")),
        ({"preempt_prio": "starving_jobs, normal_jobs"}, ()),
    ],
)
def test_which_queues_go_first(
    pbs: CapturedPBS, settings: dict[str, str], first: tuple[str, ...]
) -> None:
    pbs.set_scheduler(**settings)
    assert pbs_capabilities.read().first_of_all == first


def test_nodes_that_are_not_up_and_what_else_they_have(pbs: CapturedPBS) -> None:
    pbs.set("nodes", "pbshost", state="state-unknown,down")
    more = {"ncpus": 4, "mem": "1024mb", "host": "x", "gpu_model": "a100"}
    pbs.set("nodes", "pbsnode2", state="job-exclusive", resources_available=more)
    nodes = pbs_capabilities.read().nodes
    assert nodes is not None
    assert nodes[0].is_up is False
    assert nodes[1] == Node("pbsnode2", True, 4, 1.0, 0, ("gpu_model",))


def test_a_site_without_ngpus(pbs: CapturedPBS) -> None:
    pbs.lacks_ngpus()
    assert pbs_capabilities.read().has_ngpus is False


def test_ngpus_that_no_node_has_is_asked_for(pbs: CapturedPBS) -> None:
    for name in ("pbshost", "pbsnode2"):
        pbs.set("nodes", name, resources_available={"ncpus": 8})
    assert pbs_capabilities.read().has_ngpus is True
    pbs.refuses("qmgr", "qmgr: Error (15007) returned from server")
    assert pbs_capabilities.read().has_ngpus is None


def test_what_is_not_told_is_unknown(pbs: CapturedPBS) -> None:
    pbs.command("pbsnodes", "echo '{ \"nodes\": { oops'")
    pbs.refuses("qmgr", "qmgr: command disabled for users")
    pbs.command("qstat", 'case "$1" in --version) echo pbs_version = 19.1.3 ;; *) exit 2 ;; esac')
    cluster = pbs_capabilities.read()
    assert cluster.version == (19, 1, 3)
    assert (cluster.queues, cluster.nodes, cluster.has_ngpus) == (None, None, None)
    assert (cluster.history_s, cluster.largest_array, cluster.node_fail_requeue_s) == (None,) * 3
    assert cluster.query_other_jobs is None
    assert (cluster.default_queue, cluster.default_walltime) == ("", "")
    assert (cluster.preemption_order, cluster.first_of_all) == ("", ())


def test_missing_commands_cost_nothing(pbs: CapturedPBS, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("qmgr", "pbsnodes"):
        (pbs.folder / name).unlink()
    (pbs.folder / "cat").symlink_to(str(shutil.which("cat")))
    monkeypatch.setenv("PATH", str(pbs.folder))
    cluster = pbs_capabilities.read()
    assert cluster.nodes is None
    assert not cluster.scheduler
    assert cluster.history_s == 14 * 24 * 3600


def test_control_characters_that_pbs_leaves_in_its_json(pbs: CapturedPBS) -> None:
    path = pbs.folder / "answers" / "queues.json"
    path.write_text(path.read_text().replace("Execution", "Exec\tution", 1))
    assert [found.name for found in pbs_capabilities.read().queues or ()] == ["workq", "express"]


def test_a_silent_server_is_told(pbs: CapturedPBS) -> None:
    pbs.is_silent()
    with pytest.raises(Unreachable, match="cannot connect to server pbshost"):
        pbs_capabilities.read()


def test_a_list_of_nodes_that_never_comes_is_unknown(
    pbs: CapturedPBS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_CALL_S", 1.0)
    pbs.command("pbsnodes", "exec sleep 60")
    cluster = pbs_capabilities.read()
    assert cluster.nodes is None
    assert cluster.default_queue == "workq"


def test_a_machine_without_pbs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SchedulerError, match="qstat is not on this machine's PATH: no PBS here"):
        pbs_capabilities.read()


def test_a_qstat_that_is_not_of_pbs(pbs: CapturedPBS) -> None:
    pbs.command("qstat", "echo 'Version: 6.1.2'")
    with pytest.raises(SchedulerError, match=r"prints 'Version: 6\.1\.2'; allowed: PBS's"):
        pbs_capabilities.read()
