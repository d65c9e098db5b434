"""What the commands of the stand-in for PBS take, refuse and say is what those of OpenPBS do."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pbs_clusters import Cluster, after, number, use

TRUE = ("--", "/bin/true")
NOWHERE = "9999999"  # the number of no job


@pytest.fixture(params=["fake", "real"])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    with use(request.param, tmp_path) as found:
        yield found


def test_what_qsub_refuses(cluster: Cluster) -> None:
    cluster.write("cr.sh", "echo a\r\n")
    cluster.write("trailing.sh", "#PBS -l select=1:ncpus=1 # trailing\n")
    illegal = "qsub: illegal -{} value".format
    resource = "qsub: Illegal attribute or resource value {}".format
    refused = {
        ("-J", "0-0", *TRUE): (2, illegal("J")),
        ("-J", "0,2,5", *TRUE): (2, illegal("J")),
        ("-J", "0-20000", *TRUE): (3, "qsub: Array job exceeds server or queue size limit"),
        ("-r", "n", "-J", "0-1", *TRUE): (2, "qsub:  cannot submit non-rerunable Array Job"),
        ("-q", "nosuch", *TRUE): (170, "qsub: Unknown queue"),
        ("-l", "nosuch=3", *TRUE): (187, "qsub: Unknown resource Resource_List.nosuch"),
        ("-l", "select=1:nosuch=3", *TRUE): (187, "qsub: Unknown resource: nosuch"),
        ("-l", "select=1:ncpus=abc", *TRUE): (166, resource("select.ncpus")),
        ("-l", "select=1:mem=1.5gb", *TRUE): (166, resource("select.mem")),
        ("-l", "select=1:mem=10XB", *TRUE): (166, resource("select.mem")),
        ("-l", "walltime=1-00:00:00", *TRUE): (166, resource("Resource_List.walltime")),
        ("-l", "place=bogus", *TRUE): (166, resource("Resource_List.place")),
        ("-l", "select=", *TRUE): (166, resource("Resource_List.select")),
        ("-l", "select=1", "-l", "ncpus=2", *TRUE): (
            5,
            'qsub: "-lresource=" cannot be used with "select" or "place", resource is: ncpus',
        ),
        ("-W", "depend=bogus:1", *TRUE): (2, illegal("W")),
        ("-W", "depend=afterok:abc", *TRUE): (2, illegal("W")),
        ("-W", "depend=afterok:", *TRUE): (2, illegal("W")),
        ("-W", "depend=", *TRUE): (2, illegal("W")),
        ("-W", "depend=afterok:9[1]", *TRUE): (2, illegal("W")),
        ("-N", "has space", *TRUE): (2, illegal("N")),
        ("-N", "a/b", *TRUE): (2, illegal("N")),
        ("-N", "n" * 301, *TRUE): (2, "qsub: Job name is too long "),
        ("-k", "xyz", *TRUE): (2, illegal("k")),
        ("-j", "xyz", *TRUE): (2, illegal("j")),
        ("-a", "9", *TRUE): (2, illegal("a")),
        ("-v", "V=it's", *TRUE): (1, "qsub: cannot send environment with the job"),
        ("-v", "NO_SUCH_VARIABLE", *TRUE): (1, "qsub: cannot send environment with the job"),
        ("-Z",): (2, "qsub: invalid option -- 'Z'"),
        ("missing.sh",): (1, "qsub: script file:: No such file or directory"),
        ("cr.sh",): (1, "qsub: script contains cr, lf"),
        ("trailing.sh",): (
            1,
            "qsub: directive error: -l select=1:ncpus=1 # trailing ",
        ),
    }
    assert {words: cluster.ask("qsub", "-h", *words) for words in refused} == refused
    assert "usage: qsub" in cluster.run("qsub", "trailing.sh", "an argument").stderr


def test_what_other_commands_refuse(cluster: Cluster) -> None:
    done, held = cluster.true(), cluster.true("-h")
    running = cluster.bash("sleep 60", "-l", "walltime=100")
    cluster.wait(done)
    cluster.wait_for_start(running)
    gone, here = f"{number(done)}.HOST", f"{number(running)}.HOST"
    unknown = f"Unknown Job Id {NOWHERE}.HOST"
    hint = "use -x or -H to obtain historical job information"
    busy = "qalter: Cannot modify attribute while job running "
    refused = {
        ("qdel", NOWHERE): (153, f"qdel: {unknown}"),
        ("qdel", "garbage"): (1, "qdel: illegally formed job identifier: garbage"),
        ("qdel", done): (35, f"qdel: Job has finished {gone}"),
        ("qdel", NOWHERE, held): (153, f"qdel: {unknown}"),
        ("qsig", "-s", "TERM", NOWHERE): (153, f"qsig: {unknown}"),
        ("qsig", "-s", "TERM", done): (35, "qsig: Job has finished"),
        ("qsig", "-s", "BOGUS", running): (165, f"qsig: Unknown/illegal signal name {here}"),
        ("qsig", "-s", "suspend", running): (159, f"qsig: Unauthorized Request  {here}"),
        ("qsig", "-s", "0", running): (0, ""),
        ("qrerun", running): (159, f"qrerun: Unauthorized Request  {here}"),
        ("qrerun", NOWHERE): (153, f"qrerun: {unknown}"),
        ("qstat", NOWHERE): (153, f"qstat: {unknown}"),
        ("qstat", done): (35, f"qstat: {gone} Job has finished, {hint}"),
        ("qstat", "garbage"): (170, "qstat: Unknown queue destination garbage"),
        ("qstat", "-E", "garbage"): (1, "qstat: Express option can only be used with job ids"),
        ("qalter", "-N", "n", NOWHERE): (153, f"qalter: {unknown}"),
        ("qalter", "-N", "n", done): (35, "qalter: Job has finished"),
        ("qalter", "-W", "depend=bogus:1", running): (2, "qalter: illegal -W value"),
        ("qalter", *after("afterok", done), running): (167, f"{busy} depend {here}"),
        ("qalter", "-l", "select=2", running): (167, f"{busy} Resource_List.select {here}"),
        ("qalter", "-l", "walltime=400", running): (159, f"qalter: Unauthorized Request  {here}"),
        ("qalter", "-l", "walltime=50", running): (0, ""),
        ("qhold", done): (35, "qhold: Job has finished"),
        ("qrls", NOWHERE): (153, f"qrls: {unknown}"),
        ("qselect", "-Z"): (2, "qselect: invalid option -- 'Z'"),
        ("pbsdsh", *TRUE): (1, "pbsdsh: not executing under PBS"),
    }
    assert {words: cluster.ask(*words) for words in refused} == refused
    assert cluster.show(held)[held]["job_state"] == "F"
    assert cluster.show(running)[running]["Resource_List"]["walltime"] == "00:00:50"
    assert cluster.ask("qdel", "-x", done) == (0, "")
    assert cluster.ask("qstat", "-x", done) == (153, f"qstat: Unknown Job Id {gone}")


def test_what_qstat_tells_of_several_jobs(cluster: Cluster) -> None:
    first, second, over = cluster.true("-h"), cluster.true("-h"), cluster.true()
    cluster.wait(over)

    def told(*words: str) -> tuple[list[str], int, int]:
        done = cluster.run("qstat", "-f", "-F", "json", *words)
        document = json.loads(done.stdout)
        assert document["pbs_server"] == cluster.host
        return list(document.get("Jobs", {})), done.returncode, done.stderr.count("\n")

    assert told(first, second) == ([first], 0, 0)
    assert told("-x", first, second) == ([first], 0, 0)
    assert told(NOWHERE, first) == ([first], 153, 1)
    assert told("-E", first, second, over) == ([first, second], 0, 0)
    assert told("-x", "-E", first, NOWHERE, over) == ([first, over], 0, 0)
    assert told("-x", "-E", NOWHERE, "9999998") == ([], 153, 1)
    assert told(over) == ([], 35, 1)
    assert cluster.run("qstat", first, second).stdout.count(" H workq") == 2
    assert cluster.run("qstat", "--version").stdout == "pbs_version = 23.06.06\n"
    assert cluster.ask("qstat", "-F", "json") == (2, "qstat: conflicting options.")
    mine = cluster.run("qselect", "-s", "H").stdout.split()
    assert first in mine and over not in mine
    assert over in cluster.run("qselect", "-x").stdout.split()
    assert not cluster.run("qselect", "-u", "nobody").stdout
    server = json.loads(cluster.run("qstat", "-B", "-f", "-F", "json").stdout)["Server"]
    assert server[cluster.host]["job_history_enable"] == "True"
    queues = json.loads(cluster.run("qstat", "-Q", "-f", "-F", "json").stdout)["Queue"]
    assert queues["workq"]["queue_type"] == "Execution"


def test_values_in_json_become_numbers_if_they_look_like_some(cluster: Cluster) -> None:
    values = {
        "7": "007", "true": "true", "null": "null", "1000": "1e3", "1.5": "1.50", "-5": "-5",
        '"0x10"': "0x10", '".5"': ".5", '"+5"': "+5", '"nan"': "nan", '"t12"': "t12",
        '"a=b;|&$<"': "a=b;|&$<", '"x, y"': '"x, y"', '"p,q"': "p\\,q", '""': "",
    }  # fmt: skip
    given = ",".join(f"V{i}={value}" for i, value in enumerate(values.values()))
    job = cluster.true("-h", "-N", "007", "-v", given)
    shown = cluster.show(job)[job]
    found = [shown["Variable_List"][f"V{i}"] for i in range(len(values))]
    assert [json.dumps(value) for value in found] == list(values)
    assert shown["Job_Name"] == "007"


def test_what_is_asked_for(cluster: Cluster) -> None:
    asked = [
        ("-l", "select=2:ncpus=2:mpiprocs=2", "-l", "place=scatter:excl", "-l", "walltime=60:00"),
        ("-l", "ncpus=3,mem=1gb", "-l", "walltime=90"),
        ("-l", "select=1", "-l", "select=3:ncpus=1"),
    ]
    jobs = [cluster.true("-h", *options) for options in asked]
    assert [job["Resource_List"] for job in cluster.show(*jobs).values()] == [
        {"ncpus": 4, "mpiprocs": 4, "nodect": 2, "place": "scatter:excl",
         "select": "2:ncpus=2:mpiprocs=2", "walltime": "01:00:00"},
        {"ncpus": 3, "mem": "1gb", "nodect": 1, "place": "pack", "select": "1:mem=1gb:ncpus=3",
         "walltime": "00:01:30"},
        {"ncpus": 3, "nodect": 3, "place": "free", "select": "3:ncpus=1"},
    ]  # fmt: skip
    too_much = cluster.true("-l", "select=1:ncpus=500")
    (job,) = cluster.wait(too_much, states="Q", once=lambda job: "comment" in job)
    lack = "Can Never Run: Insufficient amount of resource: ncpus (R: 500 A: {0} T: {0})"
    assert job["comment"] in [lack.format(count) for count in (8, 16)]  # of all nodes


def test_holds_and_names_and_times(cluster: Cluster) -> None:
    job, later = cluster.true("-h"), cluster.true("-a", "209912312359.30")
    assert cluster.show(later)[later]["job_state"] == "W"
    assert cluster.show(later)[later]["Execution_Time"] == "Thu Dec 31 23:59:30 2099"
    assert cluster.ask("qalter", "-N", "renamed", "-l", "walltime=50", job) == (0, "")
    assert cluster.ask("qhold", job) == (0, "")
    shown = cluster.show(job)[job]
    assert (shown["job_state"], shown["substate"], shown["Hold_Types"]) == ("H", 20, "u")
    assert cluster.ask("qrls", job) == (0, "")
    (shown,) = cluster.wait(job)
    assert (shown["Job_Name"], shown["Resource_List"]["walltime"]) == ("renamed", "00:00:50")
