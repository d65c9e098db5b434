"""The figures' own checks, on a judge that has learned the digits."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from gan import batches, data, evaluation
from gan.config import DataConfig
from gan.data import ImageSet
from gan.evaluation import Interrupted
from gan.metrics import (
    Comparison,
    Judged,
    Labelled,
    Lesson,
    School,
    beside_floor,
    by_class,
    compare,
    judged,
)


@dataclass
class Digits:
    """Training images in two halves, one the reference, one to be spoiled; and held-out ones."""

    images: ImageSet
    network: torch.nn.Module

    def seen(self, images: np.ndarray, labels: np.ndarray) -> Judged:
        def look(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            with evaluation.eval_mode(self.network):
                features = self.network.encoder(batches.to_unit(batch))
                return features, self.network.head(features)

        return judged(look, images, labels, "cpu")

    @property
    def reference(self) -> Judged:
        return self.seen(self.images.train_images[::2], self.images.train_labels[::2])

    @property
    def other(self) -> tuple[np.ndarray, np.ndarray]:
        return self.images.train_images[1::2], self.images.train_labels[1::2]

    @property
    def held_out(self) -> Judged:
        return self.seen(self.images.test_images, self.images.test_labels)


@pytest.fixture(scope="module")
def digits() -> Digits:
    images = data.load(DataConfig(image_size=16))
    lesson = Lesson(steps=120, batch_size=64, learning_rate=5e-3, width=3)
    half = Labelled(images.train_images[::2], images.train_labels[::2])
    return Digits(images, School(lesson=lesson).taught(half, 10))


@pytest.fixture(scope="module")
def clean(digits: Digits) -> Comparison:
    """Real images that the judge has not seen, as many as are spoiled below."""
    return compare(digits.reference, digits.seen(*digits.other))


def spoiled(digits: Digits, how: str) -> Judged:
    images, labels = digits.other
    if how == "noise":
        noise = np.random.default_rng(0).normal(size=images.shape) * 60
        images = np.clip(images + noise, 0, 255).astype(np.uint8)
    if how == "blur":
        images = gaussian_filter(images, sigma=(0, 0, 1.2, 1.2))
    if how == "missing class":
        images, labels = images[labels != 4], labels[labels != 4]
    return digits.seen(images, labels)


@pytest.mark.parametrize("how", ["noise", "blur", "missing class"])
def test_what_is_worse_is_farther(digits: Digits, clean: Comparison, how: str) -> None:
    worse = compare(digits.reference, spoiled(digits, how))
    assert worse.distances.frechet > 2 * clean.distances.frechet
    gap = worse.distances.kernel - clean.distances.kernel
    assert gap > 2 * max(worse.distances.kernel_spread, clean.distances.kernel_spread)
    assert worse.score.mean < clean.score.mean
    if how == "missing class":
        assert worse.support.recall < clean.support.recall - 0.05
        assert worse.support.coverage < clean.support.coverage - 0.05
        assert worse.support.precision > clean.support.precision - 0.05
    else:
        assert worse.support.precision < clean.support.precision - 0.1
        assert worse.support.density < clean.support.density - 0.1


def test_identical_sets_are_at_zero(digits: Digits) -> None:
    reference = digits.reference
    same = compare(reference, reference)
    assert same.distances.frechet == pytest.approx(0, abs=1e-3)
    assert abs(same.distances.kernel) < 2 * same.distances.kernel_spread
    assert same.support.precision == same.support.recall == same.support.coverage == 1


def test_the_floor_stands_beside_at_the_same_size(digits: Digits) -> None:
    reference, held_out = digits.reference, digits.held_out
    pair = beside_floor(reference, held_out, spoiled(digits, "noise"))
    for part in (pair.generated, pair.floor):
        assert part.distances.second_count == part.score.count == len(held_out)
        assert part.distances.first_count == len(reference)
        assert part.support.real_count == part.support.other_count == len(held_out)
    assert pair.floor == compare(reference, held_out)
    assert pair.generated.distances.frechet > pair.floor.distances.frechet
    few = beside_floor(reference, held_out, held_out.like(torch.arange(50) % 10))
    assert few.floor.distances.second_count == few.generated.distances.second_count == 50


def test_the_floor_has_the_classes_of_the_images(digits: Digits) -> None:
    """Else balanced images would be nearer than the floor, by their balance alone."""
    balanced = digits.seen(*digits.other).like(torch.arange(100) % 10)
    pair = beside_floor(digits.reference, digits.held_out, balanced)
    assert 0.5 < pair.generated.distances.frechet / pair.floor.distances.frechet < 2
    drawn = compare(digits.reference, digits.held_out.like(torch.full((100,), -1)))
    assert drawn.distances.frechet > 1.5 * pair.floor.distances.frechet


def test_a_spoiled_class_is_found(digits: Digits) -> None:
    images, labels = digits.other
    noise = np.random.default_rng(0).integers(0, 256, images.shape, dtype=np.uint8)
    images = np.where((labels == 7)[:, None, None, None], noise, images)
    kept = labels != 2  # a class that was not generated has no figures
    names = digits.images.info.classes
    found = by_class(
        digits.reference, digits.held_out, digits.seen(images[kept], labels[kept]), names
    )
    assert found.keys() == set(names) - {"2"}
    excess = {
        name: pair.generated.distances.kernel - pair.floor.distances.kernel
        for name, pair in found.items()
    }
    assert max(excess, key=excess.__getitem__) == "7"
    assert found["7"].generated.support.precision < 0.2
    assert found["7"].floor.support.precision > 0.5
    for name, pair in found.items():
        counts = {part.distances.second_count for part in (pair.generated, pair.floor)}
        assert len(counts) == 1, name
        assert pair.generated.score is pair.floor.score is None


def test_too_few_and_breaking_off(digits: Digits) -> None:
    held_out = digits.held_out
    with pytest.raises(ValueError, match="allowed: 4 or more"):
        beside_floor(held_out, held_out, held_out.rows(slice(3)))
    with pytest.raises(Interrupted):
        compare(held_out, held_out, stop=lambda: "terminated")
