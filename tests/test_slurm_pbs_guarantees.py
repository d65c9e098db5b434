from pathlib import Path

import pytest
from captured_pbs import CapturedPBS

from slurm import pbs_capabilities, pbs_guarantees
from slurm.findings import Finding, Verdict
from slurm.pbs_capabilities import User


@pytest.fixture(autouse=True)
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pbs_capabilities, "current_user", lambda: User("carol"))


@pytest.fixture
def pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CapturedPBS:
    return CapturedPBS(tmp_path / "pbs", monkeypatch, limits=False)


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CapturedPBS:
    return CapturedPBS(tmp_path / "pbs", monkeypatch, limits=True)


def found() -> dict[str, Finding]:
    rows = pbs_guarantees.of_cluster(pbs_capabilities.read())
    assert len({row.name for row in rows}) == len(rows)
    return {row.name: row for row in rows}


def test_a_plain_server_lacks_nothing_that_is_needed(pbs: CapturedPBS) -> None:
    rows = found()
    assert [name for name, row in rows.items() if row.verdict != Verdict.HOLDS] == ["kill_delay"]
    assert rows["kill_delay"].verdict == Verdict.MIND
    assert rows["kill_delay"].value == "10 s"
    assert rows["PBS version"].value == "23.06.06"
    assert rows["job history"].value == "14 days"
    assert rows["node_fail_requeue"].value == "310 s"
    assert rows["largest array"].value == "10000"
    assert rows["submit limits"].value == "none to be seen"
    assert rows["nodes"].value == "2 of 2 up: 2 with ncpus=8, mem=16gb, ngpus=2"
    assert rows["GPUs"].value == "ngpus, on 2 nodes"
    assert "submits before it ends" in rows["requeue by a job itself"].meaning
    assert "a job times itself" in rows["signal before the walltime"].meaning
    assert (
        not {"user", "server", "jobs of others", "default walltime", "other queues"} & rows.keys()
    )


def test_preemption_by_an_express_queue(pbs: CapturedPBS) -> None:
    rows = found()
    assert rows["preemption"].value == "SCR"
    assert rows["preemption"].meaning == (
        "jobs in express go first: one of yours that has to make room is suspended, and goes on "
        "where it stood, or else gets 10 s to save and is queued again under its number"
    )
    assert rows["queue workq (default)"].value == (
        "Priority 0, kill_delay 10 s, walltime of any length"
    )
    assert rows["queue workq (default)"].meaning == "jobs in express may stop one here"
    assert rows["queue express"].meaning == "no other queue's jobs stop yours"


@pytest.mark.parametrize(
    ("order", "told", "verdict"),
    [
        ("R", "gets 10 s to save and is queued again under its number", Verdict.HOLDS),
        ("CR", "gets 10 s to save and is queued again under its number", Verdict.HOLDS),
        ("D", "gets 10 s to save and is deleted: resume it then", Verdict.MIND),
        ("C", "is stopped by a checkpoint script of the site's", Verdict.HOLDS),
        (
            "R 80 SD",
            "gets 10 s to save and is queued again under its number; once 80 % or less of its time "
            "are left, it is suspended, and goes on where it stood, or else gets 10 s to save and "
            "is deleted: resume it then",
            Verdict.HOLDS,
        ),
        (
            "S 50 CD",
            "is suspended, and goes on where it stood; once 50 % or less of its time are left, it "
            "gets 10 s to save and is deleted: resume it then",
            Verdict.MIND,
        ),
    ],
)
def test_what_making_room_means(pbs: CapturedPBS, order: str, told: str, verdict: Verdict) -> None:
    pbs.set_scheduler(preempt_order=order)
    row = found()["preemption"]
    assert (row.value, row.verdict) == (order, verdict)
    assert row.meaning == (f"jobs in express go first: one of yours that has to make room {told}")


