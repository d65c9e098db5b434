"""What an update costs as width and batch grow, and what more ranks would add to it.

    python -m benchmarks.scaling [--widths 32 64] [--batches 16 32] [--images 1000 10000 100000]
        [--ranks 1 2] [--rank-width 32] [--rank-batch 32] [--repeats 3] [--json]

Measured (`benchmarks.scaling_measured`), things of a kind in turn:

- milliseconds an update, and an image, of AC-WGAN-GP in this one process;
- what the input takes with more and more images: a batch with S0's augmentation, and the new order
  at the start of a pass;
- the same updates by several processes on this machine, which share each batch and talk through
  gloo, a thread each; beside them, in the same rounds, one of them alone, and the bare all-reduce
  of as many bytes. All of them must end in the same weights.

Reckoned: the bytes that the players' gradients put on the network in one update, and how long one
update takes over R ranks, of the compute of a single one. Every player's gradients are averaged in
one flat all-reduce. In a ring it moves 2 (R - 1) / R times the bytes through every link, in
2 (R - 1) steps that each wait for the latency. Latency and bandwidth are assumptions, which the
command line takes. The batch is split, so that the same updates are done: the compute of a rank is
taken to shrink with its share, down to a floor below which kernels no longer fill the device.
"""

from dataclasses import dataclass
from typing import Any

from benchmarks import measuring, scaling_measured
from benchmarks.scaling_measured import Size, build
from gan import numerics, recipes
from gan.variants import Variant

_RANKS = (1, 2, 4, 8, 16, 32, 64, 128)
_INPUT_BATCH = 64


@dataclass(frozen=True)
class Network:
    """What connects the ranks, and how little time a rank's part of an update takes at least."""

    gb_per_s: float = 25.0  # of each link: 200 Gbit/s
    latency_us: float = 10.0  # of each step of the ring, start of its kernel included
    compute_ms: float = 40.0  # of a whole update on one rank
    floor_ms: float = 10.0  # however small a rank's share is


@dataclass(frozen=True)
class Asked:
    """What is to be measured."""

    widths: list[int]
    batches: list[int]
    images: list[int]
    ranks: list[int]
    by_ranks: Size
    repeats: int = 3


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


def measure(asked: Asked, threads: int, network: Network) -> dict[str, Any]:
    numerics.configure(threads)
    sizes = gradient_bytes(build(recipes.acgan().model.width, recipes.acgan().train.batch_size)[1])
    repeats = asked.repeats
    return {
        "threads": threads,
        "rounds": repeats,
        "measured": scaling_measured.by_size(asked.widths, asked.batches, repeats),
        "input": scaling_measured.by_images(asked.images, _INPUT_BATCH, repeats),
        "ranks": scaling_measured.by_ranks(asked.ranks, asked.by_ranks, repeats),
        "gradient_bytes_at_196": sizes,
        "assumed": vars(network),
        "reckoned": reckoned(sizes, network),
    }


def text(result: dict[str, Any]) -> str:
    parts = [f"threads {result['threads']}, rounds {result['rounds']}"]
    sizes = result["gradient_bytes_at_196"].items()
    parts.append(", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes))
    parts.append(", ".join(f"{name} {value}" for name, value in result["assumed"].items()))
    for kind in ("measured", "input", "ranks", "reckoned"):
        rows = result[kind]
        if rows:
            parts.append(measuring.table(list(rows[0]), [list(row.values()) for row in rows]))
    return "\n\n".join(parts)


def main() -> None:
    parser = measuring.arguments(__doc__)
    parser.set_defaults(repeats=3)
    parser.add_argument("--widths", type=int, nargs="*", default=[32, 64])
    parser.add_argument("--batches", type=int, nargs="*", default=[16, 32])
    parser.add_argument("--images", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--ranks", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--rank-width", type=int, default=32)
    parser.add_argument("--rank-batch", type=int, default=32)
    for name, value in vars(Network()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=value)
    given = parser.parse_args()
    network = Network(**{name: getattr(given, name) for name in vars(Network())})
    size = Size(given.rank_width, given.rank_batch)
    asked = Asked(given.widths, given.batches, given.images, given.ranks, size, given.repeats)
    result = measure(asked, given.threads, network)
    measuring.tell(result, given.json, lambda: text(result))


if __name__ == "__main__":
    main()
