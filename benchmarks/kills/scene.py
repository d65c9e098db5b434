"""One run that is being killed again and again: what it is doing, and the processes at work."""

import json
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.kills import tree
from benchmarks.kills.judge import Committed, Lost
from benchmarks.kills.scenarios import Scenario
from checkpoints.files import ASIDE
from jobs import pipeline, processes, records
from jobs.pipeline import Stage
from jobs.run import Run, RunError
from jobs.train import Train

_STUCK_S = 1800.0  # nothing in these runs takes a part of that, however busy the machine
_LOG_END = 2000
_MEASURING = ("evaluating", "sampling")  # phases of a training's progress


@dataclass
class Scene:
    """The run in `folder`, marked so that its processes are found wherever their parents are."""

    scenario: Scenario
    folder: Path
    mark: str
    chance: random.Random
    process: "subprocess.Popen[bytes] | None" = None
    starts: int = 0
    wounded: bool = False  # a part was killed, or told to stop: it may fail now
    startup_s: float = 4.0  # from a start to its first step, as last seen
    productive_s: float = 1.0  # a kill comes at most this long after training has begun
    committed: Committed = field(default_factory=Committed)
    _left_aside: set[Path] = field(default_factory=set)
    _began: float = 0.0
    _graph: list[Stage] = field(default_factory=list)

    @property
    def run(self) -> Run:
        return Run(self.folder / "run")

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def graph(self) -> list[Stage]:
        if not self._graph and self.run.exists:
            self._graph = pipeline.stages(self.run)
        return self._graph

    @property
    def at_work(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def finished(self) -> bool:
        return bool(self.graph) and not any(self.unfinished())

    def unfinished(self) -> Iterator[Stage]:
        return (s for s in self.graph if not records.completion(s.run, s.name))

    @property
    def trained(self) -> bool:
        return bool(self.graph) and all(stage.name != Train.stage for stage in self.unfinished())

    def go_on(self) -> bool:
        """Start the command anew where it has ended; whether there is anything left to do.

        Raises Lost if it has ended by itself, undisturbed, and could not go on.
        """
        if self.at_work:
            return True
        status = self.process.returncode if self.process else 0
        if status and not self.wounded:
            raise Lost(f"exit status {status}: {self.log.read_text()[-_LOG_END:]}")
        if self.finished:
            return False
        self.starts += 1
        command = self.scenario.command(self.run, self.starts)
        self.process = tree.start(command.words, self.mark, self.log, command.environment)
        self.wounded, self._began = False, time.monotonic()
        return True

    def wait(self, until: Callable[[], bool], poll_s: float = 0.02) -> bool:
        """Wait for something; False if the command has ended before. Raises Lost if stuck."""
        end = time.monotonic() + _STUCK_S
        while self.at_work:
            if until():
                return True
            if time.monotonic() > end:
                raise Lost(f"nothing moves: {self.log.read_text()[-_LOG_END:]}")
            time.sleep(poll_s)
        return False

    def wait_for(self, seconds: float) -> bool:
        """The same for some time to pass."""
        end = time.monotonic() + seconds
        return self.wait(lambda: time.monotonic() >= end, 0.002)

    def wait_for_training(self) -> bool:
        young = time.monotonic() - self._began < self.startup_s / 2
        found = self.wait(lambda: bool(self.trained or self.progresses()))
        if found and young:
            self.startup_s = time.monotonic() - self._began
        return found and not self.trained

    def trains(self) -> bool:
        """Whether a training is live. Cheap."""
        return any(stage.name == Train.stage for stage, _ in self.live())

    def live(self) -> list[tuple[Stage, dict[str, Any]]]:
        """The stages that are being done, with the records of their attempts."""
        found = []
        for stage in self.graph:
            try:
                record = records.latest(stage.run, stage.name)
            except (OSError, RunError):
                continue  # replaced just now
            if record and processes.is_alive(record):
                found.append((stage, record))
        return found

    def progresses(self) -> list[tuple[Run, dict[str, Any]]]:
        """What the live trainings last told of themselves, since they began."""
        found = []
        for stage, record in self.live():
            file = stage.run.progress_file(stage.name)
            try:
                told_at = file.stat().st_mtime
                if stage.name == Train.stage and told_at > record["started"]:
                    found.append((stage.run, json.loads(file.read_text()) | {"at": told_at}))
            except (OSError, ValueError):
                continue
        return found

    def sampling(self) -> bool:
        """Whether a training is measuring, or drawing from, what it has at an epoch's end."""
        for run, progress in self.progresses():
            if progress["phase"] in _MEASURING and run.config().generates:
                # The phase is told for a while after its end: the picture is the last of it.
                picture = run.figures / f"epoch-{progress['epoch']:04d}.png"
                if not picture.exists() or picture.stat().st_mtime < progress["at"]:
                    return True
        return False

    def aside(self) -> set[Path]:
        """What is half-written, or half-removed, of the checkpoints."""
        return {
            path
            for stage in self.graph
            if stage.name == Train.stage
            for path in stage.run.checkpoints.glob(f"{ASIDE}*")
        }

    def newly_aside(self) -> bool:
        """Whether there is more of it than at the last look."""
        found = self.aside()
        new, self._left_aside = found - self._left_aside, found
        return bool(new)

    def processes(self) -> list[int]:
        return tree.marked(self.mark)

    def attempts(self) -> int:
        return sum(len(records.numbers(stage.run, stage.name)) for stage in self.graph)
