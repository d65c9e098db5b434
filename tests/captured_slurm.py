"""Answers of real clusters (Slurm 22.05.8), given by stand-ins for Slurm's commands.

`config.txt` and `partitions.txt` are of a cluster without accounting; `*-accounting.txt`, `qos.txt`
and `assoc.txt` of one with slurmdbd, JobRequeue=0, RequeueExitHold and preempt_send_user_signal.
"""

import os
import re
import shlex
import shutil
import stat
from pathlib import Path

import pytest

_ANSWERS = Path(__file__).parent / "slurm_answers"
_SILENT = "slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)"
_NO_ACCOUNTING = "You are not running a supported accounting_storage plugin"


class CapturedSlurm:
    """Commands in a folder that comes first on PATH, and the answers that they print."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, accounting: bool) -> None:
        self.folder = folder
        shutil.copytree(_ANSWERS, folder / "answers")
        for name in os.environ:
            if name.startswith(("SLURM", "SBATCH", "GANYMEDE", "SUBMITIT")):
                monkeypatch.delenv(name)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        self.kind = "-accounting" if accounting else ""
        self.command(
            "scontrol",
            f'case "$*" in "show config") cat {self._answer(f"config{self.kind}")} ;; '
            f'"--oneliner show partition") cat {self._answer(f"partitions{self.kind}")} ;; '
            "*) exit 9 ;; esac",
        )
        tables = f"*\\ qos\\ *) cat {self._answer('qos')} ;; *\\ assoc\\ *) cat"
        self.command("sacctmgr", f'case "$*" in {tables} {self._answer("assoc")} ;; esac')
        if not accounting:
            self.refuses("sacctmgr", _NO_ACCOUNTING)
        self.command("sbatch", "echo 'sbatch: Job 1 to start at 2026-11-22T08:42:36' >&2")

    def _answer(self, name: str) -> str:
        return shlex.quote(str(self.folder / "answers" / f"{name}.txt"))

    def command(self, name: str, body: str) -> None:
        """Put a program there that does what `body` says, in sh."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def refuses(self, name: str, error: str) -> None:
        """Have a command end with this on stderr."""
        self.command(name, f"echo {shlex.quote(error)} >&2; exit 1")

    def is_silent(self) -> None:
        """The controller does not answer any more."""
        for name in ("scontrol", "sacctmgr", "sbatch"):
            self.refuses(name, _SILENT)

    def set(self, **settings: str) -> None:
        """Change settings, or add them."""
        path = self.folder / "answers" / f"config{self.kind}.txt"
        text = path.read_text()
        for name, value in settings.items():
            text, found = re.subn(rf"(?m)^{name} +=.*$", f"{name} = {value}", text)
            text += "" if found else f"{name} = {value}\n"
        path.write_text(text)

    def set_partition(self, name: str, **values: str) -> None:
        """Change what is said of one partition."""
        path = self.folder / "answers" / f"partitions{self.kind}.txt"
        lines = path.read_text().splitlines()
        for place, line in enumerate(lines):
            if line.startswith(f"PartitionName={name} "):
                for key, value in values.items():
                    line = re.sub(rf" {key}=\S+", f" {key}={value}", line)
                lines[place] = line
        path.write_text("\n".join(lines) + "\n")
