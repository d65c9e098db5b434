"""What one update of AC-WGAN-GP costs on this machine, in one process and in several.

For `benchmarks.scaling`, which has the command line and tells what this is held against.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed import TCPStore

from benchmarks import measuring
from gan import distributed, numerics, recipes, rng, variants
from gan.batches import Batches
from gan.config import ACGANConfig
from gan.data import DataInfo, ImageSet
from gan.distributed import World
from gan.variants import Variant

Row = dict[str, float]

_CLASSES = 10
_BATCHES = 20  # of one timed task of the input
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Size:
    """Of the networks, and of the batch that all ranks share."""

    width: int
    batch: int


def build(width: int, batch: int) -> tuple[ACGANConfig, Variant]:
    config = recipes.acgan()
    config = replace(
        config,
        model=replace(config.model, width=width),
        train=replace(config.train, batch_size=batch),
    )
    return config, variants.build(config, _info(50_000), _CPU)


def _info(count: int) -> DataInfo:
    return DataInfo("random", count, 10_000, 3, tuple(map(str, range(_CLASSES))), "")


class Updates:
    """Update after update on the same random images: this rank's share of a batch."""

    def __init__(self, size: Size, world: World) -> None:
        config, self.variant = build(size.width, size.batch)
        share = world.share(size.batch)
        self.variant.world, self.variant.weight = world, share.weight
        self.rows = share.start, share.stop, share.total
        shape = (size.batch, 3, config.data.image_size, config.data.image_size)
        images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        self.images = torch.from_numpy(images)[share.start : share.stop]
        self.labels = (torch.arange(size.batch) % _CLASSES)[share.start : share.stop]
        self.steps = itertools.count()

    def __call__(self) -> None:
        draws = rng.Draws(0, next(self.steps), _CPU, self.rows)
        self.variant.update(self.images, self.labels, draws)

    def digest(self) -> str:
        """Of the weights' bits, which all ranks must share."""
        found = hashlib.sha256()
        for network in self.variant.networks.values():
            for tensor in network.state_dict().values():
                found.update(tensor.contiguous().numpy().tobytes())
        return found.hexdigest()


def by_size(widths: list[int], batches: list[int], repeats: int) -> list[Row]:
    """Milliseconds an update, and an image, of each width and batch, timed in turn."""
    sizes = [Size(*pair) for pair in itertools.product(widths, batches)]
    if not sizes:
        return []
    times = measuring.in_turn({str(s): Updates(s, World()) for s in sizes}, repeats)
    rows = [(size, 1e3 * times.median(str(size))) for size in sizes]
    return [vars(size) | {"ms": ms, "ms_per_image": ms / size.batch} for size, ms in rows]


def by_images(counts: list[int], batch: int, repeats: int) -> list[Row]:
    """What the input costs with more and more images: a batch, an image, and a pass's new order."""
    if not counts:
        return []
    all_batches = {count: _batches(count, batch) for count in counts}
    tasks: dict[str, Callable[[], object]] = {}
    for count, batches in all_batches.items():
        tasks[f"{count} batches"] = _taking(batches)
        tasks[f"{count} order"] = _ordering(batches)
    times = measuring.in_turn(tasks, repeats)
    rows = []
    for count in counts:
        ms = 1e3 * times.median(f"{count} batches") / _BATCHES
        order = 1e3 * times.median(f"{count} order")
        row: Row = {"images": count, "batch": batch, "ms": ms, "us_per_image": 1e3 * ms / batch}
        rows.append(row | {"new_order_ms": order})
    return rows


def _batches(count: int, batch: int) -> Batches:
    config = recipes.acgan()
    config = replace(config, train=replace(config.train, batch_size=batch))
    numbers, side = np.random.default_rng(0), config.data.image_size
    images = numbers.integers(0, 256, (count, 3, side, side), dtype=np.uint8)
    labels = np.arange(count) % _CLASSES
    data = ImageSet(_info(count), images, labels, images[:1], labels[:1])
    return Batches(data, config, _CPU)


def _taking(batches: Batches) -> Callable[[], object]:
    steps = itertools.cycle(range(batches.steps_per_pass - 1))  # a new order is timed apart

    def take() -> None:
        for step in itertools.islice(steps, _BATCHES):
            batches.at(step, rng.Draws(0, step, _CPU))

    return take


def _ordering(batches: Batches) -> Callable[[], object]:
    def order() -> None:
        batches.reseed(0)
        batches.indices(0)

    return order


def by_ranks(counts: list[int], size: Size, repeats: int) -> list[Row]:
    """The same updates by more and more processes that talk through gloo, a thread each.

    In the same rounds the first of them does them alone. Raises RuntimeError if the ranks do not
    end in the same weights.
    """
    return [_ranks(count, size, repeats) for count in counts]


def _ranks(count: int, size: Size, repeats: int) -> Row:
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
        places = [(rank, count, store.port) for rank in range(count)]
        told = list(pool.map(_rank, places, itertools.repeat(size), itertools.repeat(repeats)))
    if len({digest for digest, _ in told}) > 1:
        raise RuntimeError(f"{count} ranks ended in different weights")
    return told[0][1]


def _rank(place: tuple[int, int, int], size: Size, repeats: int) -> tuple[str, Row]:
    """One rank's weights at the end, and what it measured: in a process of its own."""
    numerics.configure(1)
    rank, count, port = place
    try:
        store = TCPStore("127.0.0.1", port, is_master=False)
        return _measured(distributed.connect(rank, count, store, _CPU), size, repeats)
    finally:
        distributed.disconnect()


def _measured(world: World, size: Size, repeats: int) -> tuple[str, Row]:
    together = Updates(size, world)
    with _overheard() as sent:
        together()
    alone = Updates(size, World()) if world.leads else lambda: None
    buffers = [torch.zeros(number // 4) for number in sent]
    tasks = {
        "together": together,
        "alone": alone,
        "all_reduce": lambda: [dist.all_reduce(buffer) for buffer in buffers],
    }
    times = measuring.in_turn(tasks, repeats, settle=dist.barrier)
    row: dict[str, Any] = {"ranks": world.size, "width": size.width, "batch": size.batch}
    row |= {"ms": 1e3 * times.median("together"), "one_rank_ms": 1e3 * times.median("alone")}
    row |= {"speedup": times.speedup("together", "alone").median, "mb": sum(sent) / 1e6}
    row |= {"all_reduce_ms": 1e3 * times.median("all_reduce") if sent else 0.0}
    shares = zip(times.seconds["all_reduce"], times.seconds["together"], strict=True)
    row["share"] = float(np.median([talk / whole for talk, whole in shares])) if sent else 0.0
    return together.digest(), row


@contextmanager
def _overheard() -> Iterator[list[int]]:
    """The bytes of each all-reduce while it lasts."""
    original, sizes = dist.all_reduce, list[int]()

    def call(tensor: torch.Tensor, *more: Any, **named: Any) -> Any:
        sizes.append(tensor.numel() * tensor.element_size())
        return original(tensor, *more, **named)

    dist.all_reduce = call
    try:
        yield sizes
    finally:
        dist.all_reduce = original
