"""How long a submission takes, from the command to the scheduler's answer.

    python -m benchmarks.submit [--members 1000] [--repeats 3] [--cpu-time] [--json]

One run, one pipeline with all that follows it, and one sweep whose members are the tasks of arrays.
Stand-ins for Slurm's commands answer at once and note that they were called, so what is left is
ours. Timed is each whole command, from its start to its exit, into a folder that is new each time;
with --cpu-time the seconds are those that it, and what it called, had a processor.

Beside it, in the same rounds: submitit alone, which hands a function that does nothing to the same
stand-ins as often as the suite calls sbatch; a command that submits nothing (`ganymede list`); and
the records of a sweep written bare, one file after the other, each synced: what the disk asks for.
submitit keeps no records, so a client of its own that dies has lost its jobs, or doubles them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks import measuring

_RECIPE, _PIPELINE = "gan-digits", "ie534-quick"
_COMMANDS = {
    "sbatch": """echo "$*" >> '{folder}/calls'
number=$(wc -l < '{folder}/calls')
case "$1" in --parsable) echo "$number" ;; *) echo "Submitted batch job $number" ;; esac""",
    "squeue": "",
    "scontrol": "echo 'MaxArraySize = {largest}'",
    "srun": "",  # submitit wants it to be there
}
# Of each job an array of so many tasks, or a job alone; `int` does nothing, and takes no time.
_BARE = """
import submitit, sys
folder, jobs, tasks = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
executor = submitit.SlurmExecutor(folder)
for _ in range(jobs):
    if tasks:
        with executor.batch():
            _ = [executor.submit(int) for _ in range(tasks)]
    else:
        executor.submit(int)
"""


@dataclass(frozen=True)
class Bench:
    """Commands against stand-ins for Slurm's, each with a folder of its own."""

    folder: Path
    members: int
    _numbers: Any = field(default_factory=count)

    def make(self) -> None:
        """The stand-ins; they take an array of all members."""
        (self.folder / "bin").mkdir()
        for name, body in _COMMANDS.items():
            path = self.folder / "bin" / name
            content = body.format(folder=self.folder, largest=self.members + 1)
            path.write_text(f"#!/bin/sh\n{content}\n")
            path.chmod(0o755)

    def calls(self) -> int:
        """How often sbatch has been called."""
        path = self.folder / "calls"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def new_folder(self) -> Path:
        return self.folder / f"runs-{next(self._numbers)}"

    def ganymede(self, *arguments: str) -> Path:
        """Have the suite do what the arguments say; returns the folder of the runs."""
        runs = self.new_folder()
        self._python("-m", "jobs.cli", *arguments, "--runs", str(runs))
        return runs

    def submit(self, name: str, *more: str) -> Path:
        """Submit a recipe or pipeline; `more` are its flags."""
        return self.ganymede("run", name, "--on", "slurm", "--threads", "1", *more)

    def submit_sweep(self) -> Path:
        return self.submit(_RECIPE, "--sweep", f"seed=0..{self.members - 1}")

    def bare(self, jobs: int, tasks: int = 0) -> Path:
        """Have submitit alone submit so many jobs, or arrays of so many tasks."""
        folder = self.new_folder()
        self._python("-c", _BARE, str(folder), str(jobs), str(tasks))
        return folder

    def write(self, contents: Sequence[bytes]) -> Path:
        """Write files one after the other, and nothing else; each is synced."""
        folder = self.new_folder()
        folder.mkdir()
        for number, content in enumerate(contents):
            with (folder / str(number)).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        return folder

    def _python(self, *arguments: str) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SBATCH"))}
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        command = [sys.executable, *arguments]
        subprocess.run(command, env=inherited | {"PATH": path}, capture_output=True, check=True)


def first_of(bench: Bench, submit: Callable[[], Path]) -> tuple[int, list[bytes]]:
    """How often a submission calls sbatch, and the records that it leaves."""
    before = bench.calls()
    runs = submit()
    return bench.calls() - before, [path.read_bytes() for path in runs.rglob("*.json")]


def cpu_time() -> float:
    """Seconds on a processor, of this process and of those that it called and that are over."""
    return sum(os.times()[:4])


def measure(
    members: int, repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), members)
        bench.make()
        ours: dict[str, Callable[[], Path]] = {
            "run": lambda: bench.submit(_RECIPE),
            "pipeline": lambda: bench.submit(_PIPELINE),
            "sweep": bench.submit_sweep,
        }
        firsts = {name: first_of(bench, submit) for name, submit in ours.items()}  # warm up too
        calls, records = {name: first[0] for name, first in firsts.items()}, firsts["sweep"][1]
        tasks: dict[str, Callable[[], object]] = {
            **ours,
            "bare_run": lambda: bench.bare(calls["run"]),
            "bare_pipeline": lambda: bench.bare(calls["pipeline"]),
            "bare_sweep": lambda: bench.bare(calls["sweep"], members),
            "start_up": lambda: bench.ganymede("list"),
            "records": lambda: bench.write(records),
        }
        times = measuring.in_turn(tasks, repeats, warm_ups=0, clock=clock)
    return {
        "members": members,
        "rounds": repeats,
        **_figures(times, calls, members),
        "start_up_s": times.median("start_up"),
        "sweep_records": len(records),
        "sweep_records_bare_s": times.median("records"),
        "sweep_over_records": 1 / times.speedup("sweep", "records").median,
    }


def _figures(times: measuring.Times, calls: dict[str, int], members: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, called in calls.items():
        found[f"{name}_s"] = times.median(name)
        found[f"{name}_most_s"] = max(times.seconds[name])
        found[f"{name}_sbatch_calls"] = called
        found[f"{name}_start_up_share"] = times.speedup(name, "start_up").median
        found[f"{name}_bare_s"] = times.median(f"bare_{name}")
        found[f"{name}_over_bare"] = 1 / times.speedup(name, f"bare_{name}").median
    beyond_start = times.median("sweep") - times.median("start_up")
    return found | {"sweep_ms_per_member": 1000 * beyond_start / members}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3, help="rounds that count")
    parser.add_argument("--cpu-time", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    clock = cpu_time if options.cpu_time else time.perf_counter
    measuring.tell(measure(options.members, options.repeats, clock), options.json)


if __name__ == "__main__":
    main()
