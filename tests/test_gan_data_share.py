import itertools
from dataclasses import replace

import numpy as np
import pytest

from gan import data
from gan.config import ConfigError, DataConfig
from gan.data import share

DIGITS = DataConfig(name="digits", image_size=8)


def rows_of(part: np.ndarray, whole: np.ndarray) -> list[int]:
    """Where the images of a part stand in the whole set."""
    places = {image.tobytes(): place for place, image in enumerate(whole)}
    return [places[image.tobytes()] for image in part]


def test_a_share_is_a_part_of_every_larger_one() -> None:
    whole = data.load(DIGITS)
    parts = []
    for size in (0.001, 0.1, 0.2, 0.5):
        part = data.load(replace(DIGITS, train_share=size))
        parts.append(rows_of(part.train_images, whole.train_images))
        assert np.array_equal(part.train_labels, whole.train_labels[parts[-1]])
        assert parts[-1] == sorted(parts[-1])
    assert all(set(small) < set(large) for small, large in itertools.pairwise(parts))


@pytest.mark.parametrize("size", [0.1, 0.25, 0.9])
def test_classes_keep_their_proportions(size: float) -> None:
    labels = np.repeat([0, 1, 2], [1000, 100, 30])
    kept = share.rows(labels, share.count(len(labels), 3, size))
    assert len(kept) == round(size * 1130)
    assert np.abs(np.bincount(labels[kept]) - size * np.bincount(labels)).max() <= 1


def test_every_class_keeps_one() -> None:
    part = data.load(replace(DIGITS, train_share=0.001))
    assert sorted(part.train_labels.tolist()) == list(range(10))
    labels = np.repeat([0, 1], [10_000, 1])
    assert set(labels[share.rows(labels, 2)]) == {0, 1}


def test_only_the_training_part_shrinks_and_inspect_knows() -> None:
    config = replace(DIGITS, train_share=0.1)
    whole, part = data.load(DIGITS), data.load(config)
    assert np.array_equal(whole.test_images, part.test_images)
    assert data.inspect(config) == part.info
    assert part.info == replace(whole.info, train_count=144)  # of 1438
    assert len(part.train_images) == len(part.train_labels) == 144


def test_the_images_do_not_depend_on_the_number_asked_before() -> None:
    config = replace(DIGITS, train_share=0.1)
    assert np.array_equal(data.load(config).train_images, data.load(config).train_images)


@pytest.mark.parametrize("size", [0.0, 1.5, -0.1])
def test_other_shares_are_refused(size: float) -> None:
    with pytest.raises(ConfigError, match=r"data.train_share is .*; allowed: above 0, up to 1"):
        DataConfig(train_share=size)
