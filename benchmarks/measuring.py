"""What the benchmarks share: things timed in turn in one process, and figures told alike.

A machine that others use too changes its speed from one second to the next. So what is compared is
timed in turn, round by round, and the figure is the median of the rounds' ratios, which outlives
such changes; seconds alone would not.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

FEWEST_REPEATS = 7


@dataclass(frozen=True)
class Ratio:
    """How many times as fast one thing is as another, in the rounds that timed both."""

    median: float
    least: float
    most: float


@dataclass(frozen=True)
class Times:
    """Seconds of each thing by its name, a number a round; as many rounds for all of them."""

    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def speedup(self, name: str, reference: str) -> Ratio:
        """How many times as fast `name` is as `reference`."""
        pairs = zip(self.seconds[reference], self.seconds[name], strict=True)
        ratios = [other / own for other, own in pairs]
        return Ratio(statistics.median(ratios), min(ratios), max(ratios))

    def speedups(self, reference: str) -> dict[str, dict[str, float]]:
        """`speedup` of all against one, in what json can hold."""
        return {name: asdict(self.speedup(name, reference)) for name in self.seconds}


def in_turn(
    tasks: Mapping[str, Callable[[], object]],
    repeats: int = FEWEST_REPEATS,
    warm_ups: int = 1,
    settle: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
    lead_in: int = 0,
) -> Times:
    """Time every task once a round, each round beginning with another one.

    `settle` is called before the clock starts and before it stops: for a device that is told what
    to do and does it later. Rounds before the first that counts: `warm_ups`. Calls at the beginning
    of every turn that are not timed: `lead_in`, for what is done thousands of times in a row, and
    finds memory and caches as it left them itself.
    """
    names = list(tasks)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-warm_ups, repeats):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            for _ in range(lead_in):
                tasks[name]()
            taken = seconds_of(tasks[name], settle, clock)
            if number >= 0:
                seconds[name].append(taken)
    return Times(seconds)


def seconds_of(
    task: Callable[[], object],
    settle: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """What one call takes by a clock: the wall's, or this process's share of the processors."""
    settle()
    started = clock()
    task()
    settle()
    return clock() - started


def settle_on(device: Any) -> Callable[[], object]:
    """Waits until a torch device has done all that it was told; nothing to wait for on a CPU."""
    import torch  # not for those that measure submission and status

    return torch.cuda.synchronize if device.type == "cuda" else lambda: None


def arguments(description: str | None, repeats: int = FEWEST_REPEATS) -> argparse.ArgumentParser:
    """A command line with what all benchmarks have; `description` is the module's docstring."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=repeats, help="rounds that count")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print everything, as JSON")
    return parser


def tell(result: Mapping[str, Any], as_json: bool, text: Callable[[], str] | None = None) -> None:
    """Print a result: as JSON, as `text` puts it, or a line a figure."""
    if as_json:
        print(json.dumps(result, indent=2))
    elif text:
        print(text())
    else:
        for name, value in result.items():
            print(f"{name:<34} {value:.4g}" if isinstance(value, float) else f"{name:<34} {value}")


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in Markdown, to be copied into the documents as it is; numbers have 4 digits."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
