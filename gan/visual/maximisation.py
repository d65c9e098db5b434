"""Synthetic images that maximise a class or a feature (S0; gradient ascent on the image)."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gan.evaluation import Interrupted
from gan.visual import layers
from gan.visual.refined import Refined

_CHUNK = 128  # images that rise together

Score = Callable[[Tensor], Tensor]  # of images (N, C, S, S): (N,), one each
Stop = Callable[[], object]  # whether the work should be broken off


@dataclass(frozen=True)
class Ascent:
    """S0's rule: x <- clamp(x + step grad - decay x |x|)."""

    iterations: int = 200
    step: float = 0.1
    decay: float = 0.001


Rule = Ascent | Refined


def facts(rule: Rule) -> dict[str, Any]:
    """The rule's name and settings, as records and captions want them."""
    return {"rule": "plain" if isinstance(rule, Ascent) else "refined"} | asdict(rule)


@dataclass(frozen=True)
class Maximised:
    """Images, what they were to raise, and how rough they became."""

    images: Tensor  # (N, C, S, S) in [-1, 1]
    before: Tensor  # (N,) the score of the mean image, from which all began
    after: Tensor  # (N,)
    variation: Tensor  # (N,) `total_variation` of the images


def total_variation(images: Tensor) -> Tensor:
    """How rough images (N, C, S, S) are, (N,): the mean absolute difference of neighbouring pixels,
    along the columns and along the rows, added up.

    Rudin, Osher and Fatemi, "Nonlinear total variation based noise removal algorithms" (1992), in
    its anisotropic form. 0 for an even image; 4 for a chessboard of -1 and 1.
    """
    return sum(
        (images.diff(dim=side).abs().mean((1, 2, 3)) for side in (2, 3)),
        start=images.new_zeros(len(images)),
    )


def rise(score: Score, start: Tensor, rule: Rule) -> Iterator[Tensor]:
    """Images (N, C, S, S) in [-1, 1] on their way: those the rule begins with, then those after
    each iteration."""
    return rule.steps(score, start) if isinstance(rule, Refined) else _plainly(score, start, rule)


def _plainly(score: Score, start: Tensor, rule: Ascent) -> Iterator[Tensor]:
    images = start.clone()
    yield images
    for _ in range(rule.iterations):
        rising = images.detach().requires_grad_()
        (slope,) = torch.autograd.grad(score(rising).sum(), rising)
        images = (images + rule.step * slope - rule.decay * images * images.abs()).clamp(-1, 1)
        yield images


def maximise(score: Score, start: Tensor, rule: Rule, stop: Stop = lambda: None) -> Tensor:
    """Images (N, C, S, S) in [-1, 1] that raise `score`, which maps them to (N,), one each.

    Raises Interrupted when `stop` says so, which is asked before every iteration.
    """
    risen = start
    for images in rise(score, start, rule):
        if stop():
            raise Interrupted
        risen = images
    return risen


@dataclass(frozen=True)
class Course:
    """Score and roughness of images on their way up, at the start and after each iteration."""

    scores: Tensor  # (1 + iterations, N)
    variation: Tensor  # (1 + iterations, N) `total_variation`
    images: Tensor  # (N, C, S, S) in [-1, 1], those at the end

    def first(self, level: Tensor) -> Tensor:
        """The first iteration (N,) after which each score is at `level` (N,) or above it; -1 where
        it never is."""
        there = self.scores >= level
        return torch.where(there.any(0), there.int().argmax(0), -1)

    def variation_at(self, level: Tensor) -> Tensor:
        """The roughness (N,) at that iteration; not a number where there is none."""
        first = self.first(level)
        found = self.variation.gather(0, first.clamp_min(0)[None])[0]
        return torch.where(first < 0, torch.nan, found)


def course(score: Score, start: Tensor, rule: Rule, stop: Stop = lambda: None) -> Course:
    """How the score and the roughness of images go up together; as `maximise`."""
    scores, variation, images = [], [], start
    for images in rise(score, start, rule):
        if stop():
            raise Interrupted
        with torch.no_grad():
            scores.append(score(images))
        variation.append(total_variation(images))
    return Course(torch.stack(scores).detach(), torch.stack(variation).detach(), images.detach())


