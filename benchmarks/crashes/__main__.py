"""Every way in which a machine may die while a run is written, and what is left of the run then.

    python -m benchmarks.crashes [--scenario run|store] [--store NAME] [--every N] [--processes 2]

Needs strace. Records a scenario (a whole tiny run, or all that writes without a training), makes
every folder that may be found after a kill or a power loss at any operation, and asks of each: does
it open, is no committed checkpoint lost, and does the run go on and end in the same bits? Exit
status 1 if one does not. --every N judges one folder in N.
"""

import argparse
import contextlib
import functools
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from benchmarks.crashes import disk, explorer, operations, scenario_run, scenario_store
from benchmarks.crashes.broken import STORES
from benchmarks.crashes.explorer import Crash, Explored
from jobs.run import Run

Problem = Callable[[Path, tuple[str, ...]], str]
_SHOWN = 10


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder in memory, if there is such a place: nothing in it need outlive a real crash."""
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


def explore_store(folder: Path, name: str = "good", processes: int = 1) -> Explored:
    """The scenario without a training, with one of `STORES`."""
    root = folder / "recorded"
    root.mkdir()
    command = [sys.executable, "-m", "benchmarks.crashes.scenario_store", str(root), name]
    recorded = operations.record(command, root, folder / "log")
    explorer.check(recorded, root)
    judge = functools.partial(judged, folder, scenario_store.problem, processes)
    return explorer.explore(recorded, judge)


def explore_run(folder: Path, every: int = 1, processes: int = 1) -> Explored:
    """The scenario of a whole run."""
    root, again = folder / "recorded", folder / "again"
    root.mkdir()
    recorded = scenario_run.play(root, folder / "log")
    explorer.check(recorded, root)
    reference = Run(root / "run")
    problem = functools.partial(scenario_run.problem, reference=reference)
    again.mkdir()
    # Once in this process, whose children then have all modules; it must end alike, too.
    if wrong := problem(again, ()):
        raise RuntimeError(f"undisturbed: {wrong}")
    judge = functools.partial(judged, folder, problem, processes)
    return explorer.explore(recorded, judge, every)


def judged(
    folder: Path, problem: Problem, processes: int, crashes: Iterable[Crash]
) -> Iterator[tuple[Crash, str]]:
    """Each crash with its problem, or "": in a fresh process each, so that none leaves a trace."""
    judge = functools.partial(_judge, folder, problem)
    if processes == 1:
        yield from map(judge, crashes)
        return
    with multiprocessing.get_context("fork").Pool(processes, maxtasksperchild=1) as pool:
        yield from pool.imap(judge, crashes, chunksize=1)


def _judge(folder: Path, problem: Problem, crash: Crash) -> tuple[Crash, str]:
    made = folder / f"crash-{os.getpid()}"
    disk.write(crash.tree, made)
    try:
        return crash, problem(made, crash.done)
    finally:
        shutil.rmtree(made)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", choices=("run", "store"), default="run")
    parser.add_argument("--store", choices=tuple(STORES), default="good")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    if not operations.available():
        print("there is no strace on this machine", file=sys.stderr)
        return 2
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch())
        if options.scenario == "store":
            found = explore_store(folder, options.store, options.processes)
        else:
            found = explore_run(folder, options.every, options.processes)
    print(
        f"{found.operations} operations, {found.crashes} crashes, {found.folders} different "
        f"folders judged in {time.monotonic() - began:.0f} s: {len(found.failures)} failures"
    )
    for failure in found.failures[:_SHOWN]:
        print(f"  {failure}")
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
