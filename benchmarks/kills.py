"""Exact resume, the long form: SIGKILL at random moments, SIGTERM a few times, then compare.

    python -m benchmarks.kills [--kills 20] [--terms 5] [--seed 0]

Three runs of one tiny GAN through the command line: one undisturbed, one whose whole process tree
is killed again and again at random moments (start-up, training, saving, sampling), one that is
told to stop again and again. All three must end with equal tensors, samples and curves.
Exit status 1 if they do not.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from gan import samples, scalars
from jobs import processes, records
from jobs.run import Run

_FLAGS = (
    "acgan-digits", "--data.image-size", "8", "--model.width", "8", "--train.epochs", "80",
    "--train.passes-per-epoch", "1", "--train.batch-size", "16", "--train.log-every", "5",
    "--data.test-fraction", "0.8", "--threads", "1",
)  # fmt: skip
_PRODUCTIVE_S = 2.5  # a kill comes at most this long after training has begun


def start(folder: Path, name: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "jobs.cli", "run", *_FLAGS]
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(
            [*command, "--runs", str(folder), "--name", name],
            start_new_session=True,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def live_step(run: Run) -> int | None:
    """The step that the live attempt last reported; None before it trains."""
    try:
        record = records.latest(run, "train")
        progress = run.progress_file("train")
        if record is None or not processes.is_alive(record):
            return None
        if progress.stat().st_mtime < record["started"]:
            return None  # an earlier attempt's
        return int(json.loads(progress.read_text())["step"])
    except (OSError, ValueError):
        return None


def wait_for_training(run: Run, process: "subprocess.Popen[bytes]") -> None:
    while live_step(run) is None and process.poll() is None:
        time.sleep(0.01)


def kill_everything(process: "subprocess.Popen[bytes]") -> None:
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.wait()


def killed_run(folder: Path, kills: int, chance: random.Random) -> Run:
    run = Run(folder / "killed")
    startup = 4.0
    for number in range(1, kills + 1):
        process, began = start(folder, "killed"), time.monotonic()
        if number == 1:
            wait_for_training(run, process)
            startup = time.monotonic() - began
        delay = chance.uniform(0.1, startup + _PRODUCTIVE_S)
        if chance.random() < 0.6:  # most kills while it trains
            wait_for_training(run, process)
            began, delay = time.monotonic(), chance.uniform(0, _PRODUCTIVE_S)
        while time.monotonic() - began < delay and process.poll() is None:
            time.sleep(0.005)
        if process.poll() is not None:
            raise SystemExit(f"the run ended before kill {number}: make it longer")
        step = live_step(run)
        kill_everything(process)
        where = "before training" if step is None else f"about step {step}"
        print(f"kill {number:>2}: {where}, newest checkpoint {newest(run)}", flush=True)
    finish(folder, "killed")
    return run


def newest(run: Run) -> str:
    checkpoint = run.store().latest() if run.exists else None
    return checkpoint.folder.name if checkpoint else "none"


def stopped_run(folder: Path, terms: int, chance: random.Random) -> Run:
    run = Run(folder / "stopped")
    for number in range(1, terms + 1):
        process = start(folder, "stopped")
        wait_for_training(run, process)
        time.sleep(chance.uniform(0, _PRODUCTIVE_S))
        asked = time.monotonic()
        process.terminate()
        status = process.wait()
        seconds = time.monotonic() - asked
        if status != 128 + signal.SIGTERM:
            raise SystemExit(f"exit status {status} after SIGTERM")
        print(f"term {number}: saved {newest(run)}, gone after {seconds:.1f} s", flush=True)
    finish(folder, "stopped")
    return run


def finish(folder: Path, name: str) -> None:
    if start(folder, name).wait() != 0:
        raise SystemExit((folder / f"{name}.log").read_text())


def differences(run: Run, reference: Run) -> list[str]:
    """What differs between two finished runs, by name."""
    mine, theirs = contents(run), contents(reference)
    missing = sorted(mine.keys() ^ theirs.keys())
    return missing + [
        key for key in mine.keys() & theirs.keys() if not same(mine[key], theirs[key])
    ]


def contents(run: Run) -> dict[str, Any]:
    """Every tensor, image and point of a finished run, by name."""
    found = leaves(run.store().open(total(run)).load())
    for name in ("samples.h5", "generated.h5"):
        content = samples.read(run.path / name)
        found |= {f"{name}/images": content.images, f"{name}/steps": content.steps}
    for tag, (steps, values) in scalars.read(run.scalars).items():
        found |= {f"{tag}/steps": steps, f"{tag}/values": values}
    return found


def total(run: Run) -> int:
    return int(run.settings()["total_steps"])


def leaves(tree: Any, path: str = "") -> dict[str, Any]:
    if isinstance(tree, dict):
        return {k: v for key, sub in tree.items() for k, v in leaves(sub, f"{path}/{key}").items()}
    return {path: tree}


def same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    return np.array_equal(first, second)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--terms", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance, verdict = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.monotonic()
        finish(folder, "undisturbed")
        print(f"undisturbed: {time.monotonic() - began:.0f} s", flush=True)
        reference = Run(folder / "undisturbed")
        tensors = len(leaves(reference.store().open(total(reference)).load()))
        points = sum(len(steps) for steps, _ in scalars.read(reference.scalars).values())
        for run in (
            killed_run(folder, options.kills, chance),
            stopped_run(folder, options.terms, chance),
        ):
            attempts = len(records.numbers(run, "train"))
            found = differences(run, reference)
            verdict |= bool(found)
            print(
                f"{run.path.name}: {attempts} attempts, {tensors} tensors and values, "
                f"{len(samples.read(run.path / 'samples.h5').steps)} snapshots, {points} points on "
                f"curves: {'all equal' if not found else f'DIFFERENT: {found}'}",
                flush=True,
            )
    return verdict


if __name__ == "__main__":
    sys.exit(main())
