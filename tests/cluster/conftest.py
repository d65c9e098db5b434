"""One real Slurm for all tests in this folder, and an ordinary user on it for each of them."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cluster as clusters
import pytest
from cluster import Cluster
from user import User

REQUIRED = "GANYMEDE_REQUIRE_SLURM"  # set by CI: a skip would be a failure there


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.slurm)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    reason = clusters.why_not()
    if reason and os.environ.get(REQUIRED):
        pytest.fail(f"no Slurm can be started here: {reason}")
    if reason:
        pytest.skip(f"no Slurm can be started here: {reason}")
    folder = Path(tempfile.mkdtemp(prefix="ganymede-cluster-"))
    folder.chmod(0o755)
    slurm = Cluster(folder)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def user(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[User]:
    """An ordinary user in an empty folder; whatever is still queued goes with the test."""
    home = Path(tempfile.mkdtemp(prefix="home-", dir=cluster.folder))
    account = pwd.getpwnam(clusters.user_name())
    os.chown(home, account.pw_uid, account.pw_gid)
    person = User(cluster, home)
    yield person
    person.tell_all()  # shown if the test failed
    cluster.clear_queue()


@pytest.fixture(scope="session")
def undisturbed(cluster: Cluster) -> User:
    """A two-rank run that nothing happened to, finished; its final state is the measure."""
    home = Path(tempfile.mkdtemp(prefix="home-", dir=cluster.folder))
    account = pwd.getpwnam(clusters.user_name())
    os.chown(home, account.pw_uid, account.pw_gid)
    person = User(cluster, home)
    person.start("run")
    person.wait_until_finished("run")
    return person
