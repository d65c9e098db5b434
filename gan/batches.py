"""The order of the data: which images make up the batch of a step."""

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan import augment, rng
from gan.augment import to_unit as to_unit  # beside its inverse, for those who use both
from gan.config import RunConfig
from gan.data import ImageSet, steps_per_pass
from gan.data.sources import ImageSource
from gan.distributed import Share, share_of


def to_bytes(images: Tensor) -> np.ndarray:
    """Images (B, C, S, S) in [-1, 1] to uint8 (B, S, S, C) on the host; rounded, never wrapped."""
    scaled = images.detach().float().add(1).mul_(127.5).round_().clamp_(0, 255)
    return scaled.byte().permute(0, 2, 3, 1).cpu().numpy()


class Held:
    """Images on the device that trains."""

    def __init__(self, images: NDArray[np.uint8], device: torch.device) -> None:
        self.place = device  # where indices are wanted
        self.images = torch.from_numpy(images).to(device)  # (N, C, S, S) uint8

    def take(self, indices: Tensor) -> Tensor:
        """The images (B, C, S, S) uint8 at indices (B,)."""
        # Not `images[indices]`: the same bytes, which on a CPU takes many times as long.
        return self.images.index_select(0, indices)

    def expect(self, indices: Tensor) -> None:
        """Hear which images are wanted next."""

    def close(self) -> None:
        """Leave off."""


class Streamed:
    """Images that are read for each step, those of the next one while the device computes."""

    def __init__(self, images: ImageSource, device: torch.device) -> None:
        self.place = torch.device("cpu")
        self.images, self.device = images, device
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="images")
        self._ahead: tuple[Tensor, Future[Tensor]] | None = None

    def take(self, indices: Tensor) -> Tensor:
        """As `Held.take`. Raises DataError for an image that cannot be read."""
        if self._ahead and torch.equal(self._ahead[0], indices):
            found = self._ahead[1].result()
        else:
            found = self._read(indices)
        return found.to(self.device, non_blocking=True)

    def expect(self, indices: Tensor) -> None:
        self._ahead = indices, self._reader.submit(self._read, indices)

    def _read(self, indices: Tensor) -> Tensor:
        images = torch.from_numpy(self.images[indices.numpy()])
        return images.pin_memory() if self.device.type == "cuda" else images

    def close(self) -> None:
        self._reader.shutdown(cancel_futures=True)


class Batches:
    """Training batches as a function of the step.

    A set in memory is held on the device as uint8; a larger one is read step by step. Each pass
    over the data has its own permutation, a function of the seed and the pass; a short last batch
    is dropped, as in the documents. `steps_per_epoch` counts all passes of an epoch. `share` is
    this rank's part of every batch, all of it if left out.
    """

    def __init__(
        self,
        data: ImageSet,
        config: RunConfig,
        device: torch.device,
        share: Share | None = None,
    ) -> None:
        self.config, self.device = config, device
        self._seed = config.seed
        self.share = share or share_of(config.train.batch_size, rank=0, size=1)
        self.images = _placed(data.train_images, device)
        self.labels = torch.from_numpy(data.train_labels).to(self.images.place)  # (N,) int64
        self.steps_per_pass = steps_per_pass(config, data.info)
        self.steps_per_epoch = self.steps_per_pass * config.train.passes_per_epoch
        self._order_of: tuple[int, Tensor] | None = None

    def reseed(self, seed: int) -> None:
        """Take another seed's order from now on."""
        self._seed, self._order_of = seed, None

    def indices(self, step: int) -> Tensor:
        """Which images (B,) the step uses; of a share, the rows that are this rank's."""
        pass_number, place = divmod(step, self.steps_per_pass)
        if self._order_of is None or self._order_of[0] != pass_number:
            generator = rng.generator(self._seed, rng.Stream.ORDER, pass_number)
            order = torch.from_numpy(generator.permutation(len(self.labels)))
            self._order_of = pass_number, order.to(self.images.place)
        first = place * self.share.total
        return self._order_of[1][first + self.share.start : first + self.share.stop]

    def at(self, step: int, draws: rng.Draws) -> tuple[Tensor, Tensor]:
        """Images (B, C, S, S) float32 in [-1, 1], augmented, and labels (B,) of one step.

        Of a system with two views (2B, C, S, S): rows k and k + B are two views of one image.
        """
        indices = self.indices(step)
        images, labels = self.images.take(indices), self.labels.index_select(0, indices)
        self.images.expect(self.indices(step + 1))
        return augment.views(images, self.config, draws), labels.to(self.device)

    def close(self) -> None:
        """End the reading ahead; waits for the one that is under way."""
        self.images.close()


def _placed(images: ImageSource, device: torch.device) -> Held | Streamed:
    return Held(images, device) if isinstance(images, np.ndarray) else Streamed(images, device)
