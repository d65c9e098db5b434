"""The update of every system against the plainest honest loop of its document.

    python -m benchmarks.train_step [--recipe acgan,...|all] [--width N] [--batch-size N]
        [--image-size N] [--precision float32,bfloat16] [--update-only] [--memory]
        [--compile] [--channels-last] [--cpu-time] [--steps 1] [--repeats 7] [--threads 2] [--json]

Both train the same networks from the same weights, in turn, in one process (see
benchmarks/plain.py). Without --update-only a step begins with its images: from torchvision's
transforms in a loader with two workers there, from the suite's own batches here; the loader's
workers read ahead while the suite has its turn, which slows the suite down and not the loop.
Images are random bytes of the recipe's shape. The suite also has the C library keep freed memory;
for the plain loop's turns that is put off. --memory adds the plain loop with memory kept, --compile
the suite with its networks compiled, in each arithmetic; --channels-last lays out all of the
suite's maps so. --steps is how many are timed in a turn, for those that are short. --cpu-time
counts the time that the process had a processor, for a machine that is busy with other things: only
with one thread, and without a loader's workers, do its ratios mean the same.
"""

import argparse
import functools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from benchmarks import measuring, plain
from gan import numerics, recipes, rng, variants
from gan.batches import Batches
from gan.config import RunConfig
from gan.data import DataInfo, ImageSet

FAMILIES = (
    "acgan", "acgan-original", "wgan-gp", "wgan-clipping", "classifier", "dcgan-lab", "cats",
    "gan-mnist", "lsgan-mnist", "dcgan-mnist", "mnist-classifier", "progressive",
    "simclr-pretrain-quick", "simclr-probe-quick", "simclr-finetune-quick",
)  # fmt: skip
_IMAGES = 2048
_WORKERS = 2
_LEAD_IN = 3  # steps of a turn that are not timed: they find memory as the others left it
_COLOURS = {"cifar10": 3, "folder": 3, "svhn": 3}


@dataclass(frozen=True)
class Settings:
    """What to measure, and how; 0 leaves a size as the recipe has it."""

    width: int = 0
    batch_size: int = 0
    image_size: int = 0
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    update_only: bool = False
    memory: bool = False
    repeats: int = measuring.FEWEST_REPEATS
    threads: int = 2
    cpu_time: bool = False
    compiled: bool = False
    channels_last: bool = False
    steps: int = 1

    @property
    def clock(self) -> Callable[[], float]:
        return time.process_time if self.cpu_time else time.perf_counter


def configured(recipe: str, settings: Settings) -> RunConfig:
    """The recipe at the sizes that were asked for."""
    config = recipes.RECIPES[recipe]()
    model: Any = getattr(config, "model")  # noqa: B009  (each system has its own)
    names = {item.name for item in fields(model)}
    if settings.width and "width" in names:
        model = replace(model, width=settings.width)
    data, train = (
        config.data,
        replace(config.train, precision="float32", channels_last=settings.channels_last),
    )
    if settings.image_size:
        data = replace(data, image_size=settings.image_size)
    if settings.batch_size:
        train = replace(train, batch_size=settings.batch_size)
    changed: RunConfig = replace(config, data=data, train=train, **{"model": model})
    return changed


def random_images(config: RunConfig, count: int = _IMAGES) -> ImageSet:
    """Bytes of the shape that the recipe's data set has."""
    channels, side = _COLOURS.get(config.data.name, 1), config.data.image_size
    numbers, classes = np.random.default_rng(0), tuple("0123456789")
    count = max(count, 2 * config.train.batch_size)
    images = numbers.integers(256, size=(count, channels, side, side), dtype=np.uint8)
    labels = numbers.integers(len(classes), size=count)
    info = DataInfo(config.data.name, count, count, channels, classes, "")
    return ImageSet(info, images, labels, images, labels)


class Suite:
    """The suite's step in one arithmetic."""

    def __init__(self, config: RunConfig, images: ImageSet, device: torch.device) -> None:
        self.config, self.device, self.number = config, device, 0
        self.variant = variants.build(config, images.info, device)
        self.batches = Batches(images, config, device)
        self.same = self.batches.at(0, self.draws())

    def draws(self) -> rng.Draws:
        return rng.Draws(self.config.seed, self.number, self.device)

    def update(self) -> None:
        self.variant.update(*self.same, self.draws())
        self.number += 1

    def whole(self) -> None:
        draws = self.draws()
        self.variant.update(*self.batches.at(self.number, draws), draws)
        self.number += 1


