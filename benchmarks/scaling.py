"""What an update costs as width and batch grow, and what more ranks would add to it.

    python -m benchmarks.scaling [--widths 32 64] [--batches 16 32] [--repeats 3] [--json]

Measured: milliseconds an update, and an image, of AC-WGAN-GP in this one process. Reckoned: the
bytes that the players' gradients put on the network in one update, and how long one update takes
over R ranks, of the compute of a single one. Every player's gradients are averaged in one flat
all-reduce. In a ring it moves 2 (R - 1) / R times the bytes through every link, in 2 (R - 1) steps
that each wait for the latency. Latency and bandwidth are assumptions, which the command line takes.
The batch is split, so that the same updates are done: the compute of a rank is taken to shrink with
its share, down to a floor below which kernels no longer fill the device.
"""

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from benchmarks import measuring
from gan import numerics, recipes, rng, variants
from gan.config import ACGANConfig
from gan.data import DataInfo
from gan.variants import Variant

_RANKS = (1, 2, 4, 8, 16, 32, 64, 128)
_CLASSES = 10


@dataclass(frozen=True)
class Network:
    """What connects the ranks, and how little time a rank's part of an update takes at least."""

    gb_per_s: float = 25.0  # of each link: 200 Gbit/s
    latency_us: float = 10.0  # of each step of the ring, start of its kernel included
    compute_ms: float = 40.0  # of a whole update on one rank
    floor_ms: float = 10.0  # however small a rank's share is


def build(width: int, batch: int) -> tuple[ACGANConfig, Variant]:
    config = recipes.acgan()
    config = replace(
        config,
        model=replace(config.model, width=width),
        train=replace(config.train, batch_size=batch),
    )
    info = DataInfo("random", 50_000, 10_000, 3, tuple(map(str, range(_CLASSES))), "")
    return config, variants.build(config, info, torch.device("cpu"))


def gradient_bytes(variant: Variant) -> dict[str, int]:
    """Of each player, once."""
    return {
        player: sum(p.numel() * p.element_size() for p in variant._parameters(player))
        for player in variant.optimizers
    }


def ring_ms(size: int, ranks: int, network: Network) -> float:
    """Milliseconds of one all-reduce of `size` bytes in a ring (0 of a single rank)."""
    moved = 2 * (ranks - 1) / ranks * size
    return 1e3 * moved / (1e9 * network.gb_per_s) + 2e-3 * (ranks - 1) * network.latency_us


def reckoned(sizes: dict[str, int], network: Network) -> list[dict[str, float]]:
    """One update over more and more ranks, and what share of their time is of use."""
    rows = []
    for ranks in _RANKS:
        talk = sum(ring_ms(size, ranks, network) for size in sizes.values())
        compute = max(network.compute_ms / ranks, network.floor_ms)
        speedup = network.compute_ms / (compute + talk)
        rows.append(
            {
                "ranks": ranks,
                "communication_ms": talk,
                "update_ms": compute + talk,
                "speedup": speedup,
                "of_use": speedup / ranks,
            }
        )
    return rows


def measured(widths: list[int], batches: list[int], repeats: int) -> list[dict[str, float]]:
    rows = []
    for width, batch in itertools.product(widths, batches):
        config, variant = build(width, batch)
        side = config.data.image_size
        images = torch.from_numpy(
            np.random.default_rng(0).uniform(-1, 1, (batch, 3, side, side)).astype(np.float32)
        )
        labels, steps = torch.arange(batch) % _CLASSES, itertools.count()

        def update(
            variant: Variant = variant,
            images: torch.Tensor = images,
            labels: torch.Tensor = labels,
            steps: Any = steps,
        ) -> None:
            step = next(steps)
            variant.update(images, labels, rng.Draws(0, step))

        seconds = measuring.in_turn({"update": update}, repeats).median("update")
        row = {"width": width, "batch": batch, "ms": 1e3 * seconds}
        rows.append(row | {"ms_per_image": 1e3 * seconds / batch})
    return rows


def measure(
    widths: list[int], batches: list[int], repeats: int, threads: int, network: Network
) -> dict[str, Any]:
    numerics.configure(threads)
    sizes = gradient_bytes(build(recipes.acgan().model.width, recipes.acgan().train.batch_size)[1])
    return {
        "threads": threads,
        "rounds": repeats,
        "measured": measured(widths, batches, repeats),
        "gradient_bytes_at_196": sizes,
        "assumed": vars(network),
        "reckoned": reckoned(sizes, network),
    }


def text(result: dict[str, Any]) -> str:
    parts = [f"threads {result['threads']}, rounds {result['rounds']}"]
    sizes = result["gradient_bytes_at_196"].items()
    parts.append(", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes))
    parts.append(", ".join(f"{name} {value}" for name, value in result["assumed"].items()))
    for rows in (result["measured"], result["reckoned"]):
        if rows:
            parts.append(measuring.table(list(rows[0]), [list(row.values()) for row in rows]))
    return "\n\n".join(parts)


def main() -> None:
    parser = measuring.arguments(__doc__)
    parser.set_defaults(repeats=3)
    parser.add_argument("--widths", type=int, nargs="*", default=[32, 64])
    parser.add_argument("--batches", type=int, nargs="*", default=[16, 32])
    for name, value in vars(Network()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=value)
    options = parser.parse_args()
    network = Network(**{name: getattr(options, name) for name in vars(Network())})
    result = measure(options.widths, options.batches, options.repeats, options.threads, network)
    measuring.tell(result, options.json, lambda: text(result))


if __name__ == "__main__":
    main()
