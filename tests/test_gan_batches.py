from dataclasses import replace

import numpy as np
import pytest
import torch

from gan import data
from gan.batches import Batches, to_bytes, to_unit
from gan.config import ClassifierConfig
from gan.distributed import share_of
from gan.rng import Draws


def make(config: ClassifierConfig) -> Batches:
    return Batches(data.load(config.data), config, torch.device("cpu"))


def test_a_pass_uses_each_image_once_and_drops_the_tail(tiny_classifier: ClassifierConfig) -> None:
    batches = make(tiny_classifier)
    count = len(batches.labels)
    assert batches.steps_per_pass == count // 64
    seen = torch.cat([batches.indices(step) for step in range(batches.steps_per_pass)])
    assert len(seen) == count - count % 64
    assert len(seen.unique()) == len(seen)


def test_each_pass_has_its_own_order_whatever_was_asked_before(
    tiny_classifier: ClassifierConfig,
) -> None:
    forward, backward = make(tiny_classifier), make(tiny_classifier)
    steps = range(3 * forward.steps_per_pass)
    there = [forward.indices(step) for step in steps]
    back = [backward.indices(step) for step in reversed(steps)][::-1]
    assert all(torch.equal(a, b) for a, b in zip(there, back, strict=True))
    assert not torch.equal(there[0], there[forward.steps_per_pass])


def test_epochs_may_hold_several_passes(tiny_classifier: ClassifierConfig) -> None:
    train = replace(tiny_classifier.train, passes_per_epoch=3)
    batches = make(replace(tiny_classifier, train=train))
    assert batches.steps_per_epoch == 3 * batches.steps_per_pass


def test_batch_is_the_images_at_the_indices(tiny_classifier: ClassifierConfig) -> None:
    plain = replace(tiny_classifier, data=replace(tiny_classifier.data, crop_scale_min=1.0))
    batches = make(plain)
    images, labels = batches.at(5, Draws(0, 5))
    chosen = batches.indices(5)
    assert torch.equal(labels, batches.labels[chosen])
    assert torch.equal(images, batches.images[chosen].float() / 127.5 - 1)


@pytest.mark.parametrize(("total", "size"), [(64, 2), (61, 3)])
def test_batches_of_all_ranks_are_those_of_one_process(
    tiny_classifier: ClassifierConfig, total: int, size: int
) -> None:
    altered = replace(tiny_classifier.data, flip=True, jitter=0.2)
    train = replace(tiny_classifier.train, batch_size=total)
    config = replace(tiny_classifier, data=altered, train=train)
    shares = [share_of(total, rank, size) for rank in range(size)]
    images, whole = data.load(config.data), make(config)
    parts = [Batches(images, config, torch.device("cpu"), share) for share in shares]
    for step in (0, whole.steps_per_pass - 1, whole.steps_per_pass):
        found = [
            part.at(step, Draws(0, step, share=(share.start, share.stop, share.total)))
            for part, share in zip(parts, shares, strict=True)
        ]
        expected = whole.at(step, Draws(0, step))
        assert torch.equal(torch.cat([part.indices(step) for part in parts]), whole.indices(step))
        assert torch.equal(torch.cat([labels for _, labels in found]), expected[1])
        torch.testing.assert_close(torch.cat([altered for altered, _ in found]), expected[0])


def test_bytes_survive_the_way_there_and_back() -> None:
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    unit = to_unit(every)
    assert unit.min() == -1
    assert unit.max() == 1
    kept = unit.clone()
    assert np.array_equal(to_bytes(unit)[0, :, :, 0], every[0, 0].numpy())
    assert torch.equal(unit, kept)  # S0's in-place scaling changed the images under its own hands


def test_values_out_of_range_are_clipped_not_wrapped() -> None:
    assert to_bytes(torch.tensor([-1.5, 1.5]).view(1, 1, 1, 2)).ravel().tolist() == [0, 255]
