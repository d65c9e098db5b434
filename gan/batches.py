"""The order of the data: which images make up the batch of a step."""

import numpy as np
import torch
from torch import Tensor

from gan import augment, rng
from gan.config import RunConfig
from gan.data import ImageSet, steps_per_pass
from gan.distributed import Share, share_of


def to_unit(images: Tensor) -> Tensor:
    """uint8 images to float32 in [-1, 1], where 0 is -1 and 255 is 1."""
    return images.float().div_(127.5).sub_(1)


def to_bytes(images: Tensor) -> np.ndarray:
    """Images (B, C, S, S) in [-1, 1] to uint8 (B, S, S, C) on the host; rounded, never wrapped."""
    scaled = images.detach().float().add(1).mul_(127.5).round_().clamp_(0, 255)
    return scaled.byte().permute(0, 2, 3, 1).cpu().numpy()


class Batches:
    """Training batches as a function of the step, from a set held on the device as uint8.

    Each pass over the data has its own permutation, a function of the seed and the pass; a short
    last batch is dropped, as in the documents. `steps_per_epoch` counts all passes of an epoch.
    `share` is this rank's part of every batch, all of it if left out.
    """

    def __init__(
        self,
        data: ImageSet,
        config: RunConfig,
        device: torch.device,
        share: Share | None = None,
    ) -> None:
        self.config = config
        self.share = share or share_of(config.train.batch_size, rank=0, size=1)
        self.images = torch.from_numpy(data.train_images).to(device)  # (N, C, S, S) uint8
        self.labels = torch.from_numpy(data.train_labels).to(device)  # (N,) int64
        self.steps_per_pass = steps_per_pass(config, data.info)
        self.steps_per_epoch = self.steps_per_pass * config.train.passes_per_epoch
        self._order_of: tuple[int, Tensor] | None = None

    def indices(self, step: int) -> Tensor:
        """Which images (B,) the step uses; of a share, the rows that are this rank's."""
        pass_number, place = divmod(step, self.steps_per_pass)
        if self._order_of is None or self._order_of[0] != pass_number:
            generator = rng.generator(self.config.seed, rng.Stream.ORDER, pass_number)
            order = torch.from_numpy(generator.permutation(len(self.labels)))
            self._order_of = pass_number, order.to(self.images.device)
        first = place * self.share.total
        return self._order_of[1][first + self.share.start : first + self.share.stop]

    def at(self, step: int, draws: rng.Draws) -> tuple[Tensor, Tensor]:
        """Images (B, C, S, S) float32 in [-1, 1], augmented, and labels (B,) of one step.

        Of a system with two views (2B, C, S, S): rows k and k + B are two views of one image.
        """
        indices = self.indices(step)
        images = to_unit(self.images[indices])
        return augment.views(images, self.config, draws), self.labels[indices]