def test_no_queue_that_goes_first(pbs: CapturedPBS) -> None:
    pbs.set_queue("express", Priority=149)
    rows = found()
    assert rows["preemption"].value == "no queue has Priority 150 or more"
    assert rows["queue express"].meaning == "no other queue's jobs stop yours"


def test_a_scheduler_that_does_not_show_itself(pbs: CapturedPBS) -> None:
    pbs.refuses("qmgr", "qmgr: command disabled for users")
    rows = found()
    assert (rows["preemption"].value, rows["preemption"].verdict) == ("unknown", Verdict.MIND)
    assert "ask the site" in rows["preemption"].meaning


def test_more_time_to_save(pbs: CapturedPBS) -> None:
    for name in ("workq", "express"):
        pbs.set_queue(name, kill_delay=60)
    row = found()["kill_delay"]
    assert (row.value, row.verdict) == ("60 s", Verdict.HOLDS)
    pbs.set_queue("express", kill_delay=300)
    assert found()["kill_delay"].value == "60 to 300 s, by queue"


def test_queues_that_are_not_for_this_user(limited: CapturedPBS) -> None:
    rows = found()
    assert rows["other queues"].value == "captest, caproute"
    assert rows["submit limits"].value == "900 jobs of yours"
    assert rows["job history"].value == "5 days"


def test_a_queue_with_limits(limited: CapturedPBS) -> None:
    limited.set_queue("captest", from_route_only=None, acl_users="carol,bob")
    rows = found()
    assert rows["queue captest"].value == (
        "Priority 3, kill_delay 60 s, walltime up to 24:00:00, 10 jobs of yours, 7 of yours "
        "waiting, 2 of yours running, 500 jobs of all users together"
    )
    assert rows["queue captest"].verdict == Verdict.MIND  # it is not started
    assert rows["queue captest"].meaning == (
        "it is stopped: no job starts there now; a longer run goes on in further jobs of 24:00:00"
    )
    limited.set_queue("captest", started="True")
    assert found()["queue captest"].meaning == (
        "jobs in express may stop one here; a longer run goes on in further jobs of 24:00:00"
    )
    assert rows["submit limits"].value == "900 jobs of yours, those of the queues"


def test_a_routing_queue(limited: CapturedPBS) -> None:
    limited.set_queue("caproute", enabled="True", started="True")
    row = found()["queue caproute"]
    assert row.value == "hands its jobs on to captest"
    assert row.meaning == "the limits of those count"


def test_queues_that_differ_in_their_names_alone_share_a_row(pbs: CapturedPBS) -> None:
    for number in range(8):
        pbs.set_queue(f"also{number}", queue_type="Execution", enabled="True", started="True")
        pbs.set_queue(f"shut{number}", queue_type="Execution", started="True")
    rows = found()
    assert "queues also0, also1, also2, also3, also4, also5, also6, also7, workq (default)" in rows
    assert rows["other queues"].value == "shut0, shut1, shut2, shut3, shut4, shut5, 2 more"


