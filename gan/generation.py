"""Images made on request: a function of the weights, the seed and the image's number.

The noise of an image is drawn with its batch, and all batches are of one size, the last one too;
what is not wanted of it is thrown away. So the first ten of a hundred images are the ten that one
gets by asking for ten, to the last bit, also from a generator whose BatchNorm always uses the
statistics of the batch at hand (S4's convolutional one).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan import batches, evaluation, rng
from gan.evaluation import TOGETHER
from gan.variants import Variant


@dataclass(frozen=True)
class Request:
    """The first `count` images of a seed: of one class, or of every class in turn."""

    count: int
    seed: int = 0
    label: int | None = None

    def labels(self, variant: Variant) -> Tensor:
        """The classes asked for (count,), int64 on the host; -1 where there are none."""
        return self._whole_batches(variant)[: self.count].cpu()

    def _whole_batches(self, variant: Variant) -> Tensor:
        asked = variant.asked(-(-self.count // TOGETHER) * TOGETHER)
        return asked if self.label is None else torch.full_like(asked, self.label)

    def images(
        self, variant: Variant, stop: Callable[[], object] = lambda: None
    ) -> Iterator[Tensor]:
        """The images (B, C, S, S) float32 in [-1, 1], batch by batch.

        Only for a variant that has a `sampler`. Raises Interrupted when `stop` says so.
        """
        assert variant.sampler is not None, "only systems with a generator make images"
        left = self.count
        for number, labels in enumerate(self._whole_batches(variant).split(TOGETHER)):
            if stop():
                raise evaluation.Interrupted
            draws = rng.Draws(self.seed, number, variant.device)
            noise = variant.noise(labels, rng.Stream.SAMPLE, draws)
            yield evaluation.synthesise(variant.sampler, noise)[:left]
            left -= TOGETHER

    def pictures(
        self, variant: Variant, stop: Callable[[], object] = lambda: None
    ) -> NDArray[np.uint8]:
        """The images as uint8 (count, H, W, C), all together."""
        return np.concatenate([batches.to_bytes(batch) for batch in self.images(variant, stop)])
