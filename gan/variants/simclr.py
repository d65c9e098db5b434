"""SimCLR: an encoder that learns to find the other view of the same image among all others.

Chen et al., "A simple framework for contrastive learning of visual representations" (2020), as in
the self-supervised part of S4.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gan import evaluation, losses, neighbours, rng
from gan.config import SimCLRConfig
from gan.data import DataInfo, ImageSet
from gan.encoders import Contrastive, make_encoder
from gan.variants.base import Variant, make_adam


@dataclass(frozen=True)
class Represented:
    """What an encoder makes of a data set."""

    chosen: NDArray[np.intp]  # (N,) the training images, up to contrast.bank, evenly spread
    bank: Tensor  # (N, F) their features
    queries: Tensor  # (M, F) those of the held-out images


class SimCLR(Variant):
    """One player, encoder and projection head; labels are used to measure, never to train."""

    terms = ("contrastive_loss", "pair_similarity")
    classifies = False

    def __init__(self, config: SimCLRConfig, info: DataInfo, device: torch.device) -> None:
        self.contrast, self.classes = config.contrast, len(info.classes)
        rng.seed_torch(config.seed, rng.Stream.INIT)
        encoder = make_encoder(config.model, info.channels)
        self.model = Contrastive(encoder, config.model.projection)
        self.networks: dict[str, nn.Module] = {"simclr": self.model}
        self.place(config, device)
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "simclr": make_adam(config.optim, self.model)
        }

    def update(self, images: Tensor, labels: Tensor, draws: rng.Draws) -> Tensor:
        """One step on two views of each image: `images` (2B, C, S, S), k beside k + B."""
        self.model.train()
        with self.mixed():
            projections = self.called["simclr"](images)
        projections = projections.float()
        loss = losses.nt_xent(projections, self.contrast.temperature)
        first, second = projections.detach().chunk(2)
        similarity = F.cosine_similarity(first, second).mean()
        return self.descend("simclr", loss, torch.stack([loss.detach(), similarity]))

    def represent(self, data: ImageSet, stop: Callable[[], object]) -> Represented:
        """The features of training and held-out images. Raises Interrupted when `stop` says so."""
        count = len(data.train_images)
        chosen = np.linspace(0, count - 1, min(self.contrast.bank, count)).round().astype(np.intp)
        encoder = self.model.encoder
        with evaluation.eval_mode(self.model):
            bank, queries = (
                evaluation.predict(encoder, images, self.device, stop)
                for images in (data.train_images[chosen], data.test_images)
            )
        return Represented(chosen, bank, queries)

    def measure(self, data: ImageSet, stop: Callable[[], object]) -> dict[str, float]:
        """How often the nearest training images name a held-out image's class."""
        if self.classes < 2:
            return {}
        return self.vote(data, self.represent(data, stop))

    def vote(self, data: ImageSet, found: Represented) -> dict[str, float]:
        """The same of features that were found; nothing without classes."""
        if self.classes < 2:
            return {}
        labels = torch.from_numpy(data.train_labels[found.chosen]).to(self.device)
        votes = neighbours.vote(
            found.bank, labels, found.queries, self.contrast.neighbours, self.classes
        )
        return {"test/knn_accuracy": evaluation.accuracy(votes, data.test_labels)}


def build(config: SimCLRConfig, info: DataInfo, device: torch.device) -> SimCLR:
    return SimCLR(config, info, device)
