"""Trainings in processes of their own, for what is measured from outside: starting and stopping.

What runs there is `benchmarks.attempt_job`, on a run that the suite itself has made ready.
"""

import argparse
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import measuring
from checkpoints import files
from gan import recipes
from gan.config import DataConfig
from jobs import pipeline, status
from jobs.run import Run
from jobs.train import BEGIN

# The parts of a start, in their order; each lasts from the end of the one before.
PARTS = {
    "interpreter": "the interpreter",
    "command": "imports of the job itself",
    "torch": "import torch",
    "libraries": "the other imports",
    "claim": "claiming the attempt",
    "data": "loading the data",
    "networks": "building the networks",
    "state": "looking for a checkpoint, loading it",
    "step": "first step",
}
_LOOK_EVERY_S = 0.002
_STUCK_S = 600.0


@dataclass(frozen=True)
class Size:
    """Of the AC-WGAN-GP that is trained: S0's, on digits as large and colourful as its images."""

    width: int = 32
    batch: int = 8
    threads: int = 1

    @classmethod
    def given(cls, options: argparse.Namespace) -> "Size":
        return cls(options.width, options.batch, options.threads)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A command line with the size of what is trained."""
    parser = measuring.arguments(description)
    parser.add_argument("--width", type=int, default=Size.width)
    parser.add_argument("--batch", type=int, default=Size.batch)
    return parser


def make_ready(folder: Path, size: Size) -> Run:
    """The folder of a new run, as `ganymede run` makes it. Its first epoch outlives benchmarks."""
    config = recipes.acgan()
    config = replace(
        config,
        data=DataConfig(name="digits", image_size=32, channels="rgb"),
        model=replace(config.model, width=size.width),
        train=replace(config.train, batch_size=size.batch, passes_per_epoch=1000),
    )
    return pipeline.prepare("acgan", config, folder, size.threads)


def last_step(run: Run) -> int:
    """The last step that its training has told of, 0 if none yet."""
    return int((status.read_progress(run, "train") or {}).get("step", 0))


@dataclass
class Attempt:
    """A process that trains a run, and its log."""

    run: Run
    process: "subprocess.Popen[bytes]"
    started: float  # UTC seconds

    @classmethod
    def start(cls, run: Run, *options: str) -> "Attempt":
        """One attempt, with the options of `benchmarks.attempt_job`."""
        told = _beside(run, "told")
        told.unlink(missing_ok=True)
        module = [sys.executable, "-m", "benchmarks.attempt_job"]
        return cls._start(run, [*module, str(run.path), str(told), *options])

    @classmethod
    def by_command(cls, run: Run) -> "Attempt":
        """`ganymede resume`, which starts the job as a process of its own."""
        words = [sys.executable, "-m", "jobs.cli", "resume", run.path.name]
        return cls._start(run, [*words, "--here", "--runs", str(run.path.parent)])

    @classmethod
    def _start(cls, run: Run, command: list[str]) -> "Attempt":
        with _beside(run, "log").open("ab") as log:
            started = time.time()
            environment = os.environ | {BEGIN: repr(started)}  # the run's own record counts from it
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        return cls(run, process, started)

    def wait(self, until: Callable[[], bool]) -> None:
        """Raises RuntimeError with the end of the log if the process ends before, or is stuck."""
        end = time.monotonic() + _STUCK_S
        while not until():
            if self.process.poll() is not None or time.monotonic() > end:
                self._fail()
            time.sleep(_LOOK_EVERY_S)

    def told(self) -> dict[str, Any]:
        """Wait for its exit; what it told of its moments and steps. Raises as `wait`."""
        self.process.wait(_STUCK_S)
        try:
            return dict(files.read_json(_beside(self.run, "told")))
        except FileNotFoundError:
            self._fail()
            raise

    def _fail(self) -> None:
        self.process.kill()
        self.process.wait()
        log = _beside(self.run, "log").read_text(errors="replace")
        raise RuntimeError(f"the training did not go on:\n{log[-2000:]}")


def _beside(run: Run, kind: str) -> Path:
    return run.path.parent / f"{run.path.name}.{kind}"


def parts(told: dict[str, Any], started: float, clock: str = "moments") -> dict[str, float]:
    """Seconds of each part; together they are the time from `started` to the first step.

    With the clock "processor", which begins with the process, they are its share of the cores.
    """
    moments = [started, *(told[clock][part] for part in PARTS)]
    pairs = itertools.pairwise(moments)
    return {part: after - before for part, (before, after) in zip(PARTS, pairs, strict=True)}
