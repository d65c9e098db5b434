"""A job of the stand-in for PBS: what it is, what it shows of itself, and its processes."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

HOST = "fakepbs"
LIVE, RUNNING = "QHRSEB", "RS"
BEFORE = {
    "after": "before",
    "afterok": "beforeok",
    "afternotok": "beforenotok",
    "afterany": "beforeany",
}


@dataclass(eq=False)
class Job:
    """`index` is None, "" of an array, or that of a subjob; see `shown` for the rest."""

    number: int
    index: str | None
    options: dict  # of qsub, by letter
    argv: list  # the program and its arguments; empty: `script` is run by a login shell
    script: str
    variables: dict  # the Variable_List
    resources: dict  # the Resource_List
    chunks: list  # dicts of resources, one for each chunk
    attributes: dict  # what qstat shows beside what is said below
    subjobs: list = field(default_factory=list)
    array: "Job | None" = None
    state: str = "Q"
    substate: int = 10
    holds: set = field(default_factory=set)
    depend: dict = field(default_factory=dict)  # ids by type, both afterok and beforeok
    comment: str = ""
    exit_status: int | None = None
    run_count: int = 0
    # of its latest run
    process: subprocess.Popen | None = None
    sessions: set = field(default_factory=set)
    tasks: dict = field(default_factory=dict)  # of pbsdsh, by number
    nodes: list = field(default_factory=list)  # that of each chunk
    started: float = 0.0
    suspended: float = 0.0  # since when
    ending: str = ""  # deleted, walltime or rerun
    kill_at: float | None = None
    terminated_by: str = ""
    over_at: float | None = None

    @property
    def id(self):
        return f"{self.number}{'' if self.index is None else f'[{self.index}]'}.{HOST}"

    @property
    def is_live(self):
        return self.state in LIVE

    def limit_s(self):
        """The walltime in seconds, or None."""
        return self.resources.get("walltime")

    def path(self, name):
        """Where `Output_Path` or `Error_Path` leads."""
        letter = name[0].lower()
        kept = self.options.get("k", "n")
        inside = Path(self.variables["PBS_O_WORKDIR"])
        given = self.options.get(letter, "")
        if letter in kept and "d" not in kept:
            given, inside = "", Path(self.attributes["home"])
        if given and (inside / given).is_dir():
            return inside / given / f"{self.id}.{'OU' if letter == 'o' else 'ER'}"
        if given:
            return inside / given.replace("^array_index^", self.index or "^array_index^")
        end = "" if self.index is None else f".{self.index or '^array_index^'}"
        return inside / f"{self.attributes['Job_Name']}.{letter}{self.number}{end}"

    def vnodes(self):
        """The `exec_vnode`."""
        asked = (
            ":".join(f"{k}={v}" for k, v in chunk.items() if k not in ("mpiprocs", "ompthreads"))
            for chunk in self.chunks
        )
        return "+".join(f"({node}:{a})" for node, a in zip(self.nodes, asked, strict=True))

    def nodes_file(self):
        """The lines of PBS_NODEFILE, one for each process that was asked for."""
        pairs = zip(self.nodes, self.chunks, strict=True)
        return [node for node, chunk in pairs for _ in range(chunk.get("mpiprocs", 1))]

    def environment(self, folder):
        """What the program gets."""
        home, name = self.attributes["home"], self.variables["PBS_O_LOGNAME"]
        found = dict(self.variables) | {
            "ENVIRONMENT": "BATCH", "HOME": home, "LOGNAME": name, "USER": name,
            "NCPUS": str(self.chunks[0]["ncpus"]), "PATH": "/bin:/usr/bin",
            "OMP_NUM_THREADS": str(self.chunks[0].get("ompthreads", self.chunks[0]["ncpus"])),
            "PBS_ENVIRONMENT": "PBS_BATCH", "PBS_JOBCOOKIE": f"{folder}:{self.id}",
            "PBS_JOBDIR": home, "PBS_JOBID": self.id, "PBS_MOMPORT": "15003",
            "PBS_JOBNAME": self.attributes["Job_Name"], "PBS_NODENUM": "0", "PBS_TASKNUM": "1",
            "PBS_NODEFILE": str(folder / "aux" / self.id), "PBS_QUEUE": self.attributes["queue"],
            "SHELL": "/bin/bash", "TMPDIR": str(folder / "tmp" / f"pbs.{self.id}"),
        }  # fmt: skip
        if self.array:
            found |= {"PBS_ARRAY_ID": self.array.id, "PBS_ARRAY_INDEX": self.index}
        return found

    def start(self, folder):
        """Raises OSError if its output has nowhere to go."""
        environment = self.environment(folder)
        Path(environment["TMPDIR"]).mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{line}\n" for line in self.nodes_file())
        Path(environment["PBS_NODEFILE"]).write_text(lines)
        mask = int(self.attributes.get("umask", "077"), 8)
        with contextlib.ExitStack() as stack:
            output, error = (stack.enter_context(stream) for stream in self._streams(folder, mask))
            said = {"stdin": subprocess.DEVNULL if self.argv else subprocess.PIPE}
            said |= {"stdout": output, "stderr": error}
            said |= {"cwd": environment["HOME"], "env": environment, "umask": mask}
            argv = self.argv or ["-bash"]
            try:
                self.process = subprocess.Popen(
                    argv,
                    executable=None if self.argv else "/bin/bash",
                    start_new_session=True,
                    **said,
                )
            except OSError as failure:
                line = f"pbs_mom, exec of {argv[0]} failed with error: {failure.strerror}\n"
                error.write(line.encode())
                self.process = subprocess.Popen(
                    ["/bin/sh", "-c", "exit 254"], start_new_session=True
                )
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError), self.process.stdin:
                self.process.stdin.write(f"{self.script}\n".encode())
        self.sessions, self.kill_at, self.ending = {self.process.pid}, None, ""
        self.started = time.time()

    def _streams(self, folder, mask):
        """Where its two outputs go while it runs."""
        for name in ("Output", "Error"):
            path = folder / "spool" / f"{self.id}.{name}"
            joined = self.options.get("j", "n")
            if joined != "n" and name[0].lower() != joined[0]:
                path = folder / "spool" / f"{self.id}.{'Error' if name == 'Output' else 'Output'}"
            if "d" in self.options.get("k", "n"):
                name = path.suffix[1:]
                path = self.path(f"{name}_Path")
            yield os.fdopen(
                os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666 & ~mask), "ab"
            )

    def deliver(self, folder):
        """Copy what was spooled to where it belongs; whether that went well."""
        delivered = True
        for name in ("Output", "Error"):
            spooled = folder / "spool" / f"{self.id}.{name}"
            if spooled.exists():
                try:
                    shutil.copy(spooled, self.path(f"{name}_Path"))
                    spooled.unlink()
                except OSError:
                    delivered = False
        shutil.rmtree(folder / "tmp" / f"pbs.{self.id}", ignore_errors=True)
        return delivered

    def members(self):
        """Its living processes."""
        return [pid for pid, session in living() if session in self.sessions]

    def signal(self, number):
        for pid in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self):
        """Whatever is left, until nothing is."""
        while self.members():
            self.signal(signal.SIGKILL)
        for process in (self.process, *self.tasks.values()):
            process.wait()

    def reap(self):
        for process in (self.process, *self.tasks.values()):
            process.poll()

    def spawn(self, folder, argv, node):
        """A task of pbsdsh: a session of its own, which dies with the job; its number."""
        number = len(self.tasks) + 2
        dropped = ("PBS_NODEFILE", "LOGNAME", "USER", "SHELL")
        kept = {k: v for k, v in self.environment(folder).items() if k not in dropped}
        kept |= {"PBS_TASKNUM": f"{number:08X}", "PBS_NODENUM": str(node)}
        mask = int(self.attributes.get("umask", "077"), 8)
        with contextlib.ExitStack() as stack:
            output, error = (stack.enter_context(stream) for stream in self._streams(folder, mask))
            said = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": error}
            said |= {"cwd": kept["HOME"], "env": kept, "umask": mask, "start_new_session": True}
            try:
                task = subprocess.Popen(argv, **said)
            except OSError as failure:
                error.write(f"{argv[0]}: {failure.strerror}\n".encode())
                task = subprocess.Popen(["/bin/sh", "-c", "exit 254"], start_new_session=True)
        self.tasks[number] = task
        self.sessions.add(task.pid)
        return number


def living():
    """(process, session) of every process that is no zombie."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _, _, session = (
                    Path(entry, "stat").read_text().rpartition(")")[2].split()[:4]
                )
                if state not in "ZX":
                    yield int(entry.name), int(session)
