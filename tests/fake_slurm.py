"""Stand-ins for Slurm's commands: small programs, first on PATH, that keep their state in a file.

Only what the code under test asks for is understood; anything else fails loudly.
"""

import json
import os
import shlex
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gan.config import ACGANConfig
from jobs.cluster import ClusterLauncher
from jobs.pipeline import prepare
from jobs.run import Run

COMMANDS = ("sbatch", "squeue", "scontrol", "scancel", "sinfo", "srun")

_PROGRAM = (Path(__file__).parent / "fake_slurm_command.py").read_text()


@dataclass(frozen=True)
class FakeSlurm:
    """A queue in a file, for tests to look into and to change."""

    folder: Path

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.folder / "state.json").read_text())

    def change(self, **values: Any) -> None:
        """Set `config`, `limit` (jobs at the same time), `nodes` or `next` (job number)."""
        unknown = values.keys() - self.state.keys()
        assert not unknown, unknown
        merged = {
            key: self.state[key] | value if isinstance(value, dict) else value
            for key, value in values.items()
        }
        (self.folder / "state.json").write_text(json.dumps(self.state | merged))

    def set_job(self, job_id: str, state: str, comment: str = "(null)", **shown: Any) -> None:
        """Put a job there, or change it; `shown` is what scontrol says of it besides."""
        job = self.state["jobs"].get(job_id, {"reason": "None", "comment": comment, "shown": {}})
        job |= {"state": state, "shown": {key: str(value) for key, value in shown.items()}}
        self.change(jobs={job_id: job})

    def forget(self, *job_ids: str) -> None:
        """As after MinJobAge; all jobs if none is named."""
        state = self.state
        kept = {k: v for k, v in state["jobs"].items() if job_ids and k not in job_ids}
        (self.folder / "state.json").write_text(json.dumps(state | {"jobs": kept}))

    def fail(
        self, command: str, error: str, times: int = 1, acts: bool = False, **rest: Any
    ) -> None:
        """Have the next calls say `error` on stderr; `acts`: they do their work all the same.

        `status` is the exit status (1), `output` what goes to stdout, `hangs` seconds of delay;
        `kills`: the client that called.
        """
        fault = {"error": error, "acts": acts, "status": 1, "output": ""} | rest
        self.change(faults={command: [fault] * times})

    def calls(self, command: str) -> list[list[str]]:
        """The arguments of every call of a command so far."""
        return [call["arguments"] for call in self._calls() if call["command"] == command]

    def environment(self, command: str) -> dict[str, str]:
        """That of the latest call of a command."""
        return [c["environment"] for c in self._calls() if c["command"] == command][-1]

    def _calls(self) -> list[dict[str, Any]]:
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def options(self, job_id: str) -> dict[str, str]:
        """The #SBATCH options with which a job was submitted."""
        return self.state["jobs"][job_id]["options"]


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """An empty cluster below `folder`, whose commands come first on PATH."""
    slurm = FakeSlurm(folder / "slurm")
    commands = slurm.folder / "bin"
    commands.mkdir(parents=True)
    for name in COMMANDS:
        executable(commands / name, f"#!{sys.executable} -IS\n{_PROGRAM}")
    state = {"jobs": {}, "next": 100, "limit": None, "faults": {}, "nodes": {}}
    config = {"MaxArraySize": "1001", "MinJobAge": "300 sec"}
    (slurm.folder / "state.json").write_text(json.dumps(state | {"config": config}))
    for name in os.environ:
        if name.startswith(("SLURM", "SBATCH", "GANYMEDE", "SUBMITIT")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_CONF", str(slurm.folder / "slurm.conf"))
    return slurm


def submitted(runs: Path, config: ACGANConfig) -> Run:
    """A run whose jobs are in the queue: train is 100, sample 101, report 102."""
    run = prepare("acgan-digits", config, runs / "gan", threads=1)
    submit(run)
    return run


def submit(run: Run) -> None:
    assert ClusterLauncher(run, run.path.parent, say=lambda message: None).submit() == 0


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def recorder(path: Path, body: str = "") -> Path:
    """A program that notes its arguments, byte for byte, then does what `body` says (bash)."""
    note = f'printf \'%s\\0\' "$#" "$@" >>{shlex.quote(f"{path}.calls")}'
    return executable(path, f"#!/bin/bash\n{note}\n{body}\n")


def recorded(path: Path) -> list[list[str]]:
    """The arguments of every call of a recorder."""
    calls = Path(f"{path}.calls")
    words = calls.read_bytes().decode().split("\0")[:-1] if calls.exists() else []
    found = []
    while words:
        count = int(words[0])
        found.append(words[1 : count + 1])
        words = words[count + 1 :]
    return found
