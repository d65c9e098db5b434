from collections.abc import Callable

import numpy as np
import pytest
import torch

from gan import data
from gan.config import DataConfig
from gan.data import ImageSet
from gan.evaluation import Interrupted
from gan.metrics import Labelled, Lesson, School, classification_score

QUICK = Lesson(steps=60, batch_size=64, learning_rate=5e-3, width=4)


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return data.load(DataConfig(image_size=8))


def parts(digits: ImageSet) -> tuple[Labelled, Labelled]:
    return (
        Labelled(digits.train_images, digits.train_labels),
        Labelled(digits.test_images, digits.test_labels),
    )


def test_right_labels_teach_and_wrong_ones_do_not(digits: ImageSet) -> None:
    training, tests = parts(digits)
    shifted = Labelled(training.images, (training.labels + 1) % 10)
    score = classification_score(
        shifted, training, tests, digits.info.classes, School(lesson=QUICK)
    )
    assert score.real.accuracy > 0.75
    assert score.generated.accuracy < score.guessing + 0.1
    assert score.guessing == np.bincount(tests.labels).max() / len(tests)
    shares = [score.real.by_class[name] for name in digits.info.classes]
    sizes = np.bincount(tests.labels)
    assert np.dot(shares, sizes) / sizes.sum() == pytest.approx(score.real.accuracy)


def test_a_missing_class_is_never_learned(digits: ImageSet) -> None:
    training, tests = parts(digits)
    kept = training.labels != 3
    some = Labelled(training.images[kept], training.labels[kept])
    learned = School(lesson=QUICK)(some, tests, digits.info.classes)
    assert learned.by_class["3"] == 0
    assert learned.by_class["0"] > 0.7
    assert (learned.train_count, learned.test_count) == (kept.sum(), len(tests))


def test_the_ceiling_learns_from_as_many_images(digits: ImageSet) -> None:
    training, tests = parts(digits)
    few = training.some(40)
    seen: list[int] = []

    def learn(some: Labelled, others: Labelled, classes: tuple[str, ...]):  # type: ignore[no-untyped-def]
        seen.append(len(some))
        return School(lesson=Lesson(steps=1, width=1))(some, others, classes)

    classification_score(few, training, tests, digits.info.classes, learn)
    assert seen == [40, 40]
    assert len(training.some(10**6)) == len(training)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (2, 1, 1)])
def test_learning_is_repeatable_on_all_shapes(shape: tuple[int, int, int]) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20, *shape), dtype=np.uint8)
    some = Labelled(images, np.arange(20) % 2)
    lesson = Lesson(steps=3, batch_size=8, width=2)
    torch.manual_seed(4)
    expected = torch.randn(2)
    networks = []
    for seed in (0, 0, 1):
        torch.manual_seed(4)
        networks.append(School(lesson=lesson, seed=seed).taught(some, 2).state_dict())
        assert torch.equal(torch.randn(2), expected)  # the caller's randomness is as it was
    first, again, other = networks
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.1.weight"], other["head.1.weight"])


def test_what_cannot_be_learned_is_refused(digits: ImageSet) -> None:
    training, _ = parts(digits)
    unlabelled = Labelled(training.images, np.full(len(training), -1))
    with pytest.raises(ValueError, match="labels go from -1 to -1; allowed: 0 to 9"):
        School().taught(unlabelled, 10)
    stops: list[Callable[[], object]] = [lambda: True, iter([None, None, "terminated"]).__next__]
    for stop in stops:
        with pytest.raises(Interrupted):
            School(lesson=QUICK, stop=stop).taught(training, 10)
