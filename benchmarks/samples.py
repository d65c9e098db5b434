"""What samples cost: a snapshot in training, packing them, generating images, reading them back.

    python -m benchmarks.samples [--width 64] [--snapshots 200] [--count 1024] [--cpu-time] [--json]

What is stored are pieces of the two photographs that come with scikit-learn, since they pack as
images do; an untrained generator's do not. Training stands still while the grid of an epoch is
written: that is `add`, as the first snapshot of a run and as the one after all others (`samples.h5`
names them all anew each time). `pack` makes one file of them when training is over, and reads it
again to be sure. `write` puts the final images into their file, `generate` makes them, by
AC-WGAN-GP's generator; `read_grid` and `read_all` give snapshots back.

Beside each, in the same rounds, its bare counterpart: `numpy.save` of the same images, synced, or
`numpy.load`, and for `generate` the generator called on as many images, whose results are dropped.
With --cpu-time the seconds are those that the process had a processor: without waits for the disk.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import measuring
from checkpoints import files
from gan import evaluation, numerics, recipes, rng, samples, variants
from gan.data import DataInfo
from gan.generation import Request
from gan.samples import SampleStore
from gan.variants import Variant

Pictures = NDArray[np.uint8]
_ATTRIBUTES = {"recipe": "acgan", "identity": 64 * "0", "seed": 0}
_WARM_UPS = 1
_SIDE = recipes.acgan().data.image_size


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    width: int = 64  # of the generator
    rows: int = 10  # of the grid; a column is a class
    snapshots: int = 200
    count: int = 1024  # images generated in the end


def make_variant(width: int, threads: int) -> Variant:
    config = recipes.acgan()
    config = replace(config, model=replace(config.model, width=width))
    info = DataInfo("random", 20, 20, 3, tuple("0123456789"), "")
    variant = variants.build(config, info, numerics.configure(threads))
    for network in variant.networks.values():
        network.eval()
    return variant


def pieces(wanted: int, side: int) -> Pictures:
    """Squares (wanted, side, side, 3) of two photographs; the same ones every time."""
    from sklearn import datasets

    photographs = np.stack(datasets.load_sample_images().images)  # (2, 427, 640, 3) uint8
    _, height, width, _ = photographs.shape
    drawn = np.random.default_rng(0)
    places = drawn.integers(0, (len(photographs), height - side, width - side), (wanted, 3))
    return np.stack([photographs[k, y : y + side, x : x + side] for k, y, x in places])


def save_bare(path: Path, images: Pictures) -> None:
    with path.open("wb") as file:
        np.save(file, images)
        file.flush()
        os.fsync(file.fileno())


class Bench:
    """One set of images, stored and generated in turns of `repeats` rounds."""

    def __init__(self, folder: Path, variant: Variant, size: Size, repeats: int) -> None:
        self.folder, self.variant, self.size = folder, variant, size
        self.numbers = count(1)
        self.labels = Request(size.rows * variant.conditions).labels(variant).numpy()
        self.image_labels = Request(size.count).labels(variant).numpy()
        self.images = pieces(size.count, _SIDE)  # (count, H, W, C)
        grids = pieces(size.snapshots * len(self.labels), _SIDE)
        self.grids = grids.reshape(size.snapshots, -1, *grids.shape[1:])  # (T, N, H, W, C)
        self.noise = self._noise()
        self.store = SampleStore(folder / "run", _ATTRIBUTES)
        for _ in range(size.snapshots):
            self.add(self.store)
        self.copies = self._copies(repeats + _WARM_UPS)
        self.packed = SampleStore(next(self.copies), _ATTRIBUTES)
        self.packed.pack()
        save_bare(folder / "grid.npy", self.grids[0])
        save_bare(folder / "all.npy", self.grids)

    def _noise(self) -> list[torch.Tensor]:
        labels = self.variant.asked(evaluation.TOGETHER)
        draws = rng.Draws(0, 0, self.variant.device)
        batches = -(-self.size.count // evaluation.TOGETHER)
        return [self.variant.noise(labels, rng.Stream.SAMPLE, draws)] * batches

    def _copies(self, wanted: int) -> Iterator[Path]:
        """Folders with all snapshots, since packing uses them up: one each round, one to read."""
        folders = [self.folder / f"copy-{number}" for number in range(wanted + 1)]
        for folder in folders:
            shutil.copytree(self.store.folder, folder)
        return iter(folders)

    def tasks(self) -> dict[str, Callable[[], object]]:
        return {
            "add_first": lambda: self.add(SampleStore(self.new_path(), _ATTRIBUTES)),
            "add": lambda: self.add(self.store),
            "add_bare": lambda: save_bare(self.new_path(), self.grids[0]),
            "pack": lambda: SampleStore(next(self.copies), _ATTRIBUTES).pack(),
            "pack_bare": lambda: save_bare(self.new_path(), self.grids),
            "generate": lambda: Request(self.size.count).pictures(self.variant),
            "generate_bare": self.call_generator,
            "write": self.write,
            "write_bare": lambda: save_bare(self.new_path(), self.images),
            "read_grid": lambda: samples.read(self.store.path(1)),
            "read_grid_bare": lambda: np.load(self.folder / "grid.npy"),
            "read_all": lambda: samples.read(self.packed.file),
            "read_all_bare": lambda: np.load(self.folder / "all.npy"),
        }

    def new_path(self) -> Path:
        return self.folder / f"new-{next(self.numbers)}"

    def add(self, store: SampleStore) -> None:
        step = len(store.steps()) + 1
        store.add(step, self.grids[(step - 1) % len(self.grids)], self.labels)

    def call_generator(self) -> None:
        assert self.variant.sampler is not None
        with torch.inference_mode():
            for noise in self.noise:
                self.variant.sampler(noise)

    def write(self) -> Path:
        """The final images in their file, as the job writes it."""
        path, step = self.new_path(), np.array([1])
        content = samples.pack_bytes(self.images[None], self.image_labels, step, _ATTRIBUTES)
        files.write_bytes(path, content)
        return path


def measure(
    size: Size, repeats: int, threads: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Any]:
    variant = make_variant(size.width, threads)
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), variant, size, repeats)
        settle = measuring.settle_on(variant.device)
        times = measuring.in_turn(bench.tasks(), repeats, _WARM_UPS, settle, clock)
        held = {
            "grid_file_mb": bench.store.path(1).stat().st_size / 1e6,
            "packed_file_mb": bench.packed.file.stat().st_size / 1e6,
            "generated_file_mb": bench.write().stat().st_size / 1e6,
        }
    told = {
        "device": str(variant.device),
        "threads": threads,
        "rounds": repeats,
        "width": size.width,
        "snapshots": size.snapshots,
        "generated": size.count,
        "grid_mb": bench.grids[0].nbytes / 1e6,
        "packed_mb": bench.grids.nbytes / 1e6,
        "generated_mb": bench.images.nbytes / 1e6,
    }
    return told | held | _figures(times, told)


def _figures(times: measuring.Times, told: dict[str, Any]) -> dict[str, float]:
    """Of each part: milliseconds, how many times what the bare one takes, MB/s of raw images."""
    sizes = {"add": "grid", "pack": "packed", "write": "generated"}
    sizes |= {"read_grid": "grid", "read_all": "packed"}
    found = {f"{name}_ms": 1000 * times.median(name) for name in times.seconds}
    found["add_most_ms"] = 1000 * max(times.seconds["add"])
    for name in [*sizes, "generate"]:
        found[f"{name}_over_bare"] = 1 / times.speedup(name, f"{name}_bare").median
    for name, of in sizes.items():
        found[f"{name}_mb_per_s"] = told[f"{of}_mb"] / times.median(name)
    return found | {"generate_images_per_s": told["generated"] / times.median("generate")}


def main() -> None:
    parser = measuring.arguments(__doc__)
    parser.add_argument("--width", type=int, default=Size.width)
    parser.add_argument("--rows", type=int, default=Size.rows)
    parser.add_argument("--snapshots", type=int, default=Size.snapshots)
    parser.add_argument("--count", type=int, default=Size.count)
    parser.add_argument("--cpu-time", action="store_true")
    options = parser.parse_args()
    clock = time.process_time if options.cpu_time else time.perf_counter
    size = Size(options.width, options.rows, options.snapshots, options.count)
    measuring.tell(measure(size, options.repeats, options.threads, clock), options.json)


if __name__ == "__main__":
    main()
