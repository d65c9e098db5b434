"""What the stand-in for PBS makes of programs, scripts and arrays is what a real OpenPBS does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pbs_clusters import DELETED, FAILED, IDLES, OK, Cluster, after, ended, number, use


@pytest.fixture(params=["fake", "real"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    with use(request.param, tmp_path) as found:
        yield found


def test_where_output_goes(cluster: Cluster) -> None:
    cluster.write("old", "before\n")
    cluster.write("kept", "before\n")
    cluster.run("mkdir", "folder")
    says = "echo out; echo err >&2"
    inside = cluster.bash(says, "-o", "folder/", "-e", f"{cluster.folder}/folder")
    jobs = [
        inside,
        cluster.bash(says, "-o", "old", "-j", "oe", "-W", "umask=022"),
        cluster.bash(says, "-o", "kept", "-k", "doe", "-W", "umask=022"),
        cluster.bash(says, "-N", "name"),
    ]
    cluster.wait(*jobs)
    assert cluster.text(f"folder/{inside}.OU") == "out\n"
    assert cluster.text(f"folder/{inside}.ER") == "err\n"
    assert cluster.text("old") == "out\nerr\n"
    assert cluster.text("kept") == "before\nout\n"
    assert cluster.text(f"STDIN.e{number(jobs[2])}") == "err\n"
    assert cluster.text(f"name.o{number(jobs[3])}") == "out\n"
    modes = [(cluster.folder / f"{name}.e{number(job)}").stat().st_mode & 0o777
             for name, job in (("STDIN", jobs[2]), ("name", jobs[3]))]  # fmt: skip
    assert modes == [0o644, 0o600]


def test_dev_null_stays_everybodys(cluster: Cluster) -> None:
    mode = Path("/dev/null").stat().st_mode
    cluster.wait(cluster.bash("echo out", "-o", "/dev/null", "-e", "/dev/null"))
    assert Path("/dev/null").stat().st_mode == mode


def test_a_script_and_the_options_in_it(cluster: Cluster) -> None:
    told = "#!/bin/bash\n#PBS -N told -j oe\n#PBS -v A=1\n\n# now\necho $A $0\n#PBS -N late\n"
    cluster.write("s.sh", told)
    over = cluster.submit("-v", "A=2", "s.sh")
    blocked = cluster.run("qsub", "-W", "block=true", "--", "/bin/bash", "-c", "exit 9")
    assert blocked.returncode == 9
    (job,) = cluster.wait(over)
    assert job["Job_Name"] == "told"
    assert cluster.text(f"told.o{number(over)}").startswith("2 ")
    assert cluster.text(f"told.o{number(over)}").endswith(f"/{over}.SC\n")


def test_arguments_arrive_as_they_were_given(cluster: Cluster) -> None:
    words = ["a b", "c'd", '"', "$HOME", "<x>&", "", "\\", "*"]
    program = "import sys; print(sys.argv[1:])"
    job = cluster.submit("-o", "said", "--", "/usr/bin/env", "python3", "-c", program, *words)
    cluster.wait(job)
    assert cluster.text("said") == f"{[word for word in words if word]}\n"


def test_pbsdsh_starts_tasks_in_sessions_of_their_own(cluster: Cluster) -> None:
    task = "echo $PBS_TASKNUM $PBS_JOBID $A $PWD ${PBS_NODEFILE-none}; ps -o sid= -p $$; echo $$"
    where = cluster.run("bash", "-c", "command -v pbsdsh").stdout.strip()
    program = f"{where} -n 0 -- /bin/bash -c '{task}; exit 3'; echo $?; {where} -- /no/such"
    # Joined, since a MoM was seen to put what tasks print into the job's stderr.
    job = cluster.bash(f"export A=2; {program}; pwd", "-v", "A=1", "-j", "oe", "-o", "said")
    cluster.wait(job)
    said = [line for line in cluster.text("said").splitlines() if "No such file" not in line]
    first, session, process, *told, home = said
    assert first.split() == ["00000002", job, "1", home, "none"]
    assert int(session) == int(process)
    statuses = [f"pbsdsh: task 0x00000000 exit status {status}" for status in (3, 254)]
    assert [line.rpartition("/")[2] for line in told] == [statuses[0], "0", statuses[1]]


def test_arrays(cluster: Cluster) -> None:
    program = f"echo $PBS_ARRAY_ID; {cluster.until('go')}; exit $PBS_ARRAY_INDEX"
    array = cluster.bash(program, "-J", "0-3%2", "-o", "x.^array_index^", "-N", "a")
    ok, notok = cluster.true(*after("afterok", array)), cluster.true(*after("afternotok", array))
    tasks = [array.replace("[]", f"[{i}]") for i in range(4)]
    (whole,) = cluster.wait(array, states="B")
    cluster.wait_for_start(*tasks[:2])
    assert whole["substate"] == 70 and whole["array_indices_submitted"] == "0-3"
    whole = cluster.show(array)[array]
    assert whole["array_state_count"].strip() == "Queued:2 Running:2 Exiting:0 Expired:0"
    assert whole["array_indices_remaining"] == "2-3"
    queued = cluster.show(tasks[2])[tasks[2]]
    assert (queued["job_state"], queued["comment"]) == ("Q", whole["comment"])
    assert "run_count" not in queued
    assert cluster.run("qstat", "-t", array).stdout.count(" a ") == 5
    assert cluster.ask("qdel", tasks[3]) == (0, "")
    assert cluster.ask("qalter", "-N", "b", tasks[0])[0] == 156
    cluster.write("go")
    jobs = cluster.wait(array, *tasks)
    expired = (1, FAILED)  # what it shows is its array's
    assert [ended(job) for job in jobs] == [(1, FAILED), (0, OK), (1, FAILED), (2, FAILED), expired]
    assert (jobs[4]["comment"], "run_count" in jobs[4]) == ("Subjob finished", False)
    assert [ended(job) for job in cluster.wait(ok, notok)] == [(None, OK), (0, OK)]
    assert cluster.text("x.2") == f"{array}\n"
    assert cluster.text(f"a.e{number(array)}.0") == ""


def test_an_array_that_is_deleted_while_it_runs_forgets_what_had_ended(cluster: Cluster) -> None:
    waits = f"trap 'exit 5' TERM; {cluster.started}; {IDLES}"
    array = cluster.bash(f"[ $PBS_ARRAY_INDEX = 0 ] && exit 0; {waits}", "-J", "0-1")
    tasks = [array.replace("[]", f"[{i}]") for i in range(2)]
    assert ended(*cluster.wait(tasks[0], states="X")) == (0, OK)
    cluster.until_it_runs(tasks[1])
    assert cluster.ask("qdel", array) == (0, "")
    jobs = cluster.wait(array, *tasks)
    assert [ended(job) for job in jobs] == [(1, DELETED), (1, DELETED), (5, DELETED)]
    assert "run_count" not in jobs[1]


def test_a_held_array_that_is_deleted_frees_what_waits_unlike_a_held_job(cluster: Cluster) -> None:
    array = cluster.true("-h", "-J", "0-1")
    kinds = ("afterok", "afternotok", "afterany", "after")
    children = [cluster.true(*after(kind, array)) for kind in kinds]
    task = array.replace("[]", "[0]")
    assert [job["job_state"] for job in cluster.show(array, task).values()] == ["H", "Q"]
    assert cluster.ask("qdel", array) == (0, "")
    jobs = cluster.wait(*children)
    assert [job.get("Exit_status") for job in jobs] == [None, 0, 0, None]


def test_all_of_an_environment_and_a_script_from_stdin(cluster: Cluster) -> None:
    told = "echo 'echo $TOLD $A' | TOLD='two words' qsub -V -v A=1 -N stdin"
    done = cluster.run("bash", "-c", told)
    job = done.stdout.strip()
    cluster.submitted.append(job)
    cluster.wait(job)
    assert cluster.text(f"stdin.o{number(job)}") == "two words 1\n"
