"""Which images stand for a set, where not all of them are used."""

import numpy as np

from gan.data.images import chosen, split


def test_a_choice_of_a_set_sorted_by_class_has_every_class() -> None:
    labels = np.repeat(np.arange(26), 800)  # as EMNIST's test images lie in their file
    found = np.bincount(labels[chosen(len(labels), 2600)], minlength=26)
    assert found.sum() == 2600
    assert found.min() > 60  # 100 each on average; the first 2600 would be four letters


def test_a_choice_is_the_same_every_time_ascending_and_whole_if_all_are_wanted() -> None:
    some = chosen(1000, 50)
    assert np.array_equal(some, chosen(1000, 50))
    assert np.array_equal(some, np.unique(some))
    assert set(some) <= set(chosen(1000, 200))
    for all_of in (None, 1000, 5000):
        assert np.array_equal(chosen(1000, all_of), np.arange(1000))


def test_held_out_images_are_those_that_are_chosen_for_their_share() -> None:
    train, test = split(100, 0.2)
    assert np.array_equal(test, chosen(100, 20))
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(100))
