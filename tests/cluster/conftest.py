"""One real Slurm for all tests in this folder, a PBS, and somebody there for each of them."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cluster as clusters
import fake_pbs
import pytest
import real_pbs
from accounts import account, give
from cluster import Cluster
from fake_pbs import FakePBS
from person import Person
from places import LACKS, PLACES, Here, OnOpenPBS, OnStandIn
from user import User

REQUIRED = "GANYMEDE_REQUIRE_SLURM"  # set by CI: a skip would be a failure there
_NODES = {name: {"ncpus": 8, "ngpus": 2} for name in ("fakepbs", "fakepbs2")}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        called = getattr(item, "callspec", None)
        if here in item.path.parents and (
            not called or called.params.get("place", "slurm") == "slurm"
        ):
            item.add_marker(pytest.mark.slurm)


@contextmanager
def folder() -> Iterator[Path]:
    """One that whoever acts can reach."""
    path = Path(tempfile.mkdtemp(prefix="ganymede-cluster-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    reason = clusters.why_not()
    if reason and os.environ.get(REQUIRED):
        pytest.fail(f"no Slurm can be started here: {reason}")
    if reason:
        pytest.skip(f"no Slurm can be started here: {reason}")
    with folder() as path:
        slurm = Cluster(path)
        try:
            slurm.start()
            yield slurm
        finally:
            slurm.stop()


@pytest.fixture(scope="session")
def stand_in() -> Iterator[FakePBS]:
    """A stand-in for PBS that gives a job as long to save as the real one."""
    with folder() as path:
        pbs = fake_pbs.install(path, owner=(account().pw_uid, account().pw_gid))
        try:
            pbs.change(nodes=_NODES, kill_delay=10.0)
            yield pbs
        finally:
            pbs.stop()


def home(parent: Path) -> Path:
    """An empty folder of whoever acts."""
    path = Path(tempfile.mkdtemp(prefix="home-", dir=parent))
    give(path)
    return path


@pytest.fixture
def user(cluster: Cluster) -> Iterator[User]:
    """An ordinary user in an empty folder; whatever is still queued goes with the test."""
    person = User(home(cluster.folder), cluster)
    yield person
    person.tell_all()  # shown if the test failed
    person.close()


@pytest.fixture(scope="session")
def undisturbed(cluster: Cluster) -> User:
    """A two-rank run that nothing happened to, finished; its final state is the measure."""
    person = User(home(cluster.folder), cluster)
    person.start("run")
    person.wait_until_finished("run")
    return person


@pytest.fixture(scope="session", params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def newcomer(place: str, request: pytest.FixtureRequest) -> Iterator[Callable[[], Person]]:
    """Makes a person at a place, with an empty home folder."""
    if place == "slurm":
        slurm: Cluster = request.getfixturevalue("cluster")
        yield lambda: User(home(slurm.folder), slurm)
    elif place == "pbs":
        pbs: FakePBS = request.getfixturevalue("stand_in")
        yield lambda: OnStandIn(home(pbs.folder.parent), pbs)
    elif place == "openpbs":
        if reason := real_pbs.why_not():
            pytest.skip(reason)
        with real_pbs.folder() as path:
            yield lambda: OnOpenPBS(home(path))
    else:
        with folder() as path:
            yield lambda: Here(home(path))


@pytest.fixture
def person(place: str, request: pytest.FixtureRequest) -> Iterator[Person]:
    """Somebody at each of the places that has what the test needs."""
    for mark in request.node.iter_markers("needs"):
        for what in mark.args:
            if what in LACKS[place]:
                pytest.skip(LACKS[place][what])
    somebody: Person = request.getfixturevalue("newcomer")()
    yield somebody
    somebody.tell_all()  # shown if the test failed
    somebody.close()


@pytest.fixture(scope="session")
def calm(newcomer: Callable[[], Person]) -> Iterator[Callable[[int], Person]]:
    """Gives somebody whose run of so many ranks has finished, and nothing happened to it."""
    known: dict[int, Person] = {}

    def find(ranks: int) -> Person:
        if ranks not in known:
            somebody = newcomer()
            somebody.launch("run", ranks=ranks)
            try:
                somebody.wait_until_finished("run")
            except TimeoutError:
                somebody.tell_all()
                somebody.close()
                raise
            known[ranks] = somebody
        return known[ranks]

    yield find
    for somebody in known.values():
        somebody.close()
