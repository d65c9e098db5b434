"""Kills until there were enough: run after run of one scenario, each compared at its end."""

import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from benchmarks.kills import judge, moments, tree
from benchmarks.kills.judge import Lost
from benchmarks.kills.moments import (
    BETWEEN,
    DURING_TRAINING,
    HAND_OVER,
    SAVING,
    TRAINING,
    Moment,
    WhileFollowing,
)
from benchmarks.kills.scenarios import Scenario
from benchmarks.kills.scene import Scene
from jobs import records
from jobs.run import Run
from jobs.train import Train

ALL, LAUNCHER, JOB, OTHER = "all", "the launcher", "the job", "another process"
_VICTIMS = {ALL: 6, LAUNCHER: 2, JOB: 1, OTHER: 1}  # with weights
_PARTS = 12  # into which kills divide a training, at the least: an attempt does half a part
_ALONE_S = 120.0  # after which the processes of a job that lost one must have ended


@dataclass
class Toll:
    """What a campaign has come to; common to its lanes."""

    phases: Counter[tuple[str, str]] = field(default_factory=Counter)  # scenario, phase
    victims: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    attempts: int = 0
    stops: int = 0  # told to stop, and not killed before it had
    failures: list[str] = field(default_factory=list)
    log: TextIO = field(default_factory=lambda: sys.stdout)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def kills(self) -> int:
        return sum(self.phases.values())

    def tell(self, line: str) -> None:
        print(line, file=self.log, flush=True)

    def kill(self, scene: Scene, phase: str, victim: str, newest: dict[str, int]) -> None:
        with self._lock:
            self.phases[scene.scenario.title, phase] += 1
            self.victims[victim] += 1
            steps = "/".join(str(step) for step in newest.values()) or "0"
            line = f"kill {self.kills:>3}  {scene.scenario.title:<9}  {phase:<14}  attempt "
            line += f"{scene.attempts():>3}  newest checkpoint {steps}"
            self.tell(line + (f"  ({victim} alone)" if victim != ALL else ""))

    def ended(self, scene: Scene, compared: int, different: list[str]) -> None:
        with self._lock:
            self.runs += 1
            self.attempts += scene.attempts()
            found = f"DIFFERENT: {', '.join(different[:5])}" if different else "all equal"
            line = f"{scene.scenario.title}: a run ended after {scene.attempts()} attempts, "
            self.tell(f"{line}{compared} tensors, images, curves and figures: {found}")
            if different:
                self.failures.append(f"{scene.folder}: {len(different)} differ")

    def stopped(self) -> None:
        with self._lock:
            self.stops += 1

    def failed(self, what: str, error: Exception) -> None:
        with self._lock:
            self.failures.append(f"{what}: {error}")
            self.tell(f"FAILED: {what}: {error}")


