"""Randomness as a function of (seed, stream, step).

A counter-based generator (Philox; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
2011) maps a key and a counter to random bits without any state. The key here is (seed, stream), the
counter starts at (step, 0): every draw of a run can be made again from three integers, so a resumed
run needs no saved generator, and two streams or steps never share a number. Torch's own CPU
generator would not do: it keeps only 32 bits of its seed.

Numbers are always drawn for the whole global batch, on the host; a rank takes its share afterwards.
"""

from enum import IntEnum
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MASK64 = (1 << 64) - 1


class Stream(IntEnum):
    """What a draw is for. The numbers are part of every run's identity: append, never renumber."""

    INIT = 0
    ORDER = 1
    AUGMENT = 2
    GENERATOR_NOISE = 3
    GENERATOR_LABELS = 4
    CRITIC_NOISE = 5
    CRITIC_LABELS = 6
    PENALTY = 7
    DROPOUT = 8
    GRID = 9
    SAMPLE = 10
    EVALUATE = 11
    VISUAL = 12
    SECOND_VIEW = 13
    AUGMENT_MORE = 14
    SECOND_VIEW_MORE = 15
    LEARN = 16
    MAXIMISE = 17
    ATTACK = 18
    TRUNCATION = 19
    ROLLBACK = 20


def generator(seed: int, stream: Stream, step: int = 0) -> np.random.Generator:
    """The generator of one stream at one step; `step` may be an epoch or a pass number too."""
    key = np.array([seed & _MASK64, int(stream)], dtype=np.uint64)
    # The step stands in the counter's highest word: each step owns 2**192 blocks of its own.
    counter = np.array([0, 0, 0, step], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def seed_after(seed: int, rollbacks: int) -> int:
    """The seed of training that went back `rollbacks` times; `seed` itself if it never did."""
    if not rollbacks:
        return seed
    return int(generator(seed, Stream.ROLLBACK, rollbacks).integers(1 << 63))


def seed_torch(seed: int, stream: Stream, step: int = 0) -> None:
    """Set torch's global generators, for code that draws from them (initialisation, dropout)."""
    torch.manual_seed(int(generator(seed, stream, step).integers(1 << 63)))


class Draws:
    """All the randomness of one training step, ready to be drawn on `device`.

    `share` is this rank's part (start, stop, total) of the global batch: every draw then is made
    for `total` rows, of which the rows of the share are returned.
    """

    def __init__(
        self,
        seed: int,
        step: int,
        device: torch.device | str = "cpu",
        share: tuple[int, int, int] | None = None,
    ) -> None:
        self.seed, self.step, self.device = seed, step, torch.device(device)
        self.share = share

    def normal(self, stream: Stream, count: int, *shape: int) -> Tensor:
        """Standard normal numbers, float32 (count, *shape)."""
        generator = self._generator(stream)
        values = generator.standard_normal((self._total(count), *shape), dtype=np.float32)
        return self._placed(self._mine(values))

    def uniform(self, stream: Stream, count: int, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), float32 (count, *shape)."""
        return self._placed(self.uniform_on_host(stream, count, *shape))

    def uniform_on_host(self, stream: Stream, count: int, *shape: int) -> NDArray[np.float32]:
        """As `uniform`, not yet on the device."""
        generator = self._generator(stream)
        return self._mine(generator.random((self._total(count), *shape), dtype=np.float32))

    def labels(self, stream: Stream, count: int, classes: int) -> Tensor:
        """Uniform class labels, int64 (count,)."""
        labels = self._generator(stream).integers(classes, size=self._total(count))
        return self._placed(self._mine(labels))

    def _generator(self, stream: Stream) -> np.random.Generator:
        return generator(self.seed, stream, self.step)

    def _total(self, count: int) -> int:
        if self.share is None:
            return count
        start, stop, total = self.share
        if count != stop - start:
            raise ValueError(f"{count} rows were asked for; this rank's share is {stop - start}")
        return total

    def _mine(self, values: NDArray[Any]) -> NDArray[Any]:
        return values if self.share is None else values[self.share[0] : self.share[1]]

    def _placed(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self.device, non_blocking=True)
