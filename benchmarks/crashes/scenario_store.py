"""All that writes beside a training, without one: what is committed is known at each moment.

    python -m benchmarks.crashes.scenario_store FOLDER [STORE]

STORE is one of `benchmarks.crashes.broken.STORES`.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.crashes.broken import STORES
from benchmarks.crashes.operations import MARK
from checkpoints import files
from checkpoints.errors import CheckpointError
from checkpoints.store import STATE, Store
from gan import samples
from gan.samples import SamplesError, SampleStore
from jobs import records
from jobs.run import Run

CHECKPOINTS, KEPT = 5, 2
_IDENTITY = "0" * 64
_IMAGES = (4, 3, 3, 1)
_LABELS = np.arange(4)


def state(step: int) -> bytes:
    """What the checkpoint of a step holds."""
    return f"state of step {step};".encode() * 50


def images(step: int) -> np.ndarray:
    """What the snapshot of a step holds."""
    return np.full(_IMAGES, step, dtype=np.uint8)


def store(folder: Path, kind: type[Store] = Store) -> Store:
    return kind(folder / "checkpoints", _IDENTITY, keep=KEPT)


def sample_store(folder: Path) -> SampleStore:
    return SampleStore(folder, {"seed": 1})


def play(folder: Path, mark: Callable[[str], None], checkpoints: Store) -> None:
    """Checkpoints with pruning, snapshots and their packing, records of an attempt and a stage."""
    run = Run(folder)
    mark("begun")
    attempt = records.Attempt.begin(run, "train")
    mark("attempt")
    for step in range(1, CHECKPOINTS + 1):
        checkpoints.commit(step, state(step))
        mark(f"checkpoint {step}")
        sample_store(folder).add(step, images(step), _LABELS)
        mark(f"snapshot {step}")
        attempt.update(saved=step)
    records.complete(run, "train", [checkpoints.path(CHECKPOINTS) / STATE], {"steps": CHECKPOINTS})
    mark("stage")
    sample_store(folder).pack()
    mark("packed")
    attempt.end(records.Cause.FINISHED)
    mark("ended")


def problem(folder: Path, done: tuple[str, ...]) -> str:
    """What is wrong with a folder that a crash has left; "" if nothing is. Goes on in it, too."""
    try:
        return _lost(folder, done) or _cannot_go_on(folder)
    except (CheckpointError, SamplesError, records.RunError, OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def _last(done: tuple[str, ...], kind: str) -> int:
    """The number of the last thing of a kind that was done; 0 if none was."""
    return max((int(m.split()[1]) for m in done if m.startswith(f"{kind} ")), default=0)


def _lost(folder: Path, done: tuple[str, ...]) -> str:
    committed, checkpoint = _last(done, "checkpoint"), store(folder).latest()
    step = checkpoint.step if checkpoint else 0
    if step not in (committed, committed + 1):
        return f"the latest good checkpoint is {step}, committed was {committed}"
    if checkpoint and checkpoint.manifest.read_file(checkpoint.folder, STATE) != state(step):
        return f"checkpoint {step} has another content"
    run, shown = Run(folder), _last(done, "snapshot")
    if shown:
        found = samples.read(folder / "samples.h5")
        if found.steps.tolist() not in ([*range(1, shown + 1)], [*range(1, shown + 2)]):
            return f"samples.h5 shows {found.steps.tolist()}, committed was {shown}"
        if any((found.images[step - 1] != images(step)).any() for step in found.steps):
            return "a snapshot has another content"
    if "attempt" in done and records.numbers(run, "train") != [1]:
        return "the attempt's record is lost"
    if "ended" in done and (records.latest(run, "train") or {}).get("cause") != "finished":
        return "the attempt's end is lost"
    if "stage" in done:
        records.require(run, "train")
    return ""


def _cannot_go_on(folder: Path) -> str:
    """Do what the next attempt does."""
    run = Run(folder)
    attempt = records.Attempt.begin(run, "train", alive=lambda record: False)
    kept, checkpoint = store(folder), store(folder).latest()
    for step in range(checkpoint.step if checkpoint else 1, CHECKPOINTS + 2):
        kept.commit(step, state(step))
        sample_store(folder).add(step, images(step), _LABELS)
        attempt.guard()
    if kept.steps() != [CHECKPOINTS, CHECKPOINTS + 1] or kept.problems():
        return f"after going on there are checkpoints {kept.steps()}: {kept.problems()}"
    found = samples.read(folder / "samples.h5")
    if found.steps.tolist() != [*range(1, CHECKPOINTS + 2)]:
        return f"after going on there are snapshots {found.steps.tolist()}"
    sample_store(folder).pack()
    attempt.end(records.Cause.FINISHED)
    left = [p for p in folder.rglob(f"{files.ASIDE}*") if p.parent.name == "checkpoints"]
    return f"left behind: {left[0].name}" if left else ""


def main() -> None:
    marks = os.open(os.devnull, os.O_WRONLY)

    def mark(text: str) -> None:
        os.write(marks, MARK + text.encode())

    folder, name = Path(sys.argv[1]), (sys.argv[2:] or ["good"])[0]
    play(folder, mark, store(folder, STORES[name]))


if __name__ == "__main__":
    main()
