"""What a job has booked, however its user has written it."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_pbs
import pytest
from fake_pbs import FakePBS

from slurm import pbs_script, qsub
from slurm.errors import SchedulerError
from slurm.pbs_booking import Booking
from slurm.qsub import Request
from slurm.resources import Resources


@pytest.fixture
def pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePBS]:
    """Without a node: what is submitted waits."""
    monkeypatch.chdir(tmp_path)  # where the outputs of jobs go
    found = fake_pbs.install(tmp_path, monkeypatch)
    found.change(nodes={"n1": {"ncpus": 0, "ngpus": 0}})
    yield found
    found.stop()


def booking(**listed: Any) -> Booking:
    """Of a Resource_List as qstat's JSON has it."""
    return Booking({"Resource_List": {"place": "free"} | listed})


def one(**more: Any) -> Resources:
    return Resources(**{"nodes": 1, "tasks_per_node": 1, "cpus_per_task": 1} | more)


@pytest.mark.parametrize(
    ("select", "wanted"),
    [
        ("1:ncpus=1", one()),
        ("ncpus=2", one(cpus_per_task=2)),
        (3, one(nodes=3)),  # JSON makes a number of it
        ("01:ncpus=1", one()),
        ("1:mem=1gb:ncpus=2", one(cpus_per_task=2)),
        ("2:ncpus=2:mpiprocs=2", one(nodes=2, tasks_per_node=2)),
        ("2:ncpus=9:mpiprocs=4:ngpus=4", one(
            nodes=2, tasks_per_node=4, cpus_per_task=2, gpus_per_node=4
        )),
        ("1:ngpus=2", one(gpus_per_node=2)),
        ("1:ncpus=1:ngpus=0", one()),
        ("1:mpiprocs=4", one(tasks_per_node=4)),  # less than a core for each
        ("1:ncpus=2:mpiprocs=3", one(tasks_per_node=3)),
        ("1:ncpus=2:host=n1:mpiprocs=2", one(tasks_per_node=2)),
        ("1:ncpus=1+1:ncpus=1", one(nodes=2)),
        ("ncpus=4:mpiprocs=2+2:mpiprocs=2:ncpus=4", one(
            nodes=3, tasks_per_node=2, cpus_per_task=2
        )),
        ("1:ncpus=1:gpu_model=a:b", one()),
    ],
)  # fmt: skip
def test_equal_nodes(select: object, wanted: Resources) -> None:
    assert booking(select=select).resources == wanted


@pytest.mark.parametrize("select", [
    "1:ncpus=1+1:ncpus=2", "1:ncpus=2:mpiprocs=2+1:ncpus=1", "1:ncpus=1+ngpus=1",
    "2:ncpus=1:mpiprocs=0",
])  # fmt: skip
def test_unequal_nodes_are_refused(select: str) -> None:
    with pytest.raises(SchedulerError) as refused:
        _ = booking(select=select).resources
    assert str(refused.value) == (
        f"select is {select!r}; allowed: equal nodes, as 2:ncpus=4:mpiprocs=2:ngpus=2"
    )


@pytest.mark.parametrize(
    ("walltime", "minutes"),
    [("00:01:30", 1.5), ("30:00:00", 1800.0), ("00:00:02", 2 / 60), ("", None)],
)
def test_time_limits(walltime: str, minutes: float | None) -> None:
    assert booking(select="1:ncpus=1", walltime=walltime).resources.minutes == minutes


@pytest.mark.parametrize(
    ("place", "exclusive"),
    [("free", None), ("pack", None), ("scatter:excl", True), ("exclhost", True)],
)
def test_nodes_of_ones_own(place: str, exclusive: bool | None) -> None:
    assert booking(select="1:ncpus=1", place=place).resources.exclusive == exclusive


# From inside


def submit(monkeypatch: pytest.MonkeyPatch, *options: str) -> str:
    """A job in which this process then is."""
    job_id = qsub.submit(Request(options, ("/bin/true",), "t1"))
    monkeypatch.setenv("PBS_JOBID", job_id)
    return job_id


