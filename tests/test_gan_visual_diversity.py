"""Collapse watch: distances by hand, and which made-up trainings it calls collapsed."""

import math

import numpy as np
import pytest
import torch

from gan import data, rng, variants
from gan.config import ClassifierConfig
from gan.data import DataInfo, ImageSet
from gan.evaluation import Interrupted
from gan.samples import Samples
from gan.visual import diversity
from gan.visual.collapse import ANY, Collapse, Diversity

CLASSES, EACH, SIDE = 3, 10, 8
SPREAD = 40.0  # standard deviation of a pixel


def draw(label: int, count: int, spread: float, seed: int) -> np.ndarray:
    """Images (count, SIDE, SIDE, 1) of a class, so far apart from each other."""
    generator = rng.generator(seed, rng.Stream.VISUAL, label)
    middle = 60 + 60 * label
    pixels = middle + spread * generator.standard_normal((count, SIDE, SIDE, 1))
    return pixels.round().clip(0, 255).astype(np.uint8)


def training(spreads: list[list[float]], labels: list[int] | None = None) -> Samples:
    """Snapshots in which class k has at time t the spread `spreads[t][k]`, of the same noise."""
    images = [
        np.concatenate([draw(k, EACH, spread, seed=1) for k, spread in enumerate(row)])
        for row in spreads
    ]
    known = np.repeat(np.arange(CLASSES), EACH) if labels is None else np.array(labels)
    steps = 100 * np.arange(1, len(spreads) + 1)
    return Samples(np.stack(images), known, steps, {})


@pytest.fixture
def real() -> ImageSet:
    images = np.concatenate([draw(k, 30, SPREAD, seed=0) for k in range(CLASSES)])
    channels_first = images.transpose(0, 3, 1, 2).copy()
    labels = np.repeat(np.arange(CLASSES), 30)
    info = DataInfo("made", 90, 90, 1, ("a", "b", "c"), "")
    return ImageSet(info, channels_first, labels, channels_first, labels)


def collapsed(found: Diversity | None) -> list[int]:
    assert found is not None
    return [collapse.label for collapse in found.collapsed()]


def test_mean_distance_by_hand() -> None:
    vectors = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 8.0]])
    assert diversity.mean_distance(vectors) == pytest.approx((5 + 8 + 5) / 3)
    many = rng.Draws(0, 0).normal(rng.Stream.VISUAL, 40, 100) + 1000
    rows = many.double().numpy()
    pairs = [np.linalg.norm(rows[i] - rows[j]) for i in range(40) for j in range(i)]
    assert diversity.mean_distance(many) == pytest.approx(np.mean(pairs), rel=1e-9)


def test_a_pixel_is_the_unit() -> None:
    images = np.full((2, 5, 5, 3), 100, np.uint8)
    images[1] += 7
    assert diversity.mean_distance(diversity.in_pixels(images)) == pytest.approx(7)
    images[1, ..., 0] += 9  # of a third of the values: 16
    expected = math.sqrt((16**2 + 2 * 7**2) / 3)
    assert diversity.mean_distance(diversity.in_pixels(images)) == pytest.approx(expected)


def test_healthy_training_is_as_diverse_as_real_images(real: ImageSet) -> None:
    found = diversity.watch(training([[5] * 3, [20] * 3, [38] * 3, [40] * 3]), real)
    assert found is not None
    assert found.labels == (0, 1, 2)
    assert found.steps.tolist() == [100, 200, 300, 400]
    assert found.values.shape == (4, 3)
    assert found.unit == "pixels of 255"
    assert found.real == pytest.approx(SPREAD * math.sqrt(2), rel=0.1)
    assert found.share[-1] == pytest.approx(1, abs=0.1)
    assert found.share[0] == pytest.approx(5 / 40, abs=0.02)
    assert found.collapsed() == []