class Plain:
    """The plain loop's step, without what the suite does to the C library's memory."""

    def __init__(self, suite: Suite, images: ImageSet, kept: bool = False) -> None:
        self.suite, self.number, self.kept = suite, 0, kept
        self.loop = plain.make(suite.config, suite.variant)
        self.loader = plain.batches(suite.config, images, _WORKERS)

    def update(self) -> None:
        self._step(*self.suite.same)

    def whole(self) -> None:
        images, labels = next(self.loader)
        self._step(images.to(self.suite.device), labels.to(self.suite.device))

    def _step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        numerics.keep_memory(self.kept)
        draws = rng.Draws(self.suite.config.seed, self.number, self.suite.device)
        self.loop.step(images, labels, draws)
        self.number += 1
        numerics.keep_memory()


def tasks_of(config: RunConfig, settings: Settings) -> dict[str, Callable[[], object]]:
    """A step of the plain loop and of the suite in each arithmetic, by name."""
    device, images = numerics.configure(settings.threads), random_images(config)
    suites: dict[str, Suite] = {}
    modes = [(precision, precision, "off") for precision in settings.precisions]
    if settings.compiled and config.variant != "progressive":
        modes += [(f"{name}, compiled", name, "on") for name in settings.precisions]
    for name, precision, compiled in modes:
        train = replace(config.train, precision=precision, compile=compiled)
        suites[name] = Suite(replace(config, train=train), images, device)
    first = next(iter(suites.values()))
    steps: dict[str, Suite | Plain] = {"plain": Plain(first, images)}
    if settings.memory:
        steps["plain, memory kept"] = Plain(first, images, kept=True)
    steps |= suites
    each = {name: s.update if settings.update_only else s.whole for name, s in steps.items()}
    return {name: functools.partial(_in_a_row, step, settings.steps) for name, step in each.items()}


def _in_a_row(step: Callable[[], object], count: int) -> None:
    for _ in range(count):
        step()


def measure(recipe: str, settings: Settings) -> dict[str, Any]:
    """Seconds a step, images per second and ratios of one recipe."""
    config = configured(recipe, settings)
    tasks = tasks_of(config, settings)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    settle = measuring.settle_on(device)
    times = measuring.in_turn(tasks, settings.repeats, 1, settle, settings.clock, _LEAD_IN)
    batch, step = config.train.batch_size, {n: times.median(n) / settings.steps for n in tasks}
    return {
        "recipe": recipe,
        "variant": config.variant,
        "batch_size": batch,
        "image_size": config.data.image_size,
        "width": getattr(getattr(config, "model"), "width", None),  # noqa: B009
        "seconds": step,
        "images_per_second": {name: batch / seconds for name, seconds in step.items()},
        "times_as_fast": times.speedups("plain"),
    }


def table(result: dict[str, Any]) -> str:
    names = list(result["recipes"][0]["seconds"])
    heads = ["recipe", "width", "batch", "plain, images/s"]
    heads += [f"{name}: times as fast (least, most)" for name in names[1:]]
    rows: list[list[object]] = []
    for found in result["recipes"]:
        ratios = [found["times_as_fast"][name] for name in names[1:]]
        told = [f"{r['median']:.2f} ({r['least']:.2f}, {r['most']:.2f})" for r in ratios]
        width = found["width"] or "-"
        rate = f"{found['images_per_second']['plain']:.0f}"
        rows.append([found["recipe"], width, found["batch_size"], rate, *told])
    return measuring.table(heads, rows)


def parsed() -> argparse.Namespace:
    parser = measuring.arguments(__doc__)
    parser.add_argument("--recipe", default="acgan", help="names with commas between, or all")
    parser.add_argument("--width", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=0)
    parser.add_argument("--image-size", type=int, default=0)
    parser.add_argument("--precision", default="float32,bfloat16")
    parser.add_argument("--update-only", action="store_true", help="the same images every time")
    parser.add_argument("--memory", action="store_true", help="the plain loop with memory kept too")
    parser.add_argument("--channels-last", action="store_true", help="the suite's layout")
    parser.add_argument("--compile", action="store_true", help="the suite compiled too")
    parser.add_argument("--cpu-time", action="store_true", help="time this process had, not passed")
    parser.add_argument("--steps", type=int, default=1, help="in a turn, timed together")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    settings = Settings(
        options.width,
        options.batch_size,
        options.image_size,
        tuple(options.precision.split(",")),
        options.update_only,
        options.memory,
        options.repeats,
        options.threads,
        options.cpu_time,
        options.compile,
        options.channels_last,
        options.steps,
    )
    names = FAMILIES if options.recipe == "all" else options.recipe.split(",")
    found = []
    for name in names:
        found.append(measure(name, settings))
        print(f"{name}: done", file=sys.stderr, flush=True)
    result = {"threads": settings.threads, "update_only": settings.update_only, "recipes": found}
    measuring.tell(result, options.json, lambda: table(result))


if __name__ == "__main__":
    main()
