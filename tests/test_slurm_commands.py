"""Calling commands, whatever scheduler they speak for; they are small programs first on PATH."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from slurm import commands
from slurm.errors import SchedulerError, Unreachable


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on PATH."""
    monkeypatch.setattr(commands, "_LOOK_AGAIN_S", 0.01)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def program(folder: Path, name: str, body: str) -> None:
    """Put a program there that does what `body` says, in sh."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def refuses(folder: Path, name: str, error: str, status: int = 1) -> None:
    program(folder, name, f"echo {shlex.quote(error)} >&2; exit {status}")


def test_what_a_command_prints(folder: Path) -> None:
    program(folder, "qstat", 'echo "$1-$2"; echo aside >&2')
    assert commands.call("qstat", "-x", "a b") == "-x-a b\n"


def test_a_command_reads_nothing_from_the_terminal(folder: Path) -> None:
    program(folder, "qsub", "cat; echo end")
    assert commands.call("qsub") == "end\n"


@pytest.mark.parametrize(
    "error",
    [
        "Unknown Host.\nqstat: cannot connect to server nosuchhost (errno=15008)",
        "Connection refused\nqstat: cannot connect to server pbshost (errno=15010)",
        "Unknown Host.\nCouldn't connect to cluster: nosuchhost",
        "Unknown Host.\npbsnodes: cannot connect to server nosuchhost, error=15008",
        "Unknown Host.\nqmgr: cannot connect to server ",
        "Communication failure.",
        "qsub: Server connection table full",
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
        "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
    ],
)
def test_no_answer(folder: Path, error: str) -> None:
    refuses(folder, "qstat", error)
    with pytest.raises(Unreachable) as silent:
        commands.call("qstat")
    assert str(silent.value) == f"the scheduler does not answer ({' '.join(error.split())})"
    with pytest.raises(Unreachable):
        commands.ask("qstat")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("qsub: Unknown queue", "qsub: Unknown queue"),
        ("  illegal\nvalue ", "qsub: illegal value"),
        ("", "qsub: exit status 170"),
        (
            "No Permission.\nqsub: cannot connect to server pbshost (errno=15007)",
            "qsub: No Permission. qsub: cannot connect to server pbshost (errno=15007)",
        ),
        (
            "pbsconf error: pbs conf variables not found: PBS_SERVER\n"
            "qsub: cannot connect to server  (errno=0)",
            "qsub: pbsconf error: pbs conf variables not found: PBS_SERVER "
            "qsub: cannot connect to server (errno=0)",
        ),
    ],
)
def test_any_other_failure_is_told_in_the_commands_own_words(
    folder: Path, error: str, told: str
) -> None:
    refuses(folder, "qsub", error, status=170)
    with pytest.raises(SchedulerError) as refused:
        commands.call("qsub")
    assert not isinstance(refused.value, Unreachable)
    assert str(refused.value) == told


def test_what_a_command_said_is_there_whatever_its_status(folder: Path) -> None:
    program(folder, "qstat", "echo one; echo 'qstat: Unknown Job Id 12.pbshost' >&2; exit 153")
    done = commands.ask("qstat")
    assert (done.returncode, done.stdout) == (153, "one\n")
    assert commands.told(done) == "qstat: Unknown Job Id 12.pbshost"


def test_a_missing_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SchedulerError, match=r"^qstat is not on this machine's PATH: no PBS here"):
        commands.ask("qstat", title="PBS")


def test_asking_again_until_there_is_an_answer(folder: Path) -> None:
    said: list[str] = []
    asked = shlex.quote(str(folder / "asked"))
    program(
        folder,
        "qstat",
        f"echo x >> {asked}; [ $(wc -l < {asked}) -gt 2 ] && echo here && exit\n"
        "echo 'Connection refused' >&2; exit 255",
    )
    assert commands.call("qstat", patience_s=60, say=said.append) == "here\n"
    assert said == ["the scheduler does not answer (Connection refused); asking again for 60 s"]


def test_asking_again_has_an_end(folder: Path) -> None:
    said: list[str] = []
    refuses(folder, "qstat", "Connection refused", 255)
    with pytest.raises(Unreachable):
        commands.call("qstat", patience_s=0.1, say=said.append)
    assert len(said) == 1


def test_a_command_that_hangs_is_no_answer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_CALL_S", 0.5)
    program(folder, "qstat", f"exec {sys.executable} -c 'import time; time.sleep(60)'")
    with pytest.raises(Unreachable, match="qstat did not answer within"):
        commands.call("qstat")


def test_nothing_of_a_surrounding_job_is_inherited(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inherited = (
        "PBS_JOBID", "PBS_JOBCOOKIE", "PBS_NODEFILE", "PBS_O_WORKDIR", "PBS_ARRAY_INDEX",
        "PBS_ENVIRONMENT", "PBS_DPREFIX", "SLURM_JOB_ID", "GANYMEDE_TOKEN", "SUBMITIT_EXECUTOR",
    )  # fmt: skip
    kept = ("PBS_CONF_FILE", "PBS_SERVER", "PBS_DEFAULT", "PBS_EXEC", "SLURM_CONF", "NCPUS")
    for name in (*inherited, *kept):
        monkeypatch.setenv(name, "x")
    program(folder, "qsub", "env")
    seen = {line.partition("=")[0] for line in commands.call("qsub").splitlines()}
    assert not seen & set(inherited)
    assert seen >= set(kept)
    given = {"PATH": os.environ["PATH"], "PBS_JOBID": "7"}
    assert "PBS_JOBID=7\n" in commands.call("qsub", environment=given)
