"""A job of the stand-in for PBS: what it is, and its processes."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOST = "fakepbs"
LIVE, RUNNING = "QHWRSEB", "RS"
Process = subprocess.Popen[bytes]


@dataclass(eq=False)
class Job:
    """`index` is None, "" of an array, or that of a subjob, whose `array` is then set."""

    number: int
    index: str | None
    options: dict[str, str]  # of qsub, by letter
    argv: list[str]  # the program and its arguments; empty: a login shell runs `script`
    script: Path
    variables: dict[str, str]  # the Variable_List
    resources: dict[str, Any]  # the Resource_List; walltime in seconds
    chunks: list[dict[str, Any]]  # the resources of each chunk
    attributes: dict[str, Any]  # as qstat shows them
    array: "Job | None" = None
    subjobs: list["Job"] = field(default_factory=list)
    state: str = "Q"
    substate: int = 10
    holds: set[str] = field(default_factory=set)
    depend: dict[str, list[str]] = field(default_factory=dict)  # ids by type; before..., too
    comment: str = ""
    exit_status: int | None = None
    run_count: int = 0
    begins: float = 0.0  # state W before that
    over_at: float = 0.0
    lost: bool = False  # of a subjob: that it has no record of its own any more
    # of its latest run
    process: Process | None = None
    tasks: dict[int, Process] = field(default_factory=dict)  # of pbsdsh
    nodes: list[str] = field(default_factory=list)  # that of each chunk
    started: float = 0.0
    suspended: float = 0.0
    ending: str = ""  # deleted, walltime or rerun
    kill_at: float | None = None

    @property
    def id(self) -> str:
        return f"{self.number}{'' if self.index is None else f'[{self.index}]'}.{HOST}"

    @property
    def name(self) -> str:
        return self.attributes["Job_Name"]

    @property
    def queue(self) -> str:
        return self.attributes["queue"]

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    @property
    def is_mere(self) -> bool:
        """Whether this is a subjob of which only its array knows."""
        return self.array is not None and ((self.state == "Q" and not self.run_count) or self.lost)

    def path(self, output: str, home: str) -> Path:
        """Where its `Output` or `Error` goes in the end."""
        letter, keep = output[0].lower(), self.options.get("k", "n")
        given, folder = self.options.get(letter, ""), Path(self.variables["PBS_O_WORKDIR"])
        if letter in keep and "d" not in keep:  # -k o: it stays in the home folder
            given, folder = "", Path(home)
        if given and (folder / given).is_dir():
            return folder / given / f"{self.id}.{'OU' if letter == 'o' else 'ER'}"
        index = "^array_index^" if self.is_mere else self.index or "^array_index^"
        if given:
            return folder / given.replace("^array_index^", index)
        end = "" if self.index is None else f".{index}"
        return folder / f"{self.name}.{letter}{self.number}{end}"

    def vnodes(self) -> str:
        """The exec_vnode."""
        hidden = ("mpiprocs", "ompthreads", "host", "vnode")
        asked = [":".join(f"{k}={v}" for k, v in c.items() if k not in hidden) for c in self.chunks]
        return "+".join(f"({node}:{a})" for node, a in zip(self.nodes, asked, strict=True))

    def node_lines(self) -> list[str]:
        """The lines of PBS_NODEFILE: one for each process that was asked for."""
        pairs = zip(self.nodes, self.chunks, strict=True)
        return [node for node, chunk in pairs for _ in range(chunk.get("mpiprocs", 1))]

    def environment(self, folder: Path, home: str) -> dict[str, str]:
        threads = str(self.chunks[0].get("ompthreads", self.chunks[0]["ncpus"]))
        user = self.variables["PBS_O_LOGNAME"]
        found = self.variables | {
            "ENVIRONMENT": "BATCH", "HOME": home, "LOGNAME": user, "USER": user,
            "NCPUS": threads, "OMP_NUM_THREADS": threads, "PATH": "/bin:/usr/bin",
            "PBS_ENVIRONMENT": "PBS_BATCH", "PBS_JOBCOOKIE": f"{folder}:{self.id}",
            "PBS_JOBDIR": home, "PBS_JOBID": self.id, "PBS_JOBNAME": self.name,
            "PBS_MOMPORT": "15003", "PBS_NODEFILE": str(folder / "aux" / self.id),
            "PBS_NODENUM": "0", "PBS_QUEUE": self.queue, "PBS_TASKNUM": "1",
            "SHELL": "/bin/bash", "TMPDIR": str(folder / "tmp" / f"pbs.{self.id}"),
        }  # fmt: skip
        if self.array:
            found |= {"PBS_ARRAY_ID": self.array.id, "PBS_ARRAY_INDEX": self.index or ""}
        return found

    def start(self, folder: Path, home: str) -> None:
        """Raises OSError if its output has nowhere to go."""
        environment = self.environment(folder, home)
        Path(environment["TMPDIR"]).mkdir(parents=True, exist_ok=True)
        Path(environment["PBS_NODEFILE"]).write_text("\n".join([*self.node_lines(), ""]))
        self.tasks, self.ending, self.kill_at = {}, "", None
        # Unlike pbsdsh, qsub -- does not look for its program on PATH.
        program = [str(Path(home, self.argv[0])), *self.argv[1:]] if self.argv else []
        begun = time.time()  # before it does anything, however late this process goes on
        self.process = self._spawn(program, environment, folder)
        self.started = begun

    def start_task(self, argv: list[str], node: int, folder: Path, home: str) -> int:
        """A task of pbsdsh, in a session of its own; its number."""
        number = len(self.tasks) + 2
        dropped = ("PBS_NODEFILE", "LOGNAME", "USER", "SHELL")
        environment = self.environment(folder, home)
        kept = {key: value for key, value in environment.items() if key not in dropped}
        kept |= {"PBS_TASKNUM": f"{number:08X}", "PBS_NODENUM": str(node)}
        self.tasks[number] = self._spawn(argv, kept, folder)
        return number

    def _spawn(self, argv: list[str], environment: dict[str, str], folder: Path) -> Process:
        """A session that runs a program, or else a login shell that is told the script's path."""
        mask = int(self.attributes.get("umask", "077"), 8)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with contextlib.ExitStack() as stack:
            outputs = []
            for output in ("Output", "Error"):
                path = self._stream(output, folder, environment["HOME"])
                outputs.append(os.fdopen(os.open(path, flags, 0o666 & ~mask), "ab"))
                stack.enter_context(outputs[-1])
            given = (folder / "jobs" / f"{self.id}.in").open("w+b")
            stack.enter_context(given).write(b"" if argv else f"{self.script}\n".encode())
            given.seek(0)
            try:
                return subprocess.Popen(
                    argv or ["-bash"],
                    executable=None if argv else "/bin/bash",
                    env=environment,
                    cwd=environment["HOME"],
                    umask=mask,
                    start_new_session=True,
                    stdin=given,
                    stdout=outputs[0],
                    stderr=outputs[1],
                )
            except OSError as failure:
                said = f"pbs_mom, exec of {argv[0]} failed with error: {failure.strerror}\n"
                outputs[1].write(said.encode())
                return subprocess.Popen(["/bin/sh", "-c", "exit 254"], start_new_session=True)

    def _stream(self, output: str, folder: Path, home: str) -> Path:
        """Where an output goes while it runs."""
        joined = self.options.get("j", "n")
        output = {"o": "Output", "e": "Error", "n": output}[joined[0]]
        if "d" in self.options.get("k", "n"):
            return self.path(output, home)
        return folder / "spool" / f"{self.id}.{output}"

    def say(self, text: str, folder: Path, home: str) -> None:
        """To its stderr, as the MoM does."""
        with self._stream("Error", folder, home).open("a") as stream:
            stream.write(text)

    def deliver(self, folder: Path, home: str) -> bool:
        """Copy what was spooled to where it belongs; whether that went well."""
        delivered = True
        for output in ("Output", "Error"):
            spooled = folder / "spool" / f"{self.id}.{output}"
            try:
                if spooled.exists():
                    path = self.path(output, home)
                    # Root's copy of its mode would close /dev/null to everybody else.
                    copy = shutil.copyfile if path.is_char_device() else shutil.copy
                    copy(spooled, path)
                    spooled.unlink()
            except OSError:
                delivered = False
        shutil.rmtree(folder / "tmp" / f"pbs.{self.id}", ignore_errors=True)
        return delivered

    def processes(self) -> list[Process]:
        return [each for each in (self.process, *self.tasks.values()) if each]

    def members(self) -> list[int]:
        """The living processes of its sessions."""
        sessions = {process.pid for process in self.processes()}
        return [pid for pid, session in living() if session in sessions]

    def signal(self, number: int) -> None:
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """Whatever is left, until nothing is."""
        while self.members():
            self.signal(signal.SIGKILL)
        for process in self.processes():
            process.wait()


def living() -> Iterator[tuple[int, int]]:
    """(process, session) of every process that is no zombie."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = Path(entry, "stat").read_text().rpartition(")")[2].split()
                if words[0] not in "ZX":
                    yield int(entry.name), int(words[3])
