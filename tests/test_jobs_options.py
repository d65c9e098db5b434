"""Options that do not go together are refused, and told why."""

from pathlib import Path

import pytest
from fake_slurm import FakeSlurm, install
from other_scheduler import register

from gan.config import ConfigError
from jobs.options import Launch, Logs, New, Resume
from jobs.run import RunError
from slurm import queue
from slurm.errors import SchedulerError
from slurm.of_pbs import PBS
from slurm.resources import Profile, Resources
from slurm.schedulers import SCHEDULERS


@pytest.fixture(autouse=True)
def no_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a scheduler, in an empty folder."""
    monkeypatch.setattr(queue, "_CONFIGURATIONS", ())
    for name in set(SCHEDULERS) - {"slurm"}:
        monkeypatch.delitem(SCHEDULERS, name)
    for name in ("SLURM_CONF", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return install(tmp_path, monkeypatch)


def test_without_a_scheduler_the_foreground_needs_no_word() -> None:
    assert Launch().check() == Profile()
    assert Launch(here=True).check() == Profile()
    assert Launch(resources=Resources(minutes=5)).check() == Profile()


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({"partition": "gpu"}, "partition"),
        ({"nodes": 1}, "nodes"),
        ({"gpus_per_node": 0}, "gpus-per-node"),
        ({"exclusive": False}, "exclusive"),
        ({"cpus_per_task": 2, "minutes": 5}, "cpus-per-task"),
        ({"extra": ("nice=1",)}, "extra"),
    ],
)
def test_the_foreground_books_nothing(flags: dict[str, object], name: str) -> None:
    for here in (False, True):
        launch = New(here=here, resources=Resources(**flags))
        with pytest.raises(RunError, match=f"--{name} books on a cluster; it needs --on slurm"):
            launch.check()


def test_a_profile_is_a_clusters() -> None:
    with pytest.raises(RunError, match="--profile books on a cluster; it needs --on slurm"):
        Launch(profile="x").check()


@pytest.mark.parametrize("kind", [New, Resume])
def test_a_machine_with_a_scheduler_asks_which(slurm: FakeSlurm, kind: type[Launch]) -> None:
    options = {"run": "x"} if kind is Resume else {}
    with pytest.raises(RunError, match="submits to Slurm: give --on slurm, or --here"):
        kind(**options).check()
    assert kind(here=True, **options).check() == Profile()
    assert kind(on="slurm", **options).check() == Profile()
    assert slurm.calls("sbatch") == []


def test_the_scheduler_that_is_here_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch).is_this_machine = True
    with pytest.raises(RunError, match="submits to The Other: give --on other, or --here"):
        Launch().check()
    with pytest.raises(RunError, match="--nodes books on a cluster; it needs --on slurm or --on o"):
        Launch(resources=Resources(nodes=1)).check()


def test_a_scheduler_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match="scheduler is 'pbs'; allowed: slurm"):
        Launch(on="pbs").check()


def test_inside_a_job_the_foreground_is_meant(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert Launch().check() == Profile()


def test_sbatch_without_a_configuration_is_no_cluster(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_CONF")
    assert Launch().check() == Profile()


def test_here_and_there_contradict_each_other() -> None:
    with pytest.raises(RunError, match="--here is the foreground, --on slurm is not; give one"):
        Launch(on="slurm", here=True).check()


def test_a_chain_is_for_pbs() -> None:
    for place in ("local", "slurm"):
        with pytest.raises(RunError, match=f"--chain is for PBS; --on {place} goes on without"):
            Launch(on=place, chain=1).check()


def test_pbs_is_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCHEDULERS, "pbs", PBS())
    assert Launch(on="pbs", chain=3).check() == Profile()


def test_a_profile_is_looked_up() -> None:
    Path("clusters.toml").write_text("[x]\nretries = 9")
    Path("clusters.toml").chmod(0o644)
    assert Launch(on="slurm", profile="x").check() == Profile(name="x", retries=9)
    with pytest.raises(SchedulerError, match="profile is 'y'; allowed: x"):
        Launch(on="slurm", profile="y").check()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Launch(max_running=0), "max_running is 0; allowed: 1 or more"),
        (lambda: Launch(on="pbs", chain=-1), "chain is -1; allowed: 0 to 100"),
        (lambda: Launch(on="pbs", chain=101), "chain is 101; allowed: 0 to 100"),
        (lambda: New(threads=-1), "threads is -1; allowed: 0 or more"),
        (lambda: Logs(run="x", lines=0), "lines is 0; allowed: 1 or more"),
        (lambda: Launch(runs=Path(__file__)), "allowed: a folder, there or to be made"),
    ],
)
def test_values_that_cannot_be_are_refused(make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
