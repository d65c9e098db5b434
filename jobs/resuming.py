"""Does a recipe resume to the last bit on this machine? A short form of it is run twice.

Once undisturbed; once told to stop in the middle of an epoch, and killed in the middle of another.
Each attempt is a process of its own. If the ends differ, the first steps are done twice more with
every operation noted, and the first that differs is named.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gan import data
from gan.config import RunConfig
from jobs import pipeline, records
from jobs.records import Cause
from jobs.run import Run, RunError
from jobs.same import contents, differences

_EPOCHS, _STEPS = 2, 6  # of the short form; steps of an epoch
_FINAL_SAMPLES, _TRACED = 16, 4
_OURS = ("GANYMEDE_", "SUBMITIT_")  # environment: of a job that this may be started in
_END_OF_LOG = 2000


def shorter(config: RunConfig) -> RunConfig:
    """A recipe's config with fewer epochs; what the command line says goes above it."""
    train = replace(
        config.train, epochs=_EPOCHS, passes_per_epoch=1, log_every=1, final_samples=_FINAL_SAMPLES
    )
    return replace(config, train=train)


def fewer_images(config: RunConfig) -> RunConfig:
    """With as many training images as a short epoch needs, unless a share was asked for."""
    count = data.inspect(config.data).train_count
    share = min(1.0, (_STEPS + 0.5) * config.train.batch_size / count)
    if config.data.train_share != 1.0 or share == 1.0:
        return config
    return replace(config, data=replace(config.data, train_share=round(share, 6)))


@dataclass(frozen=True)
class Trial:
    """Two runs of one config below `folder`; `entry` are the words that start `jobs.rerun`."""

    recipe: str
    config: RunConfig
    folder: Path
    threads: int = 0
    say: Callable[[str], None] = print
    entry: tuple[str, ...] = ("-P", "-m", "jobs.rerun")

    def __call__(self) -> int:
        """Tell the verdict; returns the exit status: 0 if all is equal, 1 if not."""
        steady, broken = (self._prepare(name) for name in ("undisturbed", "interrupted"))
        total = int(steady.settings()["total_steps"])
        epoch = total // self.config.train.epochs
        self.say(f"{self.recipe}: {total} steps in {self.config.train.epochs} epochs, twice")
        self._train(steady)
        self._interrupt(broken, max(1, epoch // 2), "TERM")
        self._interrupt(broken, min(epoch + max(1, epoch // 2), total - 1), "KILL")
        self._train(broken)
        mine, theirs = contents(broken), contents(steady)
        numerics = (records.latest(steady, "train") or {})["numerics"]
        self.say(f"compared: {len(theirs)} tensors, values, samples and curves")
        self.say("machine: " + ", ".join(f"{name} {value}" for name, value in numerics.items()))
        wrong = differences(mine, theirs)
        if not wrong:
            self.say("verdict: deterministic; the interrupted run ends in the same bits")
            return 0
        shown = ", ".join(wrong[:3]) + (", ..." if len(wrong) > 3 else "")
        self.say(f"verdict: not deterministic; {len(wrong)} of {len(theirs)} differ: {shown}")
        for line in self._blame(steady):
            self.say(f"to blame: {line}")
        return 1

    def _prepare(self, name: str) -> Run:
        return pipeline.prepare(self.recipe, self.config, self.folder / name, self.threads)

    def _train(self, run: Run) -> None:
        self._call(str(run.path.resolve()))
        if records.completion(run, "train") is None:
            raise RunError(f"{run.path} was not trained to its end; see {self._log}")
        self.say(f"{run.path.name}: trained to its end")

    def _interrupt(self, run: Run, at: int, name: str) -> None:
        status = self._call(str(run.path.resolve()), "--at", str(at), "--signal", name)
        record = records.latest(run, "train") or {}
        cause = record.get("cause", Cause.KILLED if status else None)
        if cause not in (Cause.TERMINATED, Cause.KILLED):
            raise RunError(f"{run.path} ended as {cause} at SIG{name}; see {self._log}")
        newest = run.store().latest()
        saved = f"step {newest.step}" if newest else "its beginning"
        self.say(f"{run.path.name}: SIG{name} after step {at}; goes on from {saved}")

    def _blame(self, run: Run) -> list[str]:
        notes = [self.folder / f"operations-{number}" for number in (1, 2)]
        for path in notes:
            self._call(str(run.path.resolve()), "--trace", str(path), "--steps", str(_TRACED))
        from jobs import operations

        found = operations.blame(*notes)
        return found or [
            f"no operation of the first {_TRACED} steps: something that a step depends on, and a "
            "checkpoint does not hold; or an operation that differs rarely"
        ]

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _call(self, *words: str) -> int:
        """Its exit status, negative for a signal. Raises RunError with the end of the log."""
        environment: dict[str, Any] = {
            key: value for key, value in os.environ.items() if not key.startswith(_OURS)
        }
        with self._log.open("ab") as log:
            command = [sys.executable, *self.entry, *words]
            status = subprocess.run(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False
            ).returncode
        if status > 0:
            told = self._log.read_text(errors="replace")[-_END_OF_LOG:]
            raise RunError(f"an attempt ended with status {status}:\n{told}")
        return status


def try_out(recipe: str, config: RunConfig, threads: int, kept: Path | None) -> int:
    """Run the trial in a folder of its own, or in `kept`, which must be empty or not be there."""
    short = fewer_images(config)
    if kept is None:
        with tempfile.TemporaryDirectory() as folder:
            return Trial(recipe, short, Path(folder), threads)()
    if kept.exists() and (not kept.is_dir() or any(kept.iterdir())):
        raise RunError(f"keep is {str(kept)!r}; allowed: an empty folder, or one to be made")
    kept.mkdir(parents=True, exist_ok=True)
    return Trial(recipe, short, kept, threads)()
