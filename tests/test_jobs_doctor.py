import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fake_pbs
import pytest
from captured_pbs import CapturedPBS
from captured_slurm import CapturedSlurm

from jobs import rehearsal
from jobs.cli import main
from slurm import pbs_capabilities, pbs_trial
from slurm.pbs_capabilities import User

Examined = tuple[int, dict[str, str], str]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CapturedSlurm:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return CapturedSlurm(tmp_path / "slurm", monkeypatch, accounting=False)


@pytest.fixture
def examined(capfd: pytest.CaptureFixture[str]) -> Callable[..., Examined]:
    """Calls the command line; returns the status, its rows by name, and its last line."""

    def call(*arguments: str) -> Examined:
        status = main(["doctor", *arguments])
        lines = capfd.readouterr().out.splitlines()
        rows = {line[7:].partition(": ")[0]: line for line in lines[:-1]}
        return status, rows, lines[-1]

    return call


def test_a_cluster_on_which_all_holds(
    slurm: CapturedSlurm, examined: Callable[..., Examined], tmp_path: Path
) -> None:
    before = sorted(path for path in tmp_path.rglob("*") if slurm.folder not in path.parents)
    status, rows, end = examined("--on", "slurm")
    assert (status, end) == (0, "all that a run needs holds here")
    assert not [row for row in rows.values() if row.startswith("fails")]
    for name in ("scontrol", "JobRequeue", "rename", "hard links", "fsync", "locks", "booking"):
        assert rows[name].startswith("holds"), rows[name]
    assert rows["rename"].startswith("holds  rename: 100 times under ")
    assert "1 of 8 rivals got the name" in rows["hard links"]
    assert rows["scontrol on a node"].startswith("mind   scontrol on a node: unknown -> not tried")
    after = sorted(path for path in tmp_path.rglob("*") if slurm.folder not in path.parents)
    assert after == before


def test_a_silent_controller_does_not_hide_the_folder(
    slurm: CapturedSlurm, examined: Callable
) -> None:
    slurm.is_silent()
    status, rows, end = examined()
    assert (status, end) == (1, "does not hold: scontrol")
    assert "Unable to contact slurm controller" in rows["scontrol"]
    assert rows["hard links"].startswith("holds")


def test_no_requeue_by_default_is_enough(
    slurm: CapturedSlurm, examined: Callable[..., Examined]
) -> None:
    slurm.set(JobRequeue="0")
    assert examined()[0] == 0


def test_a_file_system_that_cannot_link(
    slurm: CapturedSlurm, examined: Callable[..., Examined], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*names: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    status, rows, end = examined()
    assert (status, end) == (1, "does not hold: hard links")
    assert rows["hard links"].startswith("fails  hard links: fails: Operation not permitted")


def test_a_folder_in_which_nothing_can_be_written(
    slurm: CapturedSlurm, examined: Callable[..., Examined]
) -> None:
    status, rows, end = examined("--runs", "/proc/runs")
    assert (status, end) == (1, "does not hold: run folder")
    assert "nothing can be written in /proc" in rows["run folder"]


def test_profiles(slurm: CapturedSlurm, examined: Callable[..., Examined]) -> None:
    Path("clusters.toml").write_text('[lab]\npartition = "high"\n[bad]\npartiton = "high"\n')
    Path("clusters.toml").chmod(0o600)
    slurm.command("sbatch", 'grep -q "partition=high" "$2" || exit 5')
    status, rows, _ = examined("--profile", "lab")
    assert status == 0
    assert rows["profile"].startswith("holds  profile: lab -> read")
    assert "with this profile and these flags would be taken" in rows["booking"]
    status, rows, end = examined("--profile", "bad")
    assert (status, end) == (1, "does not hold: profile")
    assert "partiton" in rows["profile"]
    assert "booking" not in rows
    assert rows["KillWait"].startswith("holds")


def test_a_booking_that_would_be_refused(
    slurm: CapturedSlurm, examined: Callable[..., Examined]
) -> None:
    slurm.refuses("sbatch", "allocation failure: Invalid account or account/partition combination")
    status, rows, _ = examined()
    assert status == 0  # nobody has said yet what to book
    assert rows["booking"].startswith("mind")
    assert "give --profile, or --partition, --account" in rows["booking"]
    status, rows, end = examined("--account", "nobody")
    assert (status, end) == (1, "does not hold: booking")
    assert "Invalid account" in rows["booking"]


def test_a_table_in_a_terminal(
    slurm: CapturedSlurm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "220")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["doctor"]) == 0
    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
    assert lines[0].split() == ["what", "found", "what", "it", "means", "for", "a", "run"]
    row = next(line.split("  ") for line in lines if " KillWait " in line)
    assert [cell.strip() for cell in row if cell.strip()][:3] == ["holds", "KillWait", "15 s"]


