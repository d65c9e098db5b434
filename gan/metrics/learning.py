"""What can be learned from generated images: a classifier trained on them, tried on real ones."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from gan import batches, evaluation, optim, rng
from gan.data.images import chosen
from gan.data.sources import ImageSource
from gan.encoders import EncoderClassifier, SmallEncoder


@dataclass(frozen=True)
class Lesson:
    """How the classifier is trained: the same for all images, so that only they differ."""

    steps: int = 600
    batch_size: int = 128
    learning_rate: float = 2e-3  # at the start; it falls to 0 along a cosine
    width: int = 16  # of the small encoder's first convolution


@dataclass(frozen=True)
class Labelled:
    """Images with their classes, the true ones or those that were asked for."""

    images: ImageSource  # (N, C, S, S) uint8
    labels: NDArray[np.int64]  # (N,)

    def __len__(self) -> int:
        return len(self.labels)

    def some(self, count: int) -> "Labelled":
        """So many of them, the same every time; all, if there are fewer."""
        rows = chosen(len(self), count)
        return Labelled(self.images[rows], self.labels[rows])


@dataclass(frozen=True)
class Learned:
    """Accuracy on real test images."""

    accuracy: float  # share named rightly
    by_class: dict[str, float]  # the same of each class that the test images have
    train_count: int
    test_count: int


@dataclass(frozen=True)
class ClassificationScore:
    """What a classifier learns from generated images, and from as many real ones."""

    generated: Learned
    real: Learned  # the ceiling: with fewer real images than generated ones, of all of them
    guessing: float  # accuracy of always naming the most frequent class of the test images


def classification_score(
    generated: Labelled,
    training: Labelled,
    tests: Labelled,
    classes: Sequence[str],
    learn: Callable[[Labelled, Labelled, Sequence[str]], Learned],
) -> ClassificationScore:
    """Train on generated images, test on real ones; and train on real ones beside it.

    Ravuri and Vinyals, "Classification accuracy score for conditional generative models" (2019).
    `learn` is a `School`.
    """
    counts = np.bincount(tests.labels)
    return ClassificationScore(
        generated=learn(generated, tests, classes),
        real=learn(training.some(len(generated)), tests, classes),
        guessing=float(counts.max() / counts.sum()),
    )


@dataclass(frozen=True)
class School:
    """Trains a small classifier and tries it: a function of the images, the seed and the device."""

    device: torch.device | str = "cpu"
    lesson: Lesson = Lesson()
    seed: int = 0
    stop: Callable[[], object] = lambda: None

    def __call__(self, training: Labelled, tests: Labelled, classes: Sequence[str]) -> Learned:
        """Raises ValueError for labels that name no class, Interrupted when told to stop."""
        network = self.taught(training, len(classes))
        with evaluation.eval_mode(network):
            logits = evaluation.predict(network, tests.images, torch.device(self.device), self.stop)
        hits = logits.argmax(1).cpu().numpy() == tests.labels
        by_class = {
            name: float(hits[tests.labels == k].mean())
            for k, name in enumerate(classes)
            if (tests.labels == k).any()
        }
        return Learned(float(hits.mean()), by_class, len(training), len(tests))

    def taught(self, training: Labelled, classes: int) -> EncoderClassifier:
        """The classifier, trained."""
        low, high = int(training.labels.min()), int(training.labels.max())
        if low < 0 or high >= classes:
            raise ValueError(f"labels go from {low} to {high}; allowed: 0 to {classes - 1}")
        network = self._new(training.images.shape[1], classes)
        optimizer = optim.Adam(network.parameters(), self.lesson.learning_rate, betas=(0.9, 0.999))
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.lesson.steps)
        labels = torch.from_numpy(training.labels)
        for rows, _ in zip(self._order(len(training)), range(self.lesson.steps), strict=False):
            if self.stop():
                raise evaluation.Interrupted
            images = torch.from_numpy(training.images[rows]).to(self.device)
            logits = network(batches.to_unit(images))
            loss = F.cross_entropy(logits, labels[rows].to(self.device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            falling.step()
        return network

    def _new(self, channels: int, classes: int) -> EncoderClassifier:
        with torch.random.fork_rng(devices=[]):
            rng.seed_torch(self.seed, rng.Stream.LEARN)
            encoder = SmallEncoder(channels, self.lesson.width)
            return EncoderClassifier(encoder, classes).to(self.device)

    def _order(self, count: int) -> Iterator[NDArray[np.intp]]:
        """Rows of one batch after the other; a short last one of a pass is left out."""
        size = min(self.lesson.batch_size, count)
        number = 0
        while True:
            number += 1
            order = rng.generator(self.seed, rng.Stream.LEARN, number).permutation(count)
            for start in range(0, count - size + 1, size):
                yield order[start : start + size]