@dataclass
class Lane:
    """Runs of one scenario, one after the other, until `kills` kills have come."""

    scenario: Scenario
    number: int
    kills: int
    chance: random.Random
    folder: Path
    made: "Future[Reference]"
    toll: Toll
    done: int = 0

    @property
    def reference(self) -> "Reference":
        return self.made.result()

    def go(self) -> None:
        try:
            self.made.result()
        except Exception as error:
            self.toll.failed(f"{self.scenario.title}, undisturbed", error)
            return
        count = 0
        while self.done < self.kills and not self.toll.failures:
            count += 1
            mark = f"{self.scenario.title.replace(' ', '-')}-{self.number}-{count}"
            folder = self.folder / mark
            folder.mkdir()
            scene = Scene(
                self.scenario,
                folder,
                f"{self.folder.name}-{mark}.",
                self.chance,
                productive_s=self.reference.training_s / _PARTS,
            )
            try:
                self._one_run(scene)
            except Exception as error:  # of the other lanes nothing is to be lost
                self.toll.failed(str(folder), error)
                return
            finally:
                tree.kill_all(scene.mark)
            shutil.rmtree(folder)

    def _one_run(self, scene: Scene) -> None:
        hit: Counter[str] = Counter()
        while scene.go_on():
            if self.toll.failures:
                return
            if self.done < self.kills:
                self._next_kill(scene, hit)
            else:
                scene.wait(lambda: False)
        different = judge.all_differences(scene.run, self.reference.run)
        self.toll.ended(scene, len(judge.everything(scene.run)), different)
        if different:
            raise Lost("the end is another one")

    def _next_kill(self, scene: Scene, hit: Counter[str]) -> None:
        wanted, moment = self._choose(scene, hit)
        if not moment(scene):
            if wanted == HAND_OVER and scene.wounded:
                self.toll.stopped()
            return
        # What is being saved is at it for milliseconds only, and tells its phase afterwards.
        swift = wanted == SAVING and scene.trains()
        phase = TRAINING if swift else moments.phase(scene, wanted)
        victim = ALL if wanted in (SAVING, HAND_OVER) else self._victim(scene)
        scene.committed.look(scene.graph)
        strike(scene, victim)
        if scene.newly_aside() and victim in (ALL, JOB) and phase == TRAINING:
            phase = SAVING
        self.done += 1
        hit[wanted] += 1
        self.toll.kill(scene, phase, victim, scene.committed.require(scene.run))

    def _choose(self, scene: Scene, hit: Counter[str]) -> tuple[str, Moment]:
        if not scene.trained:
            names = list(DURING_TRAINING)
            (name,) = scene.chance.choices(names, [DURING_TRAINING[n][1] for n in names])
            return name, DURING_TRAINING[name][0]
        left = list(scene.unfinished())
        ready = [s.name for s in left if not any(need in left for need in s.after)]
        open_ones = [name for name in ready if hit[name] < self.scenario.follow_ups]
        if not open_ones:
            return BETWEEN, moments.let_through
        name = scene.chance.choice(open_ones)
        return name, WhileFollowing(name, self.reference.seconds[name])

    def _victim(self, scene: Scene) -> str:
        (chosen,) = scene.chance.choices(list(_VICTIMS), list(_VICTIMS.values()))
        return chosen if strikes(scene, chosen) else ALL


def strikes(scene: Scene, victim: str) -> list[int]:
    """The processes that a kill of `victim` hits first; none if there is no such process now."""
    launcher = [scene.process.pid] if scene.process else []
    jobs = [record["pid"] for _, record in scene.live()]
    if victim == LAUNCHER:
        return launcher
    if victim == OTHER:  # another rank, or what submitit puts between launcher and job
        jobs = [pid for pid in scene.processes() if pid not in (*jobs, *launcher)]
    chosen = [scene.chance.choice(jobs)] if jobs else []
    return [*jobs, *launcher] if victim == ALL else chosen


def strike(scene: Scene, victim: str) -> None:
    """Kill it all, or one process alone. Raises Lost if ranks outlive one of theirs."""
    scene.wounded, together = True, scene.scenario.ranks > 1 and not scene.trained
    first = strikes(scene, victim)
    if victim == ALL:
        tree.kill_all(scene.mark, first)
    else:
        for pid in first:
            tree.kill(pid)
    if scene.process and victim in (ALL, LAUNCHER):
        scene.process.wait()
        if together:  # of a batch job that has ended nothing is left, a moment later
            time.sleep(scene.chance.uniform(0, 1))
            tree.kill_all(scene.mark)
    elif scene.process and together:
        try:
            scene.process.wait(_ALONE_S)
        except subprocess.TimeoutExpired:
            raise Lost(f"{_ALONE_S:.0f} s after {victim} was killed the others live") from None


@dataclass(frozen=True)
class Reference:
    """A run of a scenario that nothing disturbed, and how long its stages took."""

    run: Run
    seconds: dict[str, float]
    training_s: float  # without the start: the longest, of several

    @classmethod
    def make(cls, scenario: Scenario, folder: Path) -> "Reference":
        """In a folder of its own. Raises Lost if it does not come to its end."""
        place = folder / f"{scenario.title} undisturbed"
        place.mkdir()
        scene = Scene(scenario, place, f"{folder.name}-{place.name}.", random.Random(0))
        try:
            while scene.go_on():
                scene.wait(lambda: False)
        finally:
            tree.kill_all(scene.mark)
        done = [(s, records.latest(s.run, s.name) or {}) for s in scene.graph]
        seconds = {stage.name: r["ended"] - r["started"] for stage, r in done}
        trained = [
            r["ended"] - r["started"] - r["first_step_after_s"]
            for stage, r in done
            if stage.name == Train.stage
        ]
        return cls(scene.run, seconds, max(trained))
