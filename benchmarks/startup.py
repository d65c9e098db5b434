"""How long it takes from the start of a process to its first training step, and what takes so long.

    python -m benchmarks.startup [--width 32] [--batch 8] [--repeats 7] [--threads 2]
        [--cpu-time] [--json]

Timed in turn are: the first step of a new run in a job's process, part by part; the same from the
start of `ganymede resume`, which starts that job; the commands that are asked for an answer
(`--help`, `list`, `status` of an empty folder); and what no job can do without: the interpreter,
and `import torch`, each in a process of its own. Of the commands is also told which packages they
load for how long, and whether torch is among them; of the job, whether it loads what no training
needs: torch's compiler, scikit-learn. Exit status 1 if any does.

`--cpu-time` counts what the processes had a processor for, all their threads together, which a busy
machine changes less. It knows nothing of `resume`, where two processes are at work.
"""

import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import attempt, measuring
from benchmarks.attempt import PARTS, Attempt, Size
from jobs import records
from jobs.run import Run

FLOOR = "import torch"
_ASKED = ("--help", "list", "status")  # what must answer at once
_MOST_SHOWN = 5
_IMPORT = re.compile(r"import time: +(\d+) \| +\d+ \| +(\w+)")


def call(*words: str) -> "subprocess.CompletedProcess[str]":
    """A Python process to its end. Raises CalledProcessError."""
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)


def imports(*words: str) -> dict[str, float]:
    """Milliseconds that each package takes by itself to be loaded, the longest first."""
    found: dict[str, float] = defaultdict(float)
    for us, package in _IMPORT.findall(call("-X", "importtime", *words).stderr):
        found[package] += int(us) / 1000
    return dict(sorted(found.items(), key=lambda item: -item[1]))


class Bench:
    """The starts, each on a new run in `folder`."""

    def __init__(self, folder: Path, size: Size, cpu_time: bool) -> None:
        self.folder, self.size, self.cpu_time = folder, size, cpu_time
        self.started = 0
        self.parts: list[dict[str, float]] = []  # of each start of a job
        self.needless: list[str] = []  # what the last of them has loaded for nothing
        self.by_command: list[float] = []  # seconds from the command to the first step
        (folder / "none").mkdir()

    def commands(self) -> dict[str, tuple[str, ...]]:
        """What is asked, as words for Python."""
        place = {"status": ("--runs", str(self.folder / "none"))}
        return {verb: ("-m", "jobs.cli", verb, *place.get(verb, ())) for verb in _ASKED}

    def tasks(self) -> dict[str, Callable[[], object]]:
        asked = {f"ganymede {v}": _calling(*words) for v, words in self.commands().items()}
        bare = {"python": _calling("-c", "pass"), FLOOR: _calling("-c", FLOOR)}
        launched = {} if self.cpu_time else {"command": self.command}
        return {**bare, **asked, "job": self.job, **launched}

    def clock(self) -> float:
        """Seconds passed, or those that the processes had which have ended by now."""
        if not self.cpu_time:
            return time.perf_counter()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def _run(self) -> Run:
        self.started += 1
        return attempt.make_ready(self.folder / f"run-{self.started}", self.size)

    def job(self) -> None:
        """A job's process to its first step, and to its end."""
        began = Attempt.start(self._run(), "--once")
        clock = (0.0, "processor") if self.cpu_time else (began.started, "moments")
        told = began.told()
        self.parts.append(attempt.parts(told, *clock))
        self.needless = told["needless"]

    def command(self) -> None:
        """The same through the command line, which is told to stop once a step is told of."""
        run = self._run()
        launched = Attempt.by_command(run)
        launched.wait(lambda: attempt.last_step(run) > 0)
        launched.process.send_signal(signal.SIGTERM)
        launched.process.wait()
        record = records.latest(run, "train") or {}
        self.by_command.append(record["first_step_after_s"])


def _calling(*words: str) -> Callable[[], object]:
    return lambda: call(*words)


def measure(size: Size, repeats: int, cpu_time: bool = False, warm_ups: int = 1) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), size, cpu_time)
        seconds = measuring.in_turn(bench.tasks(), repeats, warm_ups, clock=bench.clock).seconds
        loaded = {f"ganymede {v}": imports(*words) for v, words in bench.commands().items()}
    # Those two last until their end, but are asked about their first step; the warm-up goes.
    rounds = bench.parts[-repeats:]
    seconds["job"] = [sum(parts.values()) for parts in rounds]
    if bench.by_command:
        seconds["command"] = bench.by_command[-repeats:]
    times = measuring.Times(seconds)
    by_part = measuring.Times({part: [r[part] for r in rounds] for part in PARTS})
    return {
        "width": size.width,
        "batch": size.batch,
        "threads": size.threads,
        "rounds": repeats,
        "cpu_time": cpu_time,
        "seconds": {name: times.median(name) for name in seconds},
        "job_over_import_torch": 1 / times.speedup("job", FLOOR).median,
        "parts_s": {part: by_part.median(part) for part in PARTS},
        "loading_torch": [name for name, packages in loaded.items() if "torch" in packages],
        "needless": bench.needless,
        "imports_ms": {n: dict(list(p.items())[:_MOST_SHOWN]) for n, p in loaded.items()},
    }


def text(result: dict[str, Any]) -> str:
    told = {"job": "a job's first step", "command": "first step after `ganymede resume`"}
    rows = [(told.get(name, f"`{name}`"), value) for name, value in result["seconds"].items()]
    parts = [(PARTS[name], value) for name, value in result["parts_s"].items()]
    costs = [
        (f"`{name}`", ", ".join(f"{package} {ms:.0f}" for package, ms in packages.items()))
        for name, packages in result["imports_ms"].items()
    ]
    return "\n\n".join(
        [
            f"width {result['width']}, batch {result['batch']}, threads {result['threads']}, "
            f"rounds {result['rounds']}" + ", processor time" * result["cpu_time"],
            measuring.table(["from the start of the process", "s"], rows),
            measuring.table(["part of the job's start", "s"], parts),
            measuring.table(["command", "longest to load, ms"], costs),
            f"load torch, and must not: {', '.join(result['loading_torch']) or 'none'}",
            f"loaded by the job for nothing: {', '.join(result['needless']) or 'nothing'}",
        ]
    )


def main() -> int:
    parser = attempt.arguments(__doc__)
    parser.add_argument("--cpu-time", action="store_true", help="time processes had, not passed")
    options = parser.parse_args()
    result = measure(Size.given(options), options.repeats, options.cpu_time)
    measuring.tell(result, options.json, lambda: text(result))
    return 1 if result["loading_torch"] or result["needless"] else 0


if __name__ == "__main__":
    sys.exit(main())
