"""A stand-in for PBS: its commands, small programs first on PATH, and a server that runs jobs.

It does what an OpenPBS 23.06 was seen to do, as far as the code under test asks for it; anything
else fails loudly, with exit status 64.
"""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

COMMANDS = (
    "qsub", "qstat", "qdel", "qsig", "qrerun", "qalter", "qhold", "qrls", "qselect", "pbsdsh",
)  # fmt: skip

_FOREIGN = re.compile("PBS_|SLURM|SBATCH|GANYMEDE|SUBMITIT")
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class FakePBS:
    """A cluster below a folder, for tests to look into and to change."""

    folder: Path
    server: subprocess.Popen[str]

    def environment(self) -> dict[str, str]:
        """That of somebody who is logged in there."""
        found = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
        return found | {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def change(self, **values: Any) -> None:
        """Set what `SETTINGS` of `fake_pbs_server.py` explains: nodes, kill_delay, history, ..."""
        self._ask("change", **values)

    def jobs(self) -> dict[str, dict[str, Any]]:
        """What `qstat -x -t -f` would show, by id."""
        return self._ask("jobs")["jobs"]

    def job(self, job_id: str) -> dict[str, Any]:
        return self.jobs()[job_id]

    def requeue(self, job_id: str) -> None:
        """As an operator's qrerun, or a preemption by method R: the job keeps its id."""
        self._ask("operate", action="requeue", job_id=job_id)

    def drop(self, job_id: str) -> None:
        """As a preemption by method D: the job is deleted."""
        self._ask("operate", action="drop", job_id=job_id)

    def suspend(self, job_id: str) -> None:
        """As a preemption by method S: SIGSTOP."""
        self._ask("operate", action="suspend", job_id=job_id)

    def resume(self, job_id: str) -> None:
        self._ask("operate", action="resume", job_id=job_id)

    def purge(self, *job_ids: str) -> None:
        """Forget jobs, as when their time in the history is over."""
        for job_id in job_ids:
            self._ask("operate", action="purge", job_id=job_id)

    def fail(
        self, command: str, error: str, times: int = 1, acts: bool = False, **rest: Any
    ) -> None:
        """Have the next calls say `error` on stderr; `acts`: they do their work all the same.

        `status` is the exit status (1), `output` what goes to stdout, `hangs` seconds of delay;
        `kills`: the client that called.
        """
        fault = {"error": error, "acts": acts, "status": 1, "output": ""} | rest
        self._ask("fail", command=command, faults=[fault] * times)

    def calls(self, command: str) -> list[list[str]]:
        """The arguments of every call of a command so far."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        calls = map(json.loads, lines)
        return [call["arguments"] for call in calls if call["command"] == command]

    def wait(
        self, job_id: str, states: str = "FX", until: Callable[[dict[str, Any]], bool] | None = None
    ) -> dict[str, Any]:
        """What is shown of a job once it is in one of the states."""
        deadline = time.monotonic() + 60
        while True:
            job = self.jobs().get(job_id, {})
            if job.get("job_state", "-") in states and (until is None or until(job)):
                return job
            assert time.monotonic() < deadline, f"{job_id} is not in {states}: {job}"
            time.sleep(0.02)

    def close(self) -> None:
        """For `contextlib.closing`."""
        self.stop()

    def stop(self) -> None:
        """End the server and every job; its commands then find nobody."""
        self.server.terminate()
        self.server.wait()
        if self.server.stdout:
            self.server.stdout.close()

    def _ask(self, operation: str, **values: Any) -> dict[str, Any]:
        request = {"command": "control", "operation": operation, "values": values}
        folder = os.open(self.folder, os.O_PATH)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(f"/proc/self/fd/{folder}/socket")  # its address must be short
                connection.sendall(json.dumps(request).encode())
                connection.shutdown(socket.SHUT_WR)
                parts = iter(lambda: connection.recv(1 << 16), b"")
                answer: dict[str, Any] = json.loads(b"".join(parts))
        finally:
            os.close(folder)
        assert "error" not in answer, answer["error"]
        return answer


def install(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch | None = None,
    owner: tuple[int, int] | None = None,
) -> FakePBS:
    """An empty cluster below `folder`; with `monkeypatch` its commands come first on PATH.

    `owner` (user and group) is who its server and its jobs run as, where root runs the tests. Its
    `stop` must be called; it stops by itself when this process ends.
    """
    folder = folder / "pbs"
    user, group = owner or (os.geteuid(), os.getegid())
    for name in ("bin", "home", "aux", "spool", "jobs", "tmp"):
        (folder / name).mkdir(parents=True)
        os.chown(folder / name, user, group)
    os.chown(folder, user, group)
    program = (_HERE / "fake_pbs_command.py").read_text()
    for name in COMMANDS:
        path = folder / "bin" / name
        path.write_text(f"#!{sys.executable} -IS\n{program}")
        path.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-IS", _HERE / "fake_pbs_server.py", folder],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        **({"user": user, "group": group, "extra_groups": []} if owner else {}),
    )
    assert server.stdout and server.stdout.readline() == "ready\n"
    pbs = FakePBS(folder, server)
    if monkeypatch:
        for name in filter(_FOREIGN.match, list(os.environ)):
            monkeypatch.delenv(name)
        monkeypatch.setenv("PATH", pbs.environment()["PATH"])
    return pbs
