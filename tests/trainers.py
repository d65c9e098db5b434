"""Trainers for tests, what stops them, and what they leave."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from states import assert_same_state

from checkpoints import Store
from gan import config as configs
from gan import data, scalars, variants
from gan.config import RunConfig
from gan.distributed import World
from gan.samples import SampleStore
from gan.trainer import Hooks, Outputs, Trainer
from jobs.run import Run


def build_trainer(
    folder: Path, config: RunConfig, hooks: Hooks | None = None, world: World | None = None
) -> Trainer:
    """A trainer whose products go below a folder."""
    images = data.load(config.data)
    outputs = Outputs(
        Store(folder / "checkpoints", configs.identity(config)),
        SampleStore(folder, {"seed": config.seed}),
        folder / "tensorboard",
        folder / "figures",
    )
    variant = variants.build(config, images.info, torch.device("cpu"))
    variant.world = world or variant.world
    hooks = hooks or Hooks(say=lambda message: None)
    return Trainer(config, images, variant, outputs, hooks)


class StopAt:
    """Asks for a stop the n-th time that it is asked."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self, save_s: float) -> str | None:
        self.left -= 1
        return "terminated" if self.left < 0 else None


class Killed(BaseException):
    """Stands for a SIGKILL: nothing of the trainer runs after it."""


class KillAt(StopAt):
    """Dies the n-th time that it is asked."""

    def __call__(self, save_s: float) -> str | None:
        if super().__call__(save_s):
            raise Killed
        return None


def products(folder: Path) -> dict[str, str]:
    """Checksums of all pictures, films and samples."""
    endings = (".h5", ".png", ".svg", ".gif", ".mp4")
    files = [path for path in folder.rglob("*") if path.suffix in endings]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def quiet(stop: Callable[[float], str | None] = lambda save_s: None) -> Hooks:
    return Hooks(stop=stop, say=lambda message: None)


def made_run(folder: Path, config: RunConfig, recipe: str = "recipe", steps: int = 3) -> Run:
    """A run that was stopped after a few steps, and saved."""
    run = Run(folder)
    run.write(recipe, config, data.inspect(config.data), threads=1)
    build_trainer(folder, config, quiet(StopAt(steps))).train()
    return run


def final_state(trainer: Trainer) -> dict:
    return trainer.outputs.checkpoints.latest().load()


def assert_same_end(straight: Trainer, broken: Trainer, folders: tuple[Path, Path]) -> None:
    assert_same_state(final_state(straight), final_state(broken))
    ends = [trainer.outputs.checkpoints.latest().manifest.files for trainer in (straight, broken)]
    assert ends[0] == ends[1]  # size and checksum of the file too
    assert products(folders[0]) == products(folders[1])
    assert_same_curves(*folders)


def assert_same_curves(first: Path, second: Path) -> None:
    """The same points, each step once."""
    left, right = (scalars.read(folder / "tensorboard") for folder in (first, second))
    assert left.keys() == right.keys()
    for tag, (steps, values) in left.items():
        assert steps.tolist() == sorted(set(steps.tolist()))
        assert steps.tolist() == right[tag][0].tolist(), tag
        assert np.array_equal(values, right[tag][1]), tag