def test_a_job_is_asked_about_itself(pbs: FakePBS, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(monkeypatch, "-l", "select=2:ncpus=4:mpiprocs=2:ngpus=2", "-l", "walltime=8:00")
    assert Booking.mine().resources == Resources(
        nodes=2, tasks_per_node=2, cpus_per_task=2, gpus_per_node=2, minutes=8.0
    )


def test_what_was_asked_for_without_a_select(pbs: FakePBS, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(monkeypatch, "-l", "ncpus=3,ngpus=1")
    wanted = one(cpus_per_task=3, gpus_per_node=1)
    assert Booking.mine().resources == wanted
    options = Booking.mine().options(Path("/logs"))
    submit(monkeypatch, *options)
    assert Booking.mine().resources == wanted


def test_a_job_that_goes_on_books_the_same(
    pbs: FakePBS, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = submit(
        monkeypatch, "-N", "mine", "-q", "express", "-A", "account", "-P", "project", "-M", "a@b.c",
        "-m", "abe", "-l", "select=2:ncpus=4", "-l", "place=scatter:excl", "-l", "walltime=90",
    )  # fmt: skip
    folder = tmp_path / "a b"
    folder.mkdir()
    second = submit(monkeypatch, *Booking.mine().options(folder))
    jobs = pbs.jobs()
    same = (
        "Job_Name", "queue", "Account_Name", "project", "Mail_Users", "Mail_Points",
        "Resource_List",
    )  # fmt: skip
    assert {name: jobs[second][name] for name in same} == {name: jobs[first][name] for name in same}
    added = ("Join_Path", "Keep_Files", "Rerunable", "Output_Path", "umask")
    assert [jobs[second][name] for name in added] == [
        "oe", "doe", "True", f"fakepbs:{folder}/{second}.OU", f"{pbs_script.umask():03o}"
    ]  # fmt: skip


def test_what_a_site_wants_of_the_whole_job_is_booked_again() -> None:
    """As its file systems; not the sums of what the nodes have, which go with `select` alone."""
    listed = {
        "select": "2:ncpus=4:mpiprocs=2:fast=1", "place": "scatter", "nodect": 2, "ncpus": 8,
        "mpiprocs": 4, "mem": "4gb", "fast": 2, "gpu_mem": "80gb", "filesystems": "home:scratch",
        "cput": "00:05:00", "licence": 1,
    }  # fmt: skip
    known = {
        "Resource_List": listed, "Job_Name": "x", "queue": "q", "exec_vnode":
        "(n1:ncpus=4:mem=2097152kb:fast=1:gpu_mem=40gb)+(n2:ncpus=4:mem=2097152kb:fast=1)",
    }  # fmt: skip
    options = Booking(known).options(Path("/logs"))
    booked = [value for option, value in itertools.pairwise(options) if option == "-l"]
    assert booked == [
        "select=2:ncpus=4:mpiprocs=2:fast=1", "place=scatter", "cput=00:05:00",
        "filesystems=home:scratch", "licence=1",
    ]  # fmt: skip


def test_the_queue_is_the_one_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which may have sent the job on to one that takes none directly."""
    found = {"Resource_List": {"select": "1:ncpus=1"}, "Job_Name": "x", "queue": "small"}
    monkeypatch.delenv("PBS_O_QUEUE", raising=False)
    assert Booking(found).options(Path("/logs"))[:4] == ["-N", "x", "-q", "small"]
    monkeypatch.setenv("PBS_O_QUEUE", "route")
    assert Booking(found).options(Path("/logs"))[:4] == ["-N", "x", "-q", "route"]


def test_a_job_that_qstat_does_not_know(pbs: FakePBS, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PBS_JOBID", "7.fakepbs")
    with pytest.raises(SchedulerError, match=r"qstat does not know job 7\.fakepbs, which this"):
        Booking.mine()
