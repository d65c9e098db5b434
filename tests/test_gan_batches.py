import contextlib
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from packed_sets import packed_digits
from trainers import StopAt, build_trainer, quiet

from gan import data
from gan.batches import Batches, Streamed, to_bytes, to_unit
from gan.config import ClassifierConfig
from gan.data import DataError
from gan.data.sources import ImageSource
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
    assert torch.equal(images, batches.images.take(chosen).float() / 127.5 - 1)


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


def streamed(config: ClassifierConfig, folder: Path) -> ClassifierConfig:
    """The same images, read from a packed file step by step."""
    packed = packed_digits(folder, replace(config.data))
    return replace(config, data=replace(packed, memory_gb=0.0))


def test_streamed_batches_are_those_held_in_memory(
    tiny_classifier: ClassifierConfig, tmp_path: Path
) -> None:
    held = make(tiny_classifier)
    with contextlib.closing(make(streamed(tiny_classifier, tmp_path))) as read:
        assert isinstance(read.images, Streamed)
        steps = [*range(held.steps_per_pass + 2), 1, held.steps_per_pass, 0]  # also back and forth
        for step in steps:
            expected, found = held.at(step, Draws(0, step)), read.at(step, Draws(0, step))
            assert torch.equal(found[0], expected[0])
            assert torch.equal(found[1], expected[1])


def test_each_rank_reads_its_share_only(tiny_classifier: ClassifierConfig, tmp_path: Path) -> None:
    config = streamed(tiny_classifier, tmp_path)
    images = data.load(config.data)
    asked: list[int] = []
    counting = Counting(images.train_images, asked)
    share = share_of(64, rank=1, size=3)
    part = Batches(replace(images, train_images=counting), config, torch.device("cpu"), share)
    with contextlib.closing(part):
        found, _ = part.at(2, Draws(0, 2, share=(share.start, share.stop, share.total)))
    whole, _ = make(tiny_classifier).at(2, Draws(0, 2))
    assert torch.equal(found, whole[share.start : share.stop])
    assert asked[0] == share.stop - share.start
    assert sum(asked) <= 2 * asked[0]  # and the next step's


class Counting:
    """A source that notes how many images are asked for at a time."""

    def __init__(self, images: ImageSource, asked: list[int]) -> None:
        self.images, self.asked, self.shape = images, asked, images.shape

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        self.asked.append(len(rows))
        return self.images[rows]


def test_an_image_that_cannot_be_read_stops_the_step_that_needs_it(
    tiny_classifier: ClassifierConfig, tmp_path: Path
) -> None:
    config = streamed(tiny_classifier, tmp_path)
    images = data.load(config.data)
    batches = Batches(images, config, torch.device("cpu"))
    victim = int(batches.indices(1)[3])
    broken = replace(images, train_images=Broken(images.train_images, victim))
    with contextlib.closing(Batches(broken, config, torch.device("cpu"))) as batches:
        batches.at(0, Draws(0, 0))
        with pytest.raises(DataError, match=f"image {victim}"):
            batches.at(1, Draws(0, 1))


class Broken(Counting):
    """A source with one image that cannot be read."""

    def __init__(self, images: ImageSource, victim: int) -> None:
        super().__init__(images, [])
        self.victim = victim

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        if self.victim in rows:
            raise DataError(f"image {self.victim} cannot be read")
        return super().__getitem__(rows)


@pytest.mark.parametrize("stop", [3, 22, 30])  # inside an epoch, at its end, inside the next
def test_streaming_through_a_stop_ends_in_the_bits_of_memory(
    tiny_classifier: ClassifierConfig, tmp_path: Path, stop: int
) -> None:
    altered = replace(tiny_classifier.data, flip=True, jitter=0.2)
    held = replace(tiny_classifier, data=altered)
    read = streamed(held, tmp_path / "packed")
    whole = build_trainer(tmp_path / "held", held)
    assert whole.train() is None
    first = build_trainer(tmp_path / "read", read, quiet(StopAt(stop)))
    assert first.train() == "terminated"
    second = build_trainer(tmp_path / "read", read)
    assert isinstance(second.batches.images, Streamed)
    assert second.train() is None
    assert second.step == whole.step
    equal(second.state()["variant"], whole.state()["variant"])
    assert torch.equal(second.term_sums, whole.term_sums)


def test_held_and_streamed_may_take_turns(
    tiny_classifier: ClassifierConfig, tmp_path: Path
) -> None:
    """How much is held in memory is no part of a run's identity."""
    read = streamed(tiny_classifier, tmp_path / "packed")
    held = replace(read, data=replace(read.data, memory_gb=1.0))
    whole = build_trainer(tmp_path / "held", held)
    whole.train()
    build_trainer(tmp_path / "both", read, quiet(StopAt(10))).train()
    second = build_trainer(tmp_path / "both", held)
    assert second.train() is None
    equal(second.state()["variant"], whole.state()["variant"])


def equal(first: object, second: object) -> None:
    """Assert that two trees of tensors are the same bits."""
    if isinstance(first, dict):
        assert isinstance(second, dict)
        assert first.keys() == second.keys()
        for key, value in first.items():
            equal(value, second[key])
    else:
        assert isinstance(first, torch.Tensor)
        assert torch.equal(first, second)


def test_reading_ahead_ends_with_training(
    tiny_classifier: ClassifierConfig, tmp_path: Path
) -> None:
    trainer = build_trainer(tmp_path / "run", streamed(tiny_classifier, tmp_path / "packed"))
    trainer.train()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("images")]
