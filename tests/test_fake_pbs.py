"""What the stand-in for PBS does is what a real OpenPBS does, if there is one on this machine."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pbs_clusters import DELETED, FAILED, IDLES, OK, Cluster, after, ended, number, use


@pytest.fixture(params=["fake", "real"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    with use(request.param, tmp_path) as found:
        yield found


def test_exit_statuses(cluster: Cluster) -> None:
    cluster.write("killed.sh", "kill -9 $$\n")
    cluster.write("python.sh", "#!/usr/bin/env python3\n#PBS -N py\nraise SystemExit(5)\n")
    jobs = cluster.wait(
        cluster.submit("--", "/bin/true"),
        cluster.bash("exit 9"),
        cluster.bash("kill -9 $$"),
        cluster.bash("kill -USR1 $$"),
        cluster.submit("--", "/no/such/program"),
        cluster.submit("--", "true"),  # which is not looked for on PATH
        cluster.submit("killed.sh"),
        cluster.submit("python.sh"),
    )
    assert [ended(job) for job in jobs] == [
        (0, OK), (9, FAILED), (265, FAILED), (266, FAILED), (254, FAILED), (254, FAILED),
        (137, FAILED), (5, FAILED),
    ]  # fmt: skip
    assert [job["Job_Name"] for job in jobs[-3:]] == ["STDIN", "killed.sh", "py"]
    assert jobs[0]["comment"].endswith(":ncpus=1) and finished")
    assert jobs[1]["comment"].endswith(" and failed")
    assert all(job["run_count"] == 1 for job in jobs)


def test_what_waits_for_a_job_runs_or_is_deleted_as_it_ends(cluster: Cluster) -> None:
    good, bad = cluster.bash("exit 0", "-h"), cluster.bash("exit 3", "-h")
    kinds = ("afterok", "afternotok", "afterany")
    children = [cluster.true(*after(kind, job)) for job in (good, bad) for kind in kinds]
    grandchild = cluster.true(*after("afterany", children[3]))
    parent, held = cluster.show(children[0], bad).values()  # in the order of submission
    assert (held["job_state"], held["substate"], held["Hold_Types"]) == ("H", 22, "s")
    assert held["depend"] == f"afterok:{good}@{cluster.host}"
    mirrored = zip(("ok", "notok", "any"), children[3:], strict=True)
    told = ",".join(f"before{kind}:{child}@{cluster.host}" for kind, child in mirrored)
    assert parent["depend"] == told
    cluster.run("qrls", good, bad)
    jobs = cluster.wait(*children, grandchild)
    ran, deleted = (0, OK), (None, OK)
    assert [ended(job) for job in jobs] == [ran, deleted, ran, deleted, ran, ran, deleted]
    assert "depend" not in jobs[0]
    assert jobs[3]["Hold_Types"] == "s"
    assert jobs[3]["depend"].startswith(f"afterok:{bad}@{cluster.host},")
    assert not jobs[3].keys() & {"run_count", "stime", "comment"}


def test_dependencies_on_what_is_over_or_was_never_there(cluster: Cluster) -> None:
    good, bad, never = cluster.true(), cluster.bash("exit 1"), cluster.true("-h")
    assert cluster.ask("qdel", never) == (0, "")
    cluster.wait(good, bad, never)
    jobs = cluster.wait(
        cluster.true(*after("afterok", good)),
        cluster.true(*after("afternotok", good)),
        cluster.true(*after("afterok", bad)),
        cluster.true(*after("afterany", bad, good)),
        cluster.true(*after("afterok", "9999999")),
        cluster.true(*after("afterok", never)),  # as if that had gone well
    )
    assert [job.get("Exit_status") for job in jobs] == [0, None, None, 0, None, 0]


def test_a_job_that_is_deleted_before_it_ran_leaves_what_waits_held(cluster: Cluster) -> None:
    parent = cluster.true("-h")
    kinds = ("afterok", "afternotok", "afterany", "after")
    children = [cluster.true(*after(kind, parent)) for kind in kinds]
    cluster.run("qdel", parent)
    (job,) = cluster.wait(parent)
    assert ended(job) == (None, DELETED)
    assert "run_count" not in job
    time.sleep(0.5)
    assert {job["job_state"] for job in cluster.show(*children).values()} == {"H"}
    assert cluster.ask("qalter", *after("afterok", parent), children[0]) == (0, "")
    assert ended(*cluster.wait(children[0])) == (0, OK)


@pytest.mark.parametrize("kind", ["afterok", "afterany"])
def test_deleting_a_job_that_waits_for_another_deletes_what_waits_for_it(
    cluster: Cluster, kind: str
) -> None:
    first = cluster.true("-h")
    second = cluster.true(*after("afterany", first))
    third = cluster.true(*after(kind, second))
    cluster.run("qdel", second)
    assert [ended(job) for job in cluster.wait(second, third)] == [(None, DELETED), (None, OK)]


@pytest.mark.parametrize("status", [0, 7])
def test_a_deleted_job_ends_as_it_likes_but_is_no_success(cluster: Cluster, status: int) -> None:
    waits = f"trap 'echo caught; exit {status}' TERM; {cluster.started}; {IDLES}"
    job = cluster.bash(waits, "-o", "said", "-k", "doe")
    kinds = ("afterok", "afternotok", "afterany")
    children = [cluster.true(*after(kind, job)) for kind in kinds]
    owner = cluster.until_it_runs(job)["Job_Owner"]
    assert cluster.ask("qdel", job) == (0, "")
    (found,) = cluster.wait(job)
    # Once in a while a real MoM loses an exit status, and tells 0.
    assert found["Exit_status"] in ({status} if cluster.host == "fakepbs" else {status, 0})
    assert found["substate"] == DELETED
    assert found["comment"].endswith(f" and terminated by {owner}")
    assert [ended(each) for each in cluster.wait(*children)] == [(None, OK), (0, OK), (0, OK)]
    assert cluster.text("said") == "caught\n"


def test_what_once_waited_for_a_job_is_deleted_with_it(cluster: Cluster) -> None:
    job = cluster.bash(f"{cluster.started}; {cluster.until('go')}; exit 1")
    turned, running = (cluster.bash("sleep 60", *after("afterok", job)) for _ in range(2))
    other, done = cluster.true("-h"), cluster.true()
    cluster.wait(done)
    assert cluster.ask("qalter", *after("afterok", other), turned) == (0, "")
    assert cluster.ask("qalter", *after("afterok", done), running) == (0, "")
    assert cluster.show(turned)[turned]["depend"] == f"afterok:{other}@{cluster.host}"
    cluster.wait_for_start(running)
    cluster.write("go")
    jobs = cluster.wait(job, turned, running)
    assert [ended(each) for each in jobs] == [(1, FAILED), (None, OK), (265, FAILED)]


def test_a_successor_takes_over_what_waits(cluster: Cluster) -> None:
    job = cluster.bash(cluster.until("go"))
    waits = cluster.true(*after("afterok", job))
    successor = cluster.bash(cluster.until("on"), *after("afterany", job))
    assert cluster.ask("qalter", *after("afterok", successor), waits) == (0, "")
    cluster.write("go")
    cluster.wait(job)
    assert cluster.show(waits)[waits]["job_state"] == "H"
    cluster.write("on")
    assert [ended(each) for each in cluster.wait(successor, waits)] == [(0, OK), (0, OK)]


def test_a_type_of_dependency_replaces_only_its_own(cluster: Cluster) -> None:
    first, second = cluster.true("-h"), cluster.true("-h")
    waits = cluster.true(*after("afterok", first))
    cluster.run("qalter", *after("afterany", second), waits)
    kept = f"afterok:{first}@{cluster.host},afterany:{second}@{cluster.host}"
    assert cluster.show(waits)[waits]["depend"] == kept


def test_signals_reach_every_process_of_the_session(cluster: Cluster) -> None:
    child = "(trap 'echo child; exit' USR1; touch child; for i in {1..600}; do sleep 0.1; done)"
    leads = f"cd $PBS_O_WORKDIR; trap 'echo top' USR1; {child} & {cluster.until('child')}; "
    job = cluster.bash(leads + f"{cluster.started}; wait; wait", "-o", "said")
    cluster.until_it_runs(job)
    assert cluster.ask("qsig", "-s", "USR1", job) == (0, "")
    assert ended(*cluster.wait(job)) == (0, OK)
    assert sorted(cluster.text("said").split()) == ["child", "top"]


def test_a_login_shell_above_a_script_dies_of_a_signal(cluster: Cluster) -> None:
    cluster.write("s.sh", f"trap : USR1\n{cluster.started}\nsleep 60\n")
    job = cluster.submit("s.sh")
    cluster.until_it_runs(job)
    assert cluster.ask("qsig", "-s", str(int(signal.SIGUSR1)), job) == (0, "")
    assert cluster.wait(job)[0]["Exit_status"] in (266, 138)  # the script may die before it


def test_only_other_sessions_outlive_a_job(cluster: Cluster) -> None:
    inside = "while sleep 0.1; do date +%s.%N >>in; done"
    outside = "for i in {1..60}; do sleep 0.1; date +%s.%N >>out; done"
    starts = f"cd $PBS_O_WORKDIR; ({inside}) & setsid bash -c '{outside}' & sleep 0.5"
    cluster.wait(cluster.bash(starts))
    over = time.time()
    time.sleep(0.5)
    assert cluster.last("in") < over < cluster.last("out")


def test_the_environment_of_a_program(cluster: Cluster) -> None:
    program = "env -0 >$PBS_O_WORKDIR/env; pwd; umask; cat $PBS_NODEFILE"
    variables = ("-v", "A=1,B='x,y'", "-v", "A=007,B='x, y'")
    job = cluster.bash(program, *variables, "-l", "select=1:ncpus=2:mpiprocs=2", "-N", "n")
    (found,) = cluster.wait(job)
    environment = dict(line.split("=", 1) for line in cluster.text("env").split("\0") if line)
    names = {name for name in environment if not name.startswith("PBS_O_")}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {
        "A", "B", "ENVIRONMENT", "HOME", "LOGNAME", "NCPUS", "OMP_NUM_THREADS", "PATH",
        "PBS_ENVIRONMENT", "PBS_JOBCOOKIE", "PBS_JOBDIR", "PBS_JOBID", "PBS_JOBNAME",
        "PBS_MOMPORT", "PBS_NODEFILE", "PBS_NODENUM", "PBS_QUEUE", "PBS_TASKNUM", "SHELL",
        "TMPDIR", "USER",
    }  # fmt: skip
    assert environment["PATH"] == "/bin:/usr/bin"
    assert (environment["A"], environment["B"]) == ("007", "x, y")
    assert (environment["PBS_JOBID"], environment["PBS_JOBNAME"]) == (job, "n")
    assert environment["PBS_O_WORKDIR"] == str(cluster.folder)
    assert (found["Variable_List"]["A"], found["Variable_List"]["B"]) == (7, "x, y")
    home, node = environment["HOME"], found["exec_host"].partition("/")[0]
    assert cluster.text(f"n.o{number(job)}") == f"{home}\n0077\n{node}\n{node}\n"