def test_a_class_that_collapses_is_named_with_its_steps(real: ImageSet) -> None:
    late = [[30, 30, 30], [40, 40, 40], [40, 38, 40], [40, 12, 40], [40, 8, 40], [40, 2, 40]]
    found = diversity.watch(training(late), real)
    assert found is not None
    (collapse,) = found.collapsed()
    best = min(found.values[1, 1], found.real[1])
    assert collapse == Collapse(1, 400, 600, found.values[-1, 1], best, 200, found.real[1])
    assert collapse.value < 4 < 40 < collapse.best


def test_all_classes_may_collapse_and_one_may_come_back(real: ImageSet) -> None:
    assert collapsed(diversity.watch(training([[40] * 3, [40] * 3, [0] * 3]), real)) == [0, 1, 2]
    back = [[40] * 3, [40, 0, 40], [40, 0, 40], [40, 38, 40]]
    assert collapsed(diversity.watch(training(back), real)) == []


def test_half_of_its_best_is_a_collapse_even_if_that_was_little(real: ImageSet) -> None:
    """And half of a diversity above the real one's is none: images of noise are very diverse."""
    weak = [[26] * 3, [28] * 3, [26] * 3, [24, 13, 24]]
    assert collapsed(diversity.watch(training(weak), real)) == [1]
    from_noise = [[100] * 3, [80] * 3, [40] * 3, [30] * 3]
    assert collapsed(diversity.watch(training(from_noise), real)) == []


def test_what_still_rises_has_not_collapsed(real: ImageSet) -> None:
    rising = [[2] * 3, [5] * 3, [9] * 3, [13] * 3, [16] * 3]
    assert collapsed(diversity.watch(training(rising), real)) == []
    assert collapsed(diversity.watch(training(rising[:1]), real)) == []
    assert collapsed(diversity.watch(training([[12] * 3] * 6), real)) == [0, 1, 2]
    assert collapsed(diversity.watch(training([[0] * 3] * 6), real)) == [0, 1, 2]


def test_without_classes_all_images_are_one_group(real: ImageSet) -> None:
    labels = [ANY] * (CLASSES * EACH)
    found = diversity.watch(training([[40] * 3, [40] * 3], labels), real)
    assert found is not None
    assert found.labels == (ANY,)
    assert found.values.shape == (2, 1)
    assert found.share[-1] == pytest.approx(1, abs=0.15)
    alike = training([[40] * 3, [40] * 3, [0] * 3], labels)
    alike.images[2] = alike.images[2, 0]
    assert collapsed(diversity.watch(alike, real)) == [ANY]


def test_what_cannot_be_compared_is_left_out(real: ImageSet) -> None:
    labels = [0] + [1] * (CLASSES * EACH - 1)
    found = diversity.watch(training([[40] * 3], labels), real)
    assert found is not None
    assert found.labels == (1,)  # of class 0 there is one image, of class 2 none
    real.test_images[30:60] = 9  # real images of class 1 are all the same
    assert diversity.watch(training([[40] * 3], labels), real) is None


def test_features_of_a_judge(real: ImageSet, tiny_classifier: ClassifierConfig) -> None:
    info = data.inspect(tiny_classifier.data)
    judge = variants.build(tiny_classifier, info, torch.device("cpu"))
    snapshots = training([[40, 40, 40], [40, 0, 40]])
    found = diversity.watch(snapshots, real, judge)
    assert found is not None
    assert found.unit == "features"
    images = torch.from_numpy(snapshots.images[0, EACH : 2 * EACH]).permute(0, 3, 1, 2)
    with torch.no_grad():
        features = judge.critic.features(images / 127.5 - 1)
    assert found.values[0, 1] == pytest.approx(diversity.mean_distance(features), rel=1e-4)
    assert found.values[1, 1] == pytest.approx(0, abs=1e-5)
    assert collapsed(found) == [1]


def test_movement_by_hand_and_a_stop(real: ImageSet) -> None:
    snapshots = training([[40] * 3, [40] * 3, [40] * 3])
    snapshots.images[:] = 5
    snapshots.images[1, :, :4] = 255  # half of each image
    assert diversity.movement(snapshots).tolist() == [125, 125]
    answers = iter([False, True])
    with pytest.raises(Interrupted):
        diversity.watch(snapshots, real, stop=lambda: next(answers))
