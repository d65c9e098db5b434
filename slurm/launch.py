"""Starts the ranks of one node as plain processes, and ends all of them if one fails.

`python -m slurm.launch --node 0 --nodes 2 --per-node 4 ... -- COMMAND` does on each node what srun
does on a Slurm cluster. How a node ended stands in a file that the others look at.
"""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slurm import gpus
from slurm.errors import SchedulerError

_POLL_S = 0.1
_KILL_S = 15.0  # after SIGTERM
_WARNING = "SUBMITIT_PREEMPT_SIGNAL"  # environment: by which signal submitit wants to be told
_REFUSED = 2
_TOLD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_FIRST_PORT, _PORTS = 20000, 10000  # below those that the system gives away


@dataclass(frozen=True)
class Node:
    """What one node of a job is to start."""

    command: list[str]
    node: int
    nodes: int
    per_node: int
    mark: Path  # how node k ended stands in the file of this name with .k added
    logs: Path
    job_id: str  # of the logs' names
    gpus: int = 0
    all_gpus: bool = False
    stderr_apart: bool = False
    warn_at: float | None = None  # UTC seconds

    def mark_of(self, node: int) -> Path:
        return self.mark.with_name(f"{self.mark.name}.{node}")


@dataclass
class Ranks:
    """The processes of one node, and how they end."""

    of: Node
    processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    _warned: set[int] = field(default_factory=set)  # their ids
    _failed: int = 0  # the status for which they were told to end
    _told_at: float = 0.0  # and when, in monotonic seconds

    def start(self, visible_gpus: str | None) -> None:
        for local_rank in range(self.of.per_node):
            rank = self.of.node * self.of.per_node + local_rank
            environment = os.environ | rank_environment(self.of, rank, local_rank)
            if visible_gpus is not None:
                environment[gpus.VISIBLE] = visible_gpus
            name = f"{self.of.job_id}_{rank}_log"
            with (self.of.logs / f"{name}.out").open("ab") as log:
                errors = (self.of.logs / f"{name}.err") if self.of.stderr_apart else None
                with errors.open("ab") if errors else contextlib.nullcontext() as apart:
                    process = subprocess.Popen(
                        self.of.command,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=apart or subprocess.STDOUT,
                    )
            self.processes.append(process)

    def wait(self) -> int:
        """Until all have ended; returns 0, or the exit status of the first that failed, or of
        another node: it ends them all.
        """
        while None in [process.poll() for process in self.processes]:
            self._warn()
            if not self._failed and (failed := self._failure()):
                self._failed, self._told_at = failed, time.monotonic()
                self._signal(signal.SIGTERM)
            elif self._failed and time.monotonic() - self._told_at > _KILL_S:
                self._signal(signal.SIGKILL)
            time.sleep(_POLL_S)
        return self._failed or self._failure()

    def _warn(self) -> None:
        """Each once, when it has a handler: one that is still loading would die of it."""
        if self.of.warn_at is None or time.time() < self.of.warn_at:
            return
        number = signal.Signals[f"SIG{os.environ.get(_WARNING) or 'USR2'}"]
        for process in self.processes:
            if process.pid not in self._warned and catches(process.pid, number):
                self._warned.add(process.pid)
                process.send_signal(number)

    def _signal(self, number: signal.Signals) -> None:
        for process in self.processes:
            process.send_signal(number)

    def _failure(self) -> int:
        """The highest exit status of the ranks that have ended, or else of the other nodes."""
        own = [exit_status(process) for process in self.processes if process.returncode]
        return max(own or peers(self.of).values(), default=0)


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal; False if there is no such process."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    caught = next((line.split()[1] for line in lines if line.startswith("SigCgt:")), "0")
    return bool(int(caught, 16) >> (number - 1) & 1)


def exit_status(process: "subprocess.Popen[bytes]") -> int:
    """As a shell tells it: 128 and the signal's number for one that was killed."""
    status = process.returncode
    return 128 - status if status < 0 else status


def peers(of: Node) -> dict[int, int]:
    """How the other nodes have ended, as far as they have."""
    found = {}
    for node in range(of.nodes):
        mark = of.mark_of(node)
        if node != of.node and mark.exists() and (words := mark.read_text().split()):
            found[node] = int(words[0])
    return found


def rank_environment(of: Node, rank: int, local_rank: int) -> dict[str, str]:
    """What tells a process its place, for submitit and for torch."""
    hosts = os.environ.get("SUBMITIT_PBS_HOSTS") or socket.gethostname()
    ours: Mapping[str, int] = {
        "NUM_TASKS": of.nodes * of.per_node,
        "NUM_NODES": of.nodes,
        "NODE": of.node,
        "GLOBAL_RANK": rank,
        "LOCAL_RANK": local_rank,
    }
    torchs = {
        "RANK": rank,
        "LOCAL_RANK": local_rank,
        "WORLD_SIZE": of.nodes * of.per_node,
        "LOCAL_WORLD_SIZE": of.per_node,
        "MASTER_ADDR": hosts.partition(",")[0],
        "MASTER_PORT": _FIRST_PORT + zlib.crc32(of.job_id.encode()) % _PORTS,
    }
    found = {f"SUBMITIT_PBS_{name}": value for name, value in ours.items()} | torchs
    return {name: str(value) for name, value in found.items()}


def run(of: Node) -> int:
    """Start the ranks, see them end, and leave word of it; returns the exit status."""
    for number in _TOLD:  # they reach the ranks by themselves; ignored, they would not
        signal.signal(number, lambda number, frame: None)
    status, told = 1, "the ranks could not be started"
    try:
        claimed = gpus.claim(of.gpus, of.all_gpus)  # held until this process ends
        ranks = Ranks(of)
        ranks.start(claimed.visible)
        status, told = ranks.wait(), ""
    except SchedulerError as error:
        status, told = _REFUSED, str(error)
    finally:
        # Aside and renamed: another node never reads half of it.
        aside = of.mark.with_name(f"{of.mark.name}.{of.node}.aside")
        aside.write_text(f"{status} {told}\n")
        aside.replace(of.mark_of(of.node))
    if told:
        print(told, flush=True)
    if of.node == 0:
        status = max([status, *_all_peers(of).values()])
    return status


def _all_peers(of: Node) -> dict[int, int]:
    """How the others have ended, once all have; of one that is lost, the wrapper tells."""
    while len(found := peers(of)) < of.nodes - 1:
        time.sleep(_POLL_S)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("node", "nodes", "per-node", "gpus"):
        parser.add_argument(f"--{name}", type=int, required=name != "gpus", default=0)
    for name in ("mark", "logs"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--id", dest="job_id", required=True)
    parser.add_argument("--warn-at", type=float)
    parser.add_argument("--all-gpus", action="store_true")
    parser.add_argument("--stderr-apart", action="store_true")
    parser.add_argument("command", nargs="+")
    return run(Node(**vars(parser.parse_args())))


if __name__ == "__main__":
    sys.exit(main())