def test_no_queue_for_this_user(pbs: CapturedPBS) -> None:
    for name in ("workq", "express"):
        pbs.set_queue(name, acl_user_enable="True", acl_users="bob")
    row = found()["queues"]
    assert (row.value, row.verdict) == ("workq, express", Verdict.MIND)
    assert "ask the site" in row.meaning


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"scheduling": "False", "server_state": "Idle"}, "server", "Idle"),
        ({"scheduling": "False"}, "server", "Active"),
        ({"node_fail_requeue": 0}, "node_fail_requeue", "off"),
        ({"default_qsub_arguments": "-r n"}, "default_qsub_arguments", "-r n"),
        ({"acl_host_enable": "True", "acl_hosts": "login1"}, "acl_hosts", "login1"),
    ],
)
def test_what_one_should_mind(
    pbs: CapturedPBS, settings: dict[str, object], name: str, value: str
) -> None:
    pbs.set_server(**settings)
    row = found()[name]
    assert (row.value, row.verdict) == (value, Verdict.MIND)


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        ({"job_history_enable": "False"}, "job history", "off"),
        ({"job_history_duration": "01:00:00"}, "job history", "60 minutes"),
        ({"job_history_duration": "00:00:30"}, "job history", "30 s"),
        ({"job_history_duration": "36:00:00"}, "job history", "36 hours"),
        ({"query_other_jobs": "False"}, "jobs of others", "hidden"),
        ({"resources_default": {"walltime": "12:00:00"}}, "default walltime", "12:00:00"),
        ({"max_array_size": 50}, "largest array", "50"),
    ],
)
def test_what_costs_nothing(
    pbs: CapturedPBS, settings: dict[str, object], name: str, value: str
) -> None:
    pbs.set_server(**settings)
    row = found()[name]
    assert (row.value, row.verdict) == (value, Verdict.HOLDS)


def test_nodes_may_submit_where_moms_are_let_in(pbs: CapturedPBS) -> None:
    pbs.set_server(acl_host_enable="True", acl_hosts="login1", acl_host_moms_enable="True")
    assert "acl_hosts" not in found()


@pytest.mark.parametrize(
    ("release", "verdict"),
    [
        ("19.1.3", Verdict.HOLDS),
        ("2022.1.3.20230508", Verdict.HOLDS),
        ("18.1.4", Verdict.MIND),
        ("14.2.5.20170913", Verdict.MIND),
    ],
)
def test_versions(pbs: CapturedPBS, release: str, verdict: Verdict) -> None:
    (pbs.folder / "answers" / "version.txt").write_text(f"pbs_version = {release}\n")
    row = found()["PBS version"]
    assert (row.value, row.verdict) == (release, verdict)


def test_root_is_refused_unless_the_server_lets_it_in(
    pbs: CapturedPBS, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pbs_capabilities, "current_user", lambda: User("root"))
    row = found()["user"]
    assert (row.value, row.verdict) == ("root", Verdict.FAILS)
    pbs.set_server(acl_roots="root@pbshost")
    assert "user" not in found()


def test_a_site_without_ngpus(pbs: CapturedPBS) -> None:
    pbs.lacks_ngpus()
    row = found()["GPUs"]
    assert (row.value, row.verdict) == ("ngpus is no resource here", Verdict.MIND)
    pbs.set("nodes", "pbshost", resources_available={"ncpus": 8, "naccelerators": 4})
    assert found()["GPUs"].value == "ngpus is no resource here, but naccelerators is"


def test_kinds_of_nodes(pbs: CapturedPBS) -> None:
    small = {"ncpus": 4, "mem": "8gb"}
    for name in ("a", "b"):
        pbs.set("nodes", name, state="free", resources_available=small)
    pbs.set("nodes", "pbsnode2", state="offline")
    assert found()["nodes"].value == (
        "3 of 4 up: 2 with ncpus=4, mem=8gb; 1 with ncpus=8, mem=16gb, ngpus=2"
    )
    for name in ("a", "b", "pbshost"):
        pbs.set("nodes", name, state="down")
    row = found()["nodes"]
    assert (row.value, row.verdict) == ("4 of 4 down", Verdict.MIND)


def test_a_server_that_tells_nothing_but_its_version(pbs: CapturedPBS) -> None:
    pbs.command("qstat", 'case "$1" in --version) echo pbs_version = 20.0.1 ;; *) exit 2 ;; esac')
    for name in ("pbsnodes", "qmgr"):
        pbs.refuses(name, "not for you")
    rows = found()
    unknown = ("job history", "node_fail_requeue", "preemption", "queues", "largest array")
    for name in (*unknown, "submit limits", "nodes", "GPUs"):
        assert rows[name].value == "unknown", name
    assert rows["kill_delay"].value == "10 s, unless a queue says otherwise"
