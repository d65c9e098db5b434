"""What only an operator, time or a fault does to jobs, as the stand-in for PBS has it."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fake_pbs
import psutil
import pytest
from fake_pbs import FakePBS
from pbs_clusters import DELETED, FAILED, OK, Cluster, after, ended, number, use_fake

TESTS = Path(__file__).parent
STUBBORN = "trap 'echo term' TERM; {}; while true; do sleep 0.1; done"


@pytest.fixture
def pbs(tmp_path: Path) -> Iterator[FakePBS]:
    found = fake_pbs.install(tmp_path)
    with contextlib.closing(found):
        yield found


@pytest.fixture
def cluster(pbs: FakePBS, tmp_path: Path) -> Cluster:
    return use_fake(pbs, tmp_path)


def test_a_job_that_does_not_end_is_killed_after_the_delay(pbs: FakePBS, cluster: Cluster) -> None:
    pbs.change(kill_delay=2.0)
    job = cluster.bash(STUBBORN.format(cluster.started), "-k", "doe", "-o", "said")
    cluster.until_it_runs(job)
    cluster.run("qdel", job)
    cluster.run("qdel", job)
    told = cluster.show(job)[job]
    assert (told["job_state"], told["substate"]) == ("R", 42)
    assert told["comment"].endswith(" and terminated by " + told["Job_Owner"])
    assert ended(*cluster.wait(job)) == (265, DELETED)
    assert cluster.text("said") == "term\nterm\n"


def test_children_have_the_delay_even_if_their_leader_ends(pbs: FakePBS, cluster: Cluster) -> None:
    pbs.change(kill_delay=2.0)
    child = "(trap '' TERM; while sleep 0.1; do date +%s.%N >>last; done)"
    job = cluster.bash(f"cd $PBS_O_WORKDIR; {child} & {cluster.started}; wait")
    cluster.until_it_runs(job)
    cluster.run("qdel", job)
    at = time.time()
    assert ended(*cluster.wait(job)) == (271, DELETED)
    assert cluster.last("last") > at + 0.5


def test_qdel_right_after_the_start_is_felt_late(pbs: FakePBS, cluster: Cluster) -> None:
    pbs.change(blind_s=30.0)
    job, short = cluster.bash("trap 'exit 7' TERM; sleep 60"), cluster.bash(cluster.until("go"))
    waits = cluster.submit(*after("afternotok", job), "--", "/bin/true")
    for job_id in (job, short):
        assert cluster.wait(job_id, states="R")[0]["substate"] == 41
        cluster.run("qdel", job_id)
    cluster.write("go")
    assert [ended(each) for each in cluster.wait(job, short, waits)] == [
        (265, FAILED), (0, OK), (0, OK),
    ]  # fmt: skip


def test_the_end_of_the_walltime(pbs: FakePBS, cluster: Cluster) -> None:
    pbs.change(walltime_late=0.5)
    job = cluster.bash("trap 'exit 0' TERM; sleep 60 & wait", "-l", "walltime=1")
    waits = cluster.true(*after("afternotok", job))
    (found,) = cluster.wait(job)
    assert ended(found) == (-29, FAILED)
    assert found["comment"].endswith(" and exceeded resource walltime")
    told = cluster.text(f"STDIN.e{number(job)}")
    assert re.fullmatch(r"=>> PBS: job killed: walltime [1-9]\d* exceeded limit 1\n", told)
    assert ended(*cluster.wait(waits)) == (0, OK)


def test_a_preempted_job_keeps_its_id_and_its_output(pbs: FakePBS, cluster: Cluster) -> None:
    trap = f"trap '{cluster.until('go')}; exit 7' TERM"
    program = f"echo ran; {trap}; {cluster.started}; sleep 60 & wait"
    job = cluster.bash(program, "-o", "said")
    waits = cluster.true(*after("afterany", job))
    cluster.until_it_runs(job)
    pbs.change(nodes={})
    pbs.requeue(job)
    assert cluster.show(job)[job]["substate"] == 60
    cluster.write("go")
    (queued,) = cluster.wait(job, states="Q")
    assert (ended(queued), queued["run_count"]) == ((-11, 10), 1)
    pbs.change(nodes={"other": {"ncpus": 1}})
    (running,) = cluster.wait_for_start(job)
    assert (running["run_count"], running["exec_vnode"]) == (2, "(other:ncpus=1)")
    assert "Exit_status" not in running
    assert cluster.show(waits)[waits]["job_state"] == "H"
    cluster.until_it_runs(job)
    cluster.run("qdel", job)
    assert ended(*cluster.wait(job)) == (7, DELETED)
    assert cluster.text("said") == "ran\nran\n"


def test_a_requeued_job_that_may_not_run_again(pbs: FakePBS, cluster: Cluster) -> None:
    job = cluster.bash("sleep 60", "-r", "n")
    cluster.wait_for_start(job)
    with pytest.raises(AssertionError, match=f"job is not rerunnable {job}"):
        pbs.requeue(job)
    pbs.change(operator=True)
    assert cluster.ask("qrerun", job) == (190, f"qrerun: job is not rerunnable {number(job)}.HOST")
    other = cluster.bash("sleep 60")
    cluster.wait_for_start(other)
    assert cluster.ask("qrerun", other) == (0, "")
    assert cluster.wait(other, states="R")[0]["run_count"] == 2


def test_time_stands_still_for_a_suspended_job(pbs: FakePBS, cluster: Cluster) -> None:
    pbs.change(walltime_late=0.0)
    note = "while sleep 0.1; do date +%s.%N >>last; done"
    job = cluster.bash(f"cd $PBS_O_WORKDIR; {cluster.started}; {note}", "-l", "walltime=3")
    cluster.until_it_runs(job)
    pbs.suspend(job)
    told = cluster.show(job)[job]
    assert (told["job_state"], told["substate"], told["run_count"]) == ("S", 45, 1)
    assert told["comment"] == "Not Running: Not enough free nodes available"
    refused = f"qsig: Request invalid for state of job {number(job)}.HOST"
    assert cluster.ask("qsig", "-s", "TERM", job) == (168, refused)
    stopped = time.time()
    time.sleep(3.2)
    assert cluster.last("last") <= stopped
    pbs.resume(job)
    assert cluster.show(job)[job]["job_state"] == "R"
    assert ended(*cluster.wait(job)) == (-29, FAILED)
    assert cluster.last("last") > stopped + 3.2


def test_without_history_what_is_over_is_unknown(pbs: FakePBS, cluster: Cluster) -> None:
    pbs.change(history=False)
    live, over = cluster.true("-h"), cluster.true()
    while cluster.ask("qstat", over)[0] != 153:
        time.sleep(0.02)
    off = "PBS is not configured to maintain job history"
    for job in (live, over):
        assert cluster.ask("qstat", "-x", job) == (0, f"qstat: {off} {number(job)}.HOST")
        assert not cluster.show(job)
    assert cluster.ask("qselect", "-x") == (0, f"qselect: {off}")
    assert cluster.ask("qstat", "-f", "-F", "json", live) == (0, "")


def test_history_ends(pbs: FakePBS, cluster: Cluster) -> None:
    first, second = cluster.true(), cluster.true()
    cluster.wait(first, second)
    pbs.purge(first)
    assert list(cluster.show(first, second)) == [second]
    pbs.change(history_s=0.0)
    cluster.ask("qstat")
    assert not cluster.show(second)


def test_limits_on_what_may_be_submitted(pbs: FakePBS, cluster: Cluster) -> None:
    pbs.change(max_queued=2)
    cluster.true("-h")
    assert cluster.ask("qsub", "-J", "0-1", "--", "/bin/true") == (
        38, "qsub: would exceed complex's per-user limit",
    )  # fmt: skip
    assert number(cluster.true("-h")) == "3"  # a refusal burns a number
    assert cluster.ask("qsub", "--", "/bin/true")[0] == 38
    pbs.change(max_queued=None, queued_jobs_threshold=0)
    told = "qsub: would exceed complex's per-user limit of jobs in 'Q' state"
    assert cluster.ask("qsub", "--", "/bin/true") == (38, told)


def test_submitting_from_inside_a_job_may_be_forbidden(pbs: FakePBS, cluster: Cluster) -> None:
    program = f"{pbs.folder}/bin/qsub -- /bin/true"
    allowed = cluster.bash(program)
    cluster.wait(allowed)
    assert cluster.text(f"STDIN.o{number(allowed)}") == "2.fakepbs\n"
    pbs.change(qsub_in_jobs=False)
    refused = cluster.bash(program)
    assert ended(*cluster.wait(refused)) == (175, FAILED)
    told = "qsub: Bad UID for job execution\n"
    assert cluster.text(f"STDIN.e{number(refused)}") == told


def test_jobs_share_the_nodes(pbs: FakePBS, cluster: Cluster) -> None:
    pbs.change(nodes={"one": {"ncpus": 2}, "two": {"ncpus": 2}})
    wide = ("-l", "select=2:ncpus=1:mpiprocs=2", "-l", "place=scatter")
    job = cluster.bash(f"cat $PBS_NODEFILE; {cluster.until('go')}", *wide)
    cluster.wait_for_start(job)
    small, alone = (
        cluster.bash(cluster.until("go")),
        cluster.true("-l", "place=excl", "-l", "select=1"),
    )
    large = cluster.true("-q", "express", "-l", "select=1:ncpus=2")
    cluster.wait_for_start(small)
    waiting = [(each["job_state"], each["comment"]) for each in cluster.show(alone, large).values()]
    assert waiting == [
        ("Q", "Not Running: No available resources on nodes"),
        ("Q", "Not Running: Insufficient amount of resource: ncpus "),
    ]
    three = cluster.true("-l", "select=3:ncpus=1", "-l", "place=scatter")
    (never,) = cluster.wait(three, states="Q", once=lambda found: "comment" in found)
    assert never["comment"] == "Can Never Run: Not enough total nodes available"
    cluster.write("go")
    assert cluster.wait(job)[0]["exec_vnode"] == "(one:ncpus=1)+(two:ncpus=1)"
    assert cluster.text(f"STDIN.o{number(job)}").split() == ["one", "one", "two", "two"]
    assert [ended(each) for each in cluster.wait(alone, large)] == [(0, OK)] * 2


def test_output_into_a_missing_folder(pbs: FakePBS, cluster: Cluster) -> None:
    at_once = cluster.true("-k", "doe", "-o", "missing/out")
    (held,) = cluster.wait(at_once, states="H")
    assert held["comment"] == "job held, too many failed attempts to run"
    assert (held["Exit_status"], held["Hold_Types"], held["run_count"]) == (-3, "s", 21)
    in_the_end = cluster.true("-o", "missing/out")
    (found,) = cluster.wait(in_the_end)
    assert (ended(found), found["Stageout_status"]) == ((0, OK), 0)


def test_a_job_stays_in_its_exit_for_a_while(pbs: FakePBS, cluster: Cluster) -> None:
    pbs.change(exiting_s=30.0)
    job = cluster.true()
    (found,) = cluster.wait(job, states="E")
    assert ended(found) == (0, 51)
    refused = f"qdel: Request invalid for state of job {number(job)}.HOST"
    assert cluster.ask("qdel", job) == (168, refused)


def test_commands_can_be_made_to_fail(pbs: FakePBS, cluster: Cluster) -> None:
    pbs.fail("qstat", "no answer\n", times=2)
    pbs.fail("qsub", "lost\n", status=9, acts=True)
    assert cluster.ask("qstat", "-x", "-f") == (1, "no answer")
    assert cluster.ask("qsub", "--", "/bin/true") == (9, "lost")
    assert cluster.ask("qstat") == (1, "no answer")
    assert cluster.ask("qstat") == (0, "")
    assert list(pbs.jobs()) == ["1.fakepbs"]
    assert pbs.calls("qstat") == [["-x", "-f"], [], []]
    pbs.fail("qdel", "", kills=True)
    killed = cluster.run("bash", "-c", "qdel 1; echo lives on")
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, "")


def test_what_is_not_understood_fails_loudly(cluster: Cluster) -> None:
    told = "the stand-in's {} does not understand {}".format
    loud = {
        ("qsub", "-I"): told("qsub", "-I"),
        ("qsub", "-W", "group_list=x", "--", "/bin/true"): told("qsub", "-W group_list=x"),
        ("qsub", "-W", "depend=on:1", "--", "/bin/true"): told("qsub", "-W depend=on:1"),
        ("qsub", "-l", "nodes=1:ppn=2", "--", "/bin/true"): told("qsub", "-l nodes=1:ppn=2"),
        ("qstat", "-f"): told("qstat", "any format but -f -F json"),
        ("qalter", "-o", "x", "1"): told("qalter", "-o x"),
        ("qdel", "-W", "suppress_email=1", "1"): told("qdel", "-W suppress_email=1"),
    }
    assert {words: cluster.ask(*words) for words in loud} == {k: (64, v) for k, v in loud.items()}
    job = cluster.true("-h")
    behind = "9: unknown jobs behind others bring a server down"
    assert cluster.ask("qdel", job, "9") == (64, told("qdel", behind))


def test_a_server_that_is_gone(pbs: FakePBS, cluster: Cluster) -> None:
    job = cluster.bash(f"{cluster.started}; setsid sleep 300 & sleep 300")
    cluster.until_it_runs(job)
    children = {process.pid for process in psutil.process_iter() if is_of(process, job, pbs)}
    assert len(children) >= 2
    pbs.stop()
    assert cluster.ask("qstat") == (255, "Connection refused")
    assert cluster.ask("qsub", "--", "/bin/true")[0] == 162
    assert "Couldn't connect to cluster: fakepbs" in cluster.run("qdel", job).stderr
    assert not [process for process in psutil.process_iter() if is_of(process, job, pbs)]


def is_of(process: psutil.Process, job: str, pbs: FakePBS) -> bool:
    """Whether a process has the environment of a job."""
    try:
        living = process.status() != psutil.STATUS_ZOMBIE
        return living and process.environ().get("PBS_JOBCOOKIE") == f"{pbs.folder}:{job}"
    except psutil.Error:
        return False


def test_the_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys; sys.path.insert(0, sys.argv[1]); import fake_pbs, os\n"
        "pbs = fake_pbs.install(pathlib.Path(sys.argv[2]))\n"
        "print(pbs.server.pid, flush=True); os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, TESTS, tmp_path], capture_output=True, text=True, check=True
    )
    server = int(done.stdout)
    deadline = time.monotonic() + 30
    while psutil.pid_exists(server) and psutil.Process(server).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_commands_come_first_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PBS_JOBID", "7.elsewhere")
    monkeypatch.setenv("GANYMEDE_TOKEN", "t1")
    with contextlib.closing(fake_pbs.install(tmp_path, monkeypatch)) as pbs:
        command = ["qsub", "-h", "--", "/bin/true"]
        told = subprocess.run(command, capture_output=True, text=True, check=True)
        assert told.stdout == "1.fakepbs\n"
        assert not {"PBS_JOBID", "GANYMEDE_TOKEN"} & os.environ.keys()
        assert pbs.environment()["PATH"].startswith(f"{pbs.folder}/bin{os.pathsep}")
