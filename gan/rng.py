"""Randomness as a function of (seed, stream, step).

A counter-based generator (Philox; Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
2011) maps a key and a counter to random bits without any state. The key here is (seed, stream), the
counter starts at (step, 0): every draw of a run can be made again from three integers, so a resumed
run needs no saved generator, and two streams or steps never share a number. Torch's own CPU
generator would not do: it keeps only 32 bits of its seed.

Numbers are always drawn for the whole global batch, on the host; a rank takes its slice afterwards.
"""

from enum import IntEnum

import numpy as np
import torch
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


def generator(seed: int, stream: Stream, step: int = 0) -> np.random.Generator:
    """The generator of one stream at one step; `step` may be an epoch or a pass number too."""
    key = np.array([seed & _MASK64, int(stream)], dtype=np.uint64)
    # The step stands in the counter's highest word: each step owns 2**192 blocks of its own.
    counter = np.array([0, 0, 0, step], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def seed_torch(seed: int, stream: Stream, step: int = 0) -> None:
    """Set torch's global generators, for code that draws from them (initialisation, dropout)."""
    torch.manual_seed(int(generator(seed, stream, step).integers(1 << 63)))


class Draws:
    """All the randomness of one training step, ready to be drawn on `device`."""

    def __init__(self, seed: int, step: int, device: torch.device | str = "cpu") -> None:
        self.seed, self.step, self.device = seed, step, torch.device(device)

    def normal(self, stream: Stream, *shape: int) -> Tensor:
        """Standard normal numbers, float32, of the given shape."""
        values = generator(self.seed, stream, self.step).standard_normal(shape, dtype=np.float32)
        return torch.from_numpy(values).to(self.device, non_blocking=True)

    def uniform(self, stream: Stream, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), float32, of the given shape."""
        values = generator(self.seed, stream, self.step).random(shape, dtype=np.float32)
        return torch.from_numpy(values).to(self.device, non_blocking=True)

    def labels(self, stream: Stream, count: int, classes: int) -> Tensor:
        """Uniform class labels, int64 (count,)."""
        values = generator(self.seed, stream, self.step).integers(classes, size=count)
        return torch.from_numpy(values).to(self.device, non_blocking=True)
