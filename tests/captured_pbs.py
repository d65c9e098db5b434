"""Answers of a real OpenPBS 23.06.06, given by stand-ins for its commands.

`server.json` and `queues.json` are of a server with few settings; `*-limits.json` of the same one
with limits on users, a short history, a queue for some users alone and a routing queue.
"""

import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

_ANSWERS = Path(__file__).parent / "pbs_answers"
_SILENT = "Connection refused\n{}: cannot connect to server pbshost (errno=15010)"
_UNKNOWN_RESOURCE = "qmgr obj=ngpus svr=default: Unknown resource"
_FILES = {"server": "Server", "queues": "Queue", "nodes": "nodes"}


class CapturedPBS:
    """Commands in a folder that comes first on PATH, and the answers that they print."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, limits: bool) -> None:
        self.folder = folder
        shutil.copytree(_ANSWERS, folder / "answers")
        if limits:
            for name in ("server", "queues"):
                shutil.copy(_ANSWERS / f"{name}-limits.json", folder / "answers" / f"{name}.json")
        for name in os.environ:
            if name.startswith(("PBS", "GANYMEDE", "SUBMITIT")):
                monkeypatch.delenv(name)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        self.command(
            "qstat",
            f'case "$*" in --version) cat {self._answer("version.txt")} ;; '
            f'"-B -f -F json") cat {self._answer("server.json")} ;; '
            f'"-Q -f -F json") cat {self._answer("queues.json")} ;; *) exit 9 ;; esac',
        )
        self.command(
            "pbsnodes",
            f'case "$*" in "-a -F json") cat {self._answer("nodes.json")} ;; *) exit 9 ;; esac',
        )
        self.command(
            "qmgr",
            f'case "$*" in "-c list sched") cat {self._answer("sched.txt")} ;; '
            f'"-c list resource ngpus") cat {self._answer("ngpus.txt")} ;; *) exit 9 ;; esac',
        )

    def _answer(self, name: str) -> str:
        return shlex.quote(str(self.folder / "answers" / name))

    def command(self, name: str, body: str) -> None:
        """Put a program there that does what `body` says, in sh."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def refuses(self, name: str, error: str, status: int = 1) -> None:
        """Have a command end with this on stderr."""
        self.command(name, f"echo {shlex.quote(error)} >&2; exit {status}")

    def is_silent(self) -> None:
        """The server does not answer any more; qstat still knows its own version."""
        told = shlex.quote(_SILENT.format("qstat"))
        version = self._answer("version.txt")
        self.command(
            "qstat", f'[ "$*" = --version ] && exec cat {version}; echo {told} >&2; exit 255'
        )
        for name in ("pbsnodes", "qmgr"):
            self.refuses(name, _SILENT.format(name))

    def lacks_ngpus(self) -> None:
        """As on a site that has not defined that resource."""
        self.set("nodes", "pbshost", resources_available={"ncpus": 8, "mem": "16gb"})
        self.set("nodes", "pbsnode2", resources_available={"ncpus": 8, "mem": "16gb"})
        sched, told = self._answer("sched.txt"), shlex.quote(_UNKNOWN_RESOURCE)
        self.command(
            "qmgr", f'[ "$2" = "list sched" ] && exec cat {sched}; echo {told} >&2; exit 1'
        )

    def set(self, what: str, name: str, **attributes: Any) -> None:
        """Change attributes of the server, a queue or a node, or add them; None removes one."""
        path = self.folder / "answers" / f"{what}.json"
        answer = json.loads(path.read_text())
        changed = answer[_FILES[what]].get(name, {}) | attributes
        answer[_FILES[what]][name] = {k: v for k, v in changed.items() if v is not None}
        path.write_text(json.dumps(answer))

    def set_server(self, **attributes: Any) -> None:
        self.set("server", "pbshost", **attributes)

    def set_queue(self, name: str, **attributes: Any) -> None:
        self.set("queues", name, **attributes)

    def set_scheduler(self, **attributes: str) -> None:
        path = self.folder / "answers" / "sched.txt"
        lines = [
            line for line in path.read_text().splitlines() if line.split()[:1] not in
            [[name] for name in attributes]
        ]  # fmt: skip
        lines += [f"    {name} = {value}" for name, value in attributes.items()]
        path.write_text("\n".join(lines) + "\n")