def course_of_logits(
    classify: Callable[[Tensor], Tensor],
    mean_image: Tensor,
    rule: Rule,
    stop: Stop = lambda: None,
    chunk: int = _CHUNK,
) -> Course:
    """`maximise_logits`, the same images, with all that was passed on the way."""
    with torch.no_grad():
        count = classify(mean_image[None]).shape[1]
    parts = []
    for numbers in torch.arange(count, device=mean_image.device).split(chunk):

        def own(images: Tensor, numbers: Tensor = numbers) -> Tensor:
            return classify(images).gather(1, numbers[:, None]).squeeze(1)

        start = mean_image.expand(len(numbers), *mean_image.shape)
        parts.append(course(own, start, rule, stop))
    return Course(
        torch.cat([part.scores for part in parts], 1),
        torch.cat([part.variation for part in parts], 1),
        torch.cat([part.images for part in parts]),
    )


def level_of_both(first: Course, second: Course) -> Tensor:
    """The highest scores (N,) that both reach: where they can be compared."""
    return torch.minimum(first.scores.amax(0), second.scores.amax(0))


def maximise_logits(
    classify: Callable[[Tensor], Tensor],
    mean_image: Tensor,
    rule: Rule,
    stop: Stop = lambda: None,
    chunk: int = _CHUNK,
) -> Maximised:
    """One image per class, each raising its logit, from the mean image (C, S, S) of a batch.

    `classify` maps images (N, C, S, S) to logits (N, K), of a network in evaluation mode. Raises
    Interrupted when `stop` says so.
    """
    with torch.no_grad():
        count = classify(mean_image[None]).shape[1]

    def score(images: Tensor, classes: Tensor) -> Tensor:
        return classify(images).gather(1, classes[:, None]).squeeze(1)

    return _in_chunks(score, count, mean_image, rule, stop, chunk)


@dataclass(frozen=True)
class Channels:
    """The channels of a convolution, and what of their maps is to rise."""

    layer: str  # the module's name, one of `layers.convolutions`
    before: bool = False  # the activation that follows; see `layers.maps`
    over: Literal["peak", "mean"] = "peak"  # of the map: its largest value (S0), or the mean


def maximise_channels(
    network: nn.Module,
    channels: Channels,
    mean_image: Tensor,
    rule: Rule,
    stop: Stop = lambda: None,
    chunk: int = _CHUNK,
) -> Maximised:
    """One image per channel of a convolution of any network, as `maximise_logits`, `chunk` at once.

    Raises ValueError for a layer that does not exist; the message lists those that do.
    """
    layer = layers.find(network, mean_image, channels.layer)

    def score(images: Tensor, numbers: Tensor) -> Tensor:
        maps = layers.maps(network, layer, images, channels.before)
        own = maps[torch.arange(len(images), device=images.device), numbers]  # (B, side, side)
        return own.amax((1, 2)) if channels.over == "peak" else own.mean((1, 2))

    with layers.at_rest(network):
        return _in_chunks(score, layer.channels, mean_image, rule, stop, chunk)


def _in_chunks(
    score: Callable[[Tensor, Tensor], Tensor],
    count: int,
    mean_image: Tensor,
    rule: Rule,
    stop: Stop,
    chunk: int,
) -> Maximised:
    """`score` maps images and the numbers of what each is to raise, both of one chunk, to (B,)."""
    parts = []
    for numbers in torch.arange(count, device=mean_image.device).split(chunk):
        start = mean_image.expand(len(numbers), *mean_image.shape)

        def own(images: Tensor, numbers: Tensor = numbers) -> Tensor:
            return score(images, numbers)

        images = maximise(own, start, rule, stop)
        with torch.no_grad():
            parts.append((images, own(start), own(images), total_variation(images)))
    return Maximised(*map(torch.cat, zip(*parts, strict=True)))
