import subprocess
from pathlib import Path

import pytest

from slurm import pbs_script


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the qsub that submits; the profile puts another scheduler's one first."""
    for name in ("pbs bin", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "qsub").write_text(f"#!/bin/sh\necho {name}\n")
        (tmp_path / name / "qsub").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'pbs bin'}:/bin")
    return tmp_path


def run(lines: list[str], path: str) -> str:
    done = subprocess.run(
        ["/bin/bash", "-c", "\n".join(lines)],
        env={"PATH": path}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_a_job_calls_the_qsub_that_it_was_submitted_with(folder: Path) -> None:
    lines = pbs_script.opening()
    assert lines[1] == "[ ! -r /etc/profile ] || . /etc/profile"
    lines[1] = f"PATH='{folder}/other':/bin"  # in place of this machine's own
    assert run([*lines, "qsub"], "/bin") == "pbs bin\n"


def test_path_stays_as_the_profile_has_it_where_that_qsub_is_found(folder: Path) -> None:
    lines = pbs_script.opening()
    lines[1] = f"PATH='{folder}/other/none':'{folder}/pbs bin':/bin"
    told = run([*lines, 'echo "$PATH"'], "/bin")
    assert told == f"{folder}/other/none:{folder}/pbs bin:/bin\n"


def test_a_job_gets_the_mask_of_the_shell_that_submits(folder: Path) -> None:
    lines = pbs_script.opening()
    assert run(["umask 077", *lines, "umask"], "/bin") == run(["umask"], "/bin")
