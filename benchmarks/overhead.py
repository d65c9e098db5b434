"""What the suite costs: a step with everything on against the bare update loop.

    python -m benchmarks.overhead [--rounds 7] [--threads 2] [--json]

Both loops use the same networks, data and thread count, in one process, epoch by epoch in turn
(the order within a round alternates). "Everything on" is what `ganymede run` does: checkpoint,
snapshot, grid picture, scalars and progress file, and the wait for the background save. The
compute of evaluation and of the grid's images is no overhead of the suite: it is timed apart.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from checkpoints import Store
from gan import config as configs
from gan import data, evaluation, numerics, recipes, rng, variants
from gan.samples import SampleStore
from gan.scalars import ScalarLog
from gan.trainer import Hooks, Outputs, Trainer
from jobs.run import Run
from jobs.stage import save_progress
from slurm.preemption import StopRequest

_PASSES_PER_EPOCH = 10  # of 22 batches: 220 steps an epoch


class Apart:
    """Sums up the time spent in some functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self.seconds += time.perf_counter() - started

        return call


def full_epoch(trainer: Trainer, apart: Apart) -> float:
    """Seconds of one epoch with everything on, less what is timed apart."""
    apart.seconds, started = 0.0, time.perf_counter()
    trainer.train_epoch()
    trainer.finish_epoch()
    trainer.saver.wait()
    return time.perf_counter() - started - apart.seconds


def bare_epoch(trainer: Trainer, first: int) -> float:
    """Seconds of the same number of plain updates."""
    variant, batches, seed = trainer.variant, trainer.batches, trainer.config.seed
    started = time.perf_counter()
    for step in range(first, first + batches.steps_per_epoch):
        draws = rng.Draws(seed, step, trainer.device)
        variant.update(*batches.at(step, draws), draws)
    return time.perf_counter() - started


def make_trainer(folder: Path, rounds: int, threads: int) -> tuple[Trainer, Apart]:
    """A trainer wired as `jobs.train` wires it."""
    config = recipes.acgan_digits()
    train = replace(config.train, epochs=rounds + 1, passes_per_epoch=_PASSES_PER_EPOCH)
    config = replace(config, train=train)
    device, run = numerics.configure(threads), Run(folder)
    images = data.load(config.data)
    outputs = Outputs(
        Store(folder / "checkpoints", configs.identity(config)),
        SampleStore(folder, {"seed": config.seed}),
        run.scalars,
        run.figures,
    )
    hooks = Hooks(
        stop=StopRequest().reason,
        report=lambda progress: save_progress(run, "train", asdict(progress)),
        say=lambda message: None,
    )
    trainer = Trainer(config, images, variants.build(config, images.info, device), outputs, hooks)
    trainer._scalars = ScalarLog(run.scalars, purge_step=0)
    apart = Apart()
    trainer._test_accuracy = apart.timed(trainer._test_accuracy)  # type: ignore[method-assign]
    evaluation.generate = apart.timed(evaluation.generate)  # type: ignore[assignment]
    return trainer, apart


def measure(rounds: int, threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        trainer, apart = make_trainer(Path(folder), rounds, threads)
        other, _ = make_trainer(Path(folder) / "bare", rounds, threads)
        steps = trainer.batches.steps_per_epoch
        bare_epoch(other, 0)  # warm-up
        full_epoch(trainer, apart)
        ratios, full, bare, evaluating = [], [], [], []
        for number in range(1, rounds + 1):
            work: list[Callable[[], None]] = [
                lambda: full.append(full_epoch(trainer, apart)),
                lambda n=number: bare.append(bare_epoch(other, n * steps)),  # type: ignore[misc]
            ]
            for part in work if number % 2 else work[::-1]:
                part()
            evaluating.append(apart.seconds)
            ratios.append(full[-1] / bare[-1])
            print(f"round {number}: {ratios[-1]:.4f}", file=sys.stderr, flush=True)
        trainer._scalars.close()
        trainer.saver.close()
    return {
        "steps_per_epoch": steps,
        "threads": threads,
        "rounds": rounds,
        "full_ms_per_step": 1000 * statistics.median(full) / steps,
        "bare_ms_per_step": 1000 * statistics.median(bare) / steps,
        "ratio_median": statistics.median(ratios),
        "ratio_of_medians": statistics.median(full) / statistics.median(bare),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "evaluation_and_grid_ms_per_epoch": 1000 * statistics.median(evaluating),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.rounds, options.threads)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            print(f"{name:<34} {value:.4f}" if isinstance(value, float) else f"{name:<34} {value}")


if __name__ == "__main__":
    main()
