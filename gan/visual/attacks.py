"""Altering real images by steps of all kinds and sizes, and telling how much of it a network saw.

`perturbation` has S0's single step towards the next class; here are also steps away from the true
class, and iterated ones (projected gradient descent), each over a range of sizes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gan import rng
from gan.evaluation import Interrupted
from gan.rng import Stream
from gan.visual.perturbation import DEFAULT_EPSILON, PIXEL

EPSILONS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # pixels of 255
_BATCH = 256

Classify = Callable[[Tensor], Tensor]  # images (B, C, S, S) in [-1, 1] to logits (B, K)
Stop = Callable[[], object]


@dataclass(frozen=True)
class Attack:
    """How an image is altered: by signed steps that stay within epsilon of it in every pixel.

    One step of one epsilon is the fast gradient sign (Goodfellow et al., "Explaining and harnessing
    adversarial examples", 2015, section 4); more of them, each projected back onto the cube of that
    size around the image, are Madry et al., "Towards deep learning models resistant to adversarial
    attacks" (2018), section 2.1. Towards a target it is the class after the true one (S0).
    """

    targeted: bool = True  # towards the next class; or else just away from the true one
    iterations: int = 1
    step: float = 1.0  # of one iteration, in epsilons
    random_start: bool = False  # anywhere in the cube; or else at the image
    seed: int = 0  # of the start, and of the control

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise ValueError(f"iterations is {self.iterations}; allowed: 1 or more")
        if not self.step > 0:
            raise ValueError(f"step is {self.step}; allowed: more than 0")


def iterated(targeted: bool = True, iterations: int = 10, seed: int = 0) -> Attack:
    """Madry et al.: from a random start, in steps that together are two and a half epsilons, more
    than it takes from any place in the cube to any other."""
    return Attack(targeted, iterations, 2.5 / iterations, random_start=True, seed=seed)


@dataclass(frozen=True)
class AtEpsilon:
    """What became of the images after alterations of one size; all are shares of them."""

    epsilon: float  # pixels of 255
    accuracy: float  # classified as the true label
    hit_rate: float  # classified as the target: the next class, aimed at or not
    control_accuracy: float  # after a step of epsilon in random directions
    control_hit_rate: float


@dataclass(frozen=True)
class Measured:
    """An attack over a range of sizes."""

    attack: Attack
    images: int
    accuracy: float  # before
    hit_rate: float  # before: how often the network takes an image for the next class by itself
    by_epsilon: tuple[AtEpsilon, ...]


def measure(
    classify: Classify,
    images: Tensor,
    labels: Tensor,
    attack: Attack,
    epsilons: Sequence[float],
    stop: Stop = lambda: None,
) -> Measured:
    """Attack all of images (N, C, S, S) in [-1, 1] with labels (N,), at every epsilon.

    Batch by batch, so that any number fits the memory; of a network in evaluation mode. Random
    numbers are a function of the attack's seed and the image's place. Raises Interrupted when
    `stop` says so, which is asked before each batch at each epsilon.
    """
    control, begin = (rng.generator(attack.seed, s) for s in (Stream.VISUAL, Stream.ATTACK))
    found = []  # (B, 2 + 4 epsilons) each
    for first in range(0, len(images), _BATCH):
        part, truth = images[first : first + _BATCH], labels[first : first + _BATCH]
        signs = (_uniform(control, part) - 0.5).sign()
        start = _uniform(begin, part) if attack.random_start else None
        with torch.no_grad():
            clean = classify(part)
        target = (truth + 1) % clean.shape[1]
        hits = _hits(clean, truth, target)
        altered_by = _alterations(classify, part, truth, attack, start)
        for epsilon in epsilons:
            if stop():
                raise Interrupted
            altered = altered_by(epsilon)
            random = (part - epsilon * PIXEL * signs).clamp(-1, 1)
            with torch.no_grad():
                hits += _hits(classify(altered), truth, target)
                hits += _hits(classify(random), truth, target)
        found.append(torch.stack(hits, 1))
    shares = torch.cat(found).double().mean(0).reshape(-1, 2).tolist()
    (accuracy, hit_rate), after, by_chance = shares[0], shares[1::2], shares[2::2]
    by_epsilon = tuple(
        AtEpsilon(epsilon, seen, hit, seen_by_chance, hit_by_chance)
        for epsilon, (seen, hit), (seen_by_chance, hit_by_chance) in zip(
            epsilons, after, by_chance, strict=True
        )
    )
    return Measured(attack, len(images), accuracy, hit_rate, by_epsilon)


def _uniform(generator: np.random.Generator, like: Tensor) -> Tensor:
    """The next numbers in [0, 1), as many as there are pixels: batches of any size go on alike."""
    return torch.from_numpy(generator.random(like.shape, dtype=np.float32)).to(like.device)


def _hits(logits: Tensor, truth: Tensor, target: Tensor) -> list[Tensor]:
    seen = logits.argmax(1)
    return [seen == truth, seen == target]


def alter(
    classify: Classify,
    images: Tensor,
    labels: Tensor,
    attack: Attack,
    epsilon: float,
    start: Tensor | None = None,
) -> Tensor:
    """Images (B, C, S, S) in [-1, 1], no pixel further than `epsilon` of 255 from where it was.

    `start`: numbers in [0, 1) of the images' shape, which say where in the cube to begin; at the
    image if left out.
    """
    radius = epsilon * PIXEL
    low, high = _cube(images, radius)
    altered = images if start is None else images + radius * (2 * start - 1)
    altered = altered.clamp(low, high)
    for _ in range(attack.iterations):
        uphill = slope(classify, altered, labels, attack.targeted)
        altered = (altered - attack.step * radius * uphill.sign()).clamp(low, high)
    return altered


def _cube(images: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """The lowest and the highest that every pixel may come to."""
    return (images - radius).clamp_min(-1), (images + radius).clamp_max(1)


def _alterations(
    classify: Classify, images: Tensor, labels: Tensor, attack: Attack, start: Tensor | None
) -> Callable[[float], Tensor]:
    """`alter` as a function of the epsilon: a single step's direction is the same for all."""
    if attack.iterations > 1 or start is not None:
        return lambda epsilon: alter(classify, images, labels, attack, epsilon, start)
    signs = slope(classify, images, labels, attack.targeted).sign()

    def step(epsilon: float) -> Tensor:
        radius = epsilon * PIXEL
        return (images - attack.step * radius * signs).clamp(*_cube(images, radius))

    return step


def slope(classify: Classify, images: Tensor, labels: Tensor, targeted: bool) -> Tensor:
    """The gradient (B, C, S, S) of what an attack brings down: the cross-entropy of the next class,
    or the negative one of the true class."""
    images = images.detach().requires_grad_()
    logits = classify(images)
    if targeted:
        loss = F.cross_entropy(logits, (labels + 1) % logits.shape[1], reduction="sum")
    else:
        # In float32 a network that is sure of the true class has a loss of 0, and no slope.
        loss = -F.cross_entropy(logits.double(), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, images)
    return gradient


def saliency(
    classify: Classify, images: Tensor, labels: Tensor, stop: Stop = lambda: None
) -> Tensor:
    """Which pixels the logit of the true class depends on, (B, S, S), 0 or more.

    The largest absolute gradient over the channels: Simonyan et al., "Deep inside convolutional
    networks" (2013), section 3.1. Raises Interrupted when `stop` says so.
    """
    parts = []
    for part, truth in zip(images.split(_BATCH), labels.split(_BATCH), strict=True):
        if stop():
            raise Interrupted
        part = part.detach().requires_grad_()
        own = classify(part).gather(1, truth[:, None])
        (gradient,) = torch.autograd.grad(own.sum(), part)
        parts.append(gradient.abs().amax(1))
    return torch.cat(parts)


@dataclass(frozen=True)
class Shown:
    """Some images, what an attack made of them, and what the network saw in both."""

    images: Tensor  # (B, C, S, S) in [-1, 1]
    gradients: Tensor  # (B, C, S, S), of what the attack brings down
    saliency: Tensor  # (B, S, S), of the true class
    altered: Tensor  # (B, C, S, S) in [-1, 1]
    labels: Tensor  # (B,)
    before: Tensor  # (B,) the class that is seen
    confidence_before: Tensor  # (B,) its probability
    after: Tensor  # (B,)
    confidence_after: Tensor  # (B,)


def show(
    classify: Classify,
    images: Tensor,
    labels: Tensor,
    attack: Attack,
    epsilon: float = DEFAULT_EPSILON,
) -> Shown:
    """Attack a few images, up to some hundred, and keep all that can be shown of it."""
    begin = rng.generator(attack.seed, Stream.ATTACK)
    start = _uniform(begin, images) if attack.random_start else None
    altered = alter(classify, images, labels, attack, epsilon, start)
    seen = []
    for looked_at in (images, altered):
        with torch.no_grad():
            confidence, classes = classify(looked_at).softmax(1).max(1)
        seen += [classes, confidence]
    gradients = slope(classify, images, labels, attack.targeted)
    return Shown(images, gradients, saliency(classify, images, labels), altered, labels, *seen)