def test_no_rehearsal_where_it_must_fail(
    slurm: CapturedSlurm, examined: Callable[..., Examined]
) -> None:
    slurm.is_silent()
    status, rows, _ = examined("--rehearse")
    assert status == 1
    assert any("no rehearsal, since it would fail too" in row for row in rows.values())
    assert not Path("runs").exists()


def test_the_doctor_does_without_torch(slurm: CapturedSlurm, tmp_path: Path) -> None:
    program = (
        "import sys; from jobs.cli import main; assert main(['doctor']) == 0;"
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# PBS


@pytest.fixture
def pbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CapturedPBS:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(pbs_capabilities, "current_user", lambda: User("carol"))
    return CapturedPBS(tmp_path / "pbs", monkeypatch, limits=False)


def test_a_pbs_on_which_all_holds(pbs: CapturedPBS, examined: Callable[..., Examined]) -> None:
    status, rows, end = examined("--on", "pbs", "--gpus-per-node", "2", "--cpus-per-task", "4")
    assert (status, end) == (0, "all that a run needs holds here")
    assert rows["qstat"] == ("holds  qstat: answers -> jobs and `status` can ask how things stand")
    assert rows["booking"].startswith(
        "holds  booking: select=1:ncpus=8:mpiprocs=2:ompthreads=4:ngpus=2 -> PBS has no dry run"
    )
    assert rows["hard links"].startswith("holds")
    assert rows["qsub on a node"].startswith("mind   qsub on a node: unknown -> not tried")
    assert not {"scontrol", "scontrol on a node"} & rows.keys()


def test_what_pbs_does_not_have_cannot_be_booked(
    pbs: CapturedPBS, examined: Callable[..., Examined]
) -> None:
    status, rows, end = examined("--on", "pbs", "--qos", "night")
    assert (status, end) == (1, "does not hold: booking")
    assert "PBS has none: choose a queue" in rows["booking"]


def test_a_silent_pbs_does_not_hide_the_folder(
    pbs: CapturedPBS, examined: Callable[..., Examined]
) -> None:
    pbs.is_silent()
    status, rows, end = examined("--on", "pbs", "--rehearse")
    assert (status, end) == (1, "does not hold: qstat")
    assert "cannot connect to server pbshost" in rows["qstat"]
    assert rows["hard links"].startswith("holds")
    assert any("no rehearsal, since it would fail too" in row for row in rows.values())


def test_a_rehearsal_on_pbs_tries_what_runs_do_on_a_node(
    pbs: CapturedPBS, examined: Callable[..., Examined], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_LOOK_S", "_ASK_S"):
        monkeypatch.setattr(pbs_trial, name, 0.05)
    # What comes after the trial has a test of its own, test_jobs_pbs_rehearsal.py.
    monkeypatch.setattr(rehearsal, "rehearse", lambda *given: [])
    # Questions about the cluster are answered as captured, those about jobs by the stand-in.
    answers = (pbs.folder / "qstat").read_text()
    stand_in = fake_pbs.install(Path.cwd() / "fake", monkeypatch)
    try:
        qstat = stand_in.folder / "bin" / "qstat"
        of_jobs = stand_in.folder / "of_jobs" / "qstat"
        of_jobs.parent.mkdir()
        qstat.rename(of_jobs)
        qstat.write_text(answers.replace("exit 9", f'exec "{of_jobs}" "$@"'))
        qstat.chmod(0o755)
        status, rows, end = examined("--on", "pbs", "--rehearse")
    finally:
        stand_in.stop()
    assert (status, end) == (0, "all that a run needs holds here")
    assert rows["qsub on a node"].startswith("holds  qsub on a node: works")
    assert rows["trial job"].startswith("holds")
