"""What a save costs: how long training stands still, and how fast the rest goes to the disk.

    python -m benchmarks.checkpoint [--width 196] [--repeats 7] [--threads 2] [--json]

The state of AC-WGAN-GP at the assignment's width, generator, critic and both Adam states, is saved
by the trainer as in the middle of an epoch: training stands still for the copy into host buffers.
At an epoch's end the test that all is finite comes before it, which is told apart. Beside it, in
the same rounds, a bare copy of as many bytes: what the machine allows. Testing the copy,
serialising, hashing, writing and syncing go on in the background; how long that takes is told too,
and the bytes per second from the end of the copy to the commit.
"""

import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import measuring
from checkpoints import Store
from gan import config as configs
from gan import numerics, recipes, variants
from gan.data import DataInfo, ImageSet
from gan.samples import SampleStore
from gan.scalars import ScalarLog
from gan.trainer import Hooks, Outputs, Trainer

_BATCH = 2  # images of the one step that fills Adam's state; the size of the state is the same
TARGET_MS = 20.0


def make_trainer(folder: Path, width: int, threads: int) -> Trainer:
    config = recipes.acgan()
    config = replace(
        config,
        model=replace(config.model, width=width),
        train=replace(config.train, batch_size=_BATCH, checkpoint_minutes=1e9),
    )
    device, side = numerics.configure(threads), config.data.image_size
    images = np.random.default_rng(0).integers(0, 256, (20, 3, side, side), dtype=np.uint8)
    labels = np.arange(20) % 10
    info = DataInfo("random", 20, 20, 3, tuple("0123456789"), "")
    data = ImageSet(info, images, labels, images, labels)
    outputs = Outputs(
        Store(folder / "checkpoints", configs.identity(config)),
        SampleStore(folder, {}),
        folder / "tensorboard",
        folder / "figures",
    )
    hooks = Hooks(stop=lambda margin: None, report=lambda p: None, say=lambda message: None)
    trainer = Trainer(config, data, variants.build(config, info, device), outputs, hooks)
    trainer._scalars = ScalarLog(outputs.scalars, purge_step=0)
    return trainer


def tensors(tree: dict[str, Any]) -> list[Tensor]:
    """All tensors of a state."""
    found = []
    for value in tree.values():
        if isinstance(value, dict):
            found += tensors(value)
        elif isinstance(value, Tensor):
            found.append(value)
    return found


class Bench:
    """Saves of one state, each under a step of its own."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        trainer.train_step()
        self.live = tensors(trainer.state())
        self.copies = [torch.zeros_like(t, device="cpu") for t in self.live]
        self.settle = measuring.settle_on(trainer.device)

    @property
    def size(self) -> int:
        """Bytes of the state."""
        return sum(t.numel() * t.element_size() for t in self.live)

    def bare_copy(self) -> None:
        for copy, live in zip(self.copies, self.live, strict=True):
            copy.copy_(live.detach(), non_blocking=True)

    def save(self) -> dict[str, float]:
        """Seconds of each part of one save."""
        trainer = self.trainer
        trainer.step += 1
        seconds = {
            "bare_copy": measuring.seconds_of(self.bare_copy, self.settle),
            "finite": measuring.seconds_of(trainer.require_finite, self.settle),
            "stall": measuring.seconds_of(lambda: trainer.save(tested=False), self.settle),
        }
        seconds["epoch_end"] = seconds["finite"] + seconds["stall"]
        started = time.perf_counter()
        trainer.saver.wait()
        return seconds | {"background": time.perf_counter() - started}


def measure(width: int, repeats: int, threads: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        trainer = make_trainer(Path(name), width, threads)
        with closing(trainer._scalars), closing(trainer.saver):
            bench = Bench(trainer)
            first = bench.save()
            rounds = [bench.save() for _ in range(repeats)]
            loading = measuring.seconds_of(trainer.restore)
    times = measuring.Times({part: [r[part] for r in rounds] for part in first})
    medians = {f"{part}_ms": 1000 * times.median(part) for part in first}
    return {
        "device": str(trainer.device),
        "threads": threads,
        "width": width,
        "rounds": repeats,
        "state_mb": bench.size / 1e6,
        "first_stall_ms": 1000 * first["stall"],
        **medians,
        "stall_least_ms": 1000 * min(times.seconds["stall"]),
        "stall_most_ms": 1000 * max(times.seconds["stall"]),
        "target_ms": TARGET_MS,
        "stall_over_bare_copy": 1 / times.speedup("stall", "bare_copy").median,
        "background_mb_per_s": bench.size / 1e6 / times.median("background"),
        "restore_ms": 1000 * loading,
    }


def main() -> None:
    parser = measuring.arguments(__doc__)
    parser.add_argument("--width", type=int, default=196)
    options = parser.parse_args()
    measuring.tell(measure(options.width, options.repeats, options.threads), options.json)


if __name__ == "__main__":
    main()
