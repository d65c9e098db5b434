"""What the suite costs: a step with everything on against the bare update loop.

    python -m benchmarks.overhead [--rounds 7] [--threads 2] [--json]

Both loops use the same networks, data and thread count, in one process, step by step in turn.
"Everything on" is what `ganymede run` does: signals and clock asked before every step, running
means, scalars, progress file; and at an epoch's end checkpoint, snapshot, grid picture, and the
wait for the background save. The compute of evaluation and of the grid's images is no overhead of
the suite: it is timed apart.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks import measuring
from checkpoints import Store
from gan import config as configs
from gan import data, evaluation, numerics, recipes, rng, variants
from gan.batches import Batches
from gan.config import RunConfig
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


class BareLoop:
    """The update loop without a suite around it, one step at a time."""

    def __init__(self, config: RunConfig, images: data.ImageSet, device: torch.device) -> None:
        self.seed, self.step, self.device = config.seed, 0, device
        self.batches = Batches(images, config, device)
        self.variant = variants.build(config, images.info, device)

    def __call__(self) -> None:
        draws = rng.Draws(self.seed, self.step, self.device)
        self.variant.update(*self.batches.at(self.step, draws), draws)
        self.step += 1


@dataclass
class Bench:
    """A trainer wired as `jobs.train` wires it, whose every step is preceded by a bare one."""

    trainer: Trainer
    bare: Apart
    evaluating: Apart

    def epoch(self) -> tuple[float, float, float]:
        """Seconds of one epoch: with everything on, bare, and evaluating (in neither)."""
        self.bare.seconds = self.evaluating.seconds = 0.0
        started = time.perf_counter()
        self.trainer.train_epoch()
        self.trainer.finish_epoch()
        self.trainer.saver.wait()
        total = time.perf_counter() - started
        return (
            total - self.bare.seconds - self.evaluating.seconds,
            self.bare.seconds,
            self.evaluating.seconds,
        )


def make_bench(folder: Path, rounds: int, threads: int) -> Bench:
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
    bare, evaluating = Apart(), Apart()
    bare_step, full_step = bare.timed(BareLoop(config, images, device)), trainer.train_step

    def both() -> None:
        bare_step()
        full_step()

    trainer.train_step = both  # type: ignore[method-assign]
    variant = trainer.variant
    variant.measure = evaluating.timed(variant.measure)  # type: ignore[method-assign]
    evaluation.generate = evaluating.timed(evaluation.generate)
    return Bench(trainer, bare, evaluating)


def measure(rounds: int, threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        bench = make_bench(Path(folder), rounds, threads)
        bench.epoch()  # warm-up
        results = []
        for number in range(1, rounds + 1):
            results.append(bench.epoch())
            ratio = results[-1][0] / results[-1][1]
            print(f"round {number}: {ratio:.4f}", file=sys.stderr, flush=True)
        bench.trainer._scalars.close()
        bench.trainer.saver.close()
    full, bare, evaluating = (list(column) for column in zip(*results, strict=True))
    ratios = [f / b for f, b in zip(full, bare, strict=True)]
    steps = bench.trainer.batches.steps_per_epoch
    return {
        "steps_per_epoch": steps,
        "threads": threads,
        "rounds": rounds,
        "full_ms_per_step": 1000 * statistics.median(full) / steps,
        "bare_ms_per_step": 1000 * statistics.median(bare) / steps,
        "ratio_median": statistics.median(ratios),
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
    measuring.tell(measure(options.rounds, options.threads), options.json)


if __name__ == "__main__":
    main()
