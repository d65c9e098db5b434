"""What the parts of a noise vector stand for: classes against noise, and truncation.

Both go through `Company`: a generator whose BatchNorm uses the statistics of the batch at hand
would otherwise make another picture of the same vector in every picture, and normalise truncation
away again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gan import evaluation, rng
from gan.evaluation import TOGETHER, Interrupted
from gan.generation import Request
from gan.variants import Variant
from gan.variants.adversarial import Adversarial
from gan.visual import diversity

Stop = Callable[[], object]
Truncation = Literal["scaled", "redrawn"]
PSIS: dict[Truncation, tuple[float, ...]] = {
    "scaled": (0.25, 0.5, 0.75, 1.0, 1.25),
    "redrawn": (0.25, 0.5, 1.0, 1.5, 2.0),
}
_ALONE = 32  # vectors in a batch whose other rows are company
_COMPANY = 2  # the number of its draws; a seed's images have 0 for their first batch
_SHOWN = 10  # pictures for each psi


@dataclass(frozen=True)
class Company:
    """Makes images of noise, together with ordinary noise where the company matters."""

    variant: Adversarial
    seed: int

    def images(self, noise: Tensor, stop: Stop = lambda: None) -> NDArray[np.uint8]:
        """Images (N, H, W, C) uint8 of noise (N, latent). Raises Interrupted."""
        if not _on_batch_statistics(self.variant.sampler):
            return evaluation.generate(self.variant.sampler, noise, stop)
        labels = Request(TOGETHER).labels(self.variant).to(self.variant.device)
        draws = rng.Draws(self.seed, _COMPANY, self.variant.device)
        others = self.variant.noise(labels, rng.Stream.SAMPLE, draws)
        made = []
        for part in noise.split(_ALONE):
            if stop():
                raise Interrupted
            batch = torch.cat([part, others[len(part) :]])
            made.append(evaluation.generate(self.variant.sampler, batch)[: len(part)])
        return np.concatenate(made)


def _on_batch_statistics(network: nn.Module) -> bool:
    """Whether an image depends on its batch in evaluation too."""
    norms = (nn.BatchNorm1d, nn.BatchNorm2d)
    return any(isinstance(m, norms) and m.running_mean is None for m in network.modules())


def class_by_noise(
    variant: Adversarial, rows: int, seed: int = 0, stop: Stop = lambda: None
) -> NDArray[np.uint8]:
    """Images (rows, classes, H, W, C) uint8: each row one noise vector, each column one class.

    The noise of a row is that of the seed's image of the same number (`gan.generation`), so up to
    TOGETHER rows. What a generator that has learned it keeps along a row is what is no class: the
    slant, the stroke, the colour. Raises ValueError for a generator without classes, and for more
    rows; Interrupted when `stop` says so.
    """
    classes = variant.conditions
    if not classes or not 1 <= rows <= TOGETHER:
        raise ValueError(
            f"{rows} rows of {classes} classes were asked for; allowed: 1 to {TOGETHER} rows, of a "
            "generator that was trained with classes"
        )
    labels = torch.zeros(rows, dtype=torch.int64, device=variant.device)
    noise = variant.noise(labels, rng.Stream.SAMPLE, rng.Draws(seed, 0, variant.device))
    in_turn = torch.arange(classes, device=variant.device).repeat(rows)
    crossed = noise.repeat_interleave(classes, 0)
    crossed[:, :classes] = F.one_hot(in_turn, classes).to(noise.dtype)
    images = Company(variant, seed).images(crossed, stop)
    return images.reshape(rows, classes, *images.shape[1:])


@dataclass(frozen=True)
class Truncated:
    """What became of the same noise at one psi."""

    psi: float
    shown: NDArray[np.uint8]  # (up to 10, H, W, C), one of each class in turn
    diversity: float  # mean distance within a class, in pixels of 255
    feature_diversity: float | None  # the same in a judge's features
    accuracy: float | None  # share to which the judge gives the class that was asked for


def truncate(
    variant: Adversarial, noise: Tensor, kind: Truncation, psi: float, draws: rng.Draws
) -> Tensor:
    """Noise (N, latent) brought nearer to the middle; the class's one-hot part stays as it is.

    "scaled": times psi; 1 leaves it as it is. "redrawn": every number beyond psi on either side is
    drawn again until it is not (Brock et al., "Large scale GAN training", 2019, section 3.1), by
    the inverse of the distribution; the others stay. A generator that divides its noise by its
    length (progressive growing) sees nothing of the one and little of the other.

    Raises ValueError for a psi that is not above 0.
    """
    if not psi > 0:
        raise ValueError(f"psi is {psi}; allowed: above 0")
    start = variant.conditions
    free = noise[:, start:]
    if kind == "scaled":
        return torch.cat([noise[:, :start], free * psi], dim=1)
    chance = draws.uniform(rng.Stream.TRUNCATION, *free.shape).double()
    if variant.model.noise == "uniform":
        again = (2 * chance - 1) * min(psi, 1.0)
    else:
        # From the share of a normal distribution below a number, back to the number.
        low = torch.special.ndtr(torch.tensor(-psi, dtype=torch.float64, device=chance.device))
        again = torch.special.ndtri(low + chance * (1 - 2 * low))
    again = again.clamp(-psi, psi).to(free.dtype)
    return torch.cat([noise[:, :start], torch.where(free.abs() > psi, again, free)], dim=1)


@dataclass(frozen=True)
class Study:
    """How pictures change with psi: `count` images of the same noise at each."""

    kind: Truncation = "scaled"
    psis: tuple[float, ...] = ()  # PSIS of this kind if left out
    count: int = 200
    seed: int = 0

    def run(
        self, variant: Adversarial, judge: Variant | None = None, stop: Stop = lambda: None
    ) -> list[Truncated]:
        """One for each psi, ascending. A `judge` takes images of this size and knows the classes.

        Raises ValueError for a psi that is not above 0, Interrupted when `stop` says so.
        """
        wanted = Request(self.count, self.seed)
        labels = wanted.labels(variant)
        draws = rng.Draws(self.seed, 0, variant.device)
        noise = variant.noise(labels.to(variant.device), rng.Stream.SAMPLE, draws)
        company = Company(variant, self.seed)
        found = []
        for psi in sorted(self.psis or PSIS[self.kind]):
            images = company.images(truncate(variant, noise, self.kind, psi, draws), stop)
            found.append(_measured(psi, images, labels.numpy(), judge, stop))
        return found


def _measured(
    psi: float,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    judge: Variant | None,
    stop: Stop,
) -> Truncated:
    def within_classes(vectors: Tensor) -> float:
        parts = (vectors[labels == label] for label in np.unique(labels))
        return float(np.mean([diversity.mean_distance(p) for p in parts if len(p) > 1]))

    in_pixels = within_classes(diversity.in_pixels(images))
    if judge is None:
        return Truncated(psi, images[:_SHOWN], in_pixels, None, None)
    channels_first = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    with evaluation.eval_mode(*judge.networks.values()):
        features = evaluation.predict(judge.features, channels_first, judge.device, stop).cpu()
        logits = evaluation.predict(judge.classify, channels_first, judge.device, stop)
    accuracy = evaluation.accuracy(logits, labels) if labels.min() >= 0 else None
    return Truncated(psi, images[:_SHOWN], in_pixels, within_classes(features), accuracy)
