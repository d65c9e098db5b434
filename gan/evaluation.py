"""Applying trained networks to many images, batch by batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gan import batches
from gan.data.sources import ImageSource

BATCH = 256
TOGETHER = 128  # images that go through a generator at once, as in the documents' training


class Interrupted(Exception):
    """The work was broken off because the process was asked to stop."""


@contextmanager
def eval_mode(*modules: nn.Module) -> Iterator[None]:
    """Evaluation without gradients; every module is put back in the mode it was in."""
    modes = [module.training for module in modules]
    try:
        for module in modules:
            module.eval()
        with torch.no_grad():
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.train(mode)


def predict(
    classify: Callable[[Tensor], Tensor],
    images: ImageSource,
    device: torch.device,
    stop: Callable[[], object] = lambda: None,
) -> Tensor:
    """Logits (N, K) of uint8 images (N, C, S, S). Raises Interrupted when `stop` says so."""
    logits = []
    for start in range(0, len(images), BATCH):
        if stop():
            raise Interrupted
        batch = torch.from_numpy(images[start : start + BATCH]).to(device)
        logits.append(classify(batches.to_unit(batch)))
    return torch.cat(logits)


def accuracy(logits: Tensor, labels: NDArray[np.int64]) -> float:
    """Share of images whose largest logit is the label's: correct / N, short last batch or not."""
    hits = logits.argmax(1).cpu() == torch.from_numpy(labels)
    return int(hits.sum()) / len(labels)


def synthesise(sampler: nn.Module, noise: Tensor) -> Tensor:
    """Images (B, C, S, S) float32 for noise (B, latent), B at most TOGETHER; in eval mode.

    They are always made in a full batch, filled up with the same rows again, since the arithmetic
    may choose other kernels for other sizes, and since BatchNorm on the statistics of the batch
    would make the images of a small one all alike, and refuses a single one.
    """
    rows = torch.arange(TOGETHER, device=noise.device) % len(noise)
    with eval_mode(sampler):
        images: Tensor = sampler(noise[rows])
    return images[: len(noise)].float()


def generate(
    sampler: nn.Module, noise: Tensor, stop: Callable[[], object] = lambda: None
) -> NDArray[np.uint8]:
    """Images (N, H, W, C) uint8 for noise (N, latent)."""
    images = []
    for start in range(0, len(noise), TOGETHER):
        if stop():
            raise Interrupted
        images.append(batches.to_bytes(synthesise(sampler, noise[start : start + TOGETHER])))
    return np.concatenate(images)
