from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch

from gan import batches, evaluation, variants
from gan.data import DataInfo
from gan.data.images import chosen
from gan.evaluation import Interrupted
from gan.metrics import Judged, judged, look_of
from gan.recipes import RECIPES
from gan.variants import Variant

# Recipe, channels and side: systems that name classes, one of each kind of network.
JUDGES = [
    ("classifier", 3, 32), ("classifier", 3, 64), ("acgan-digits", 1, 16), ("cats", 3, 64),
    ("mnist-classifier", 1, 28), ("encoder-digits", 1, 16), ("progressive", 3, 32),
]  # fmt: skip


def narrow(part: Any) -> Any:
    sizes = {
        item.name: min(value, 12)
        for item in fields(part)
        if type(value := getattr(part, item.name)) is int
    }
    return replace(part, **sizes)


def built(recipe: str, channels: int, size: int) -> Variant:
    config = RECIPES[recipe]()
    config = replace(config, data=replace(config.data, image_size=size), model=narrow(config.model))
    info = DataInfo("made", 1000, 100, channels, tuple("0123456789"), "")
    if hasattr(config, "game"):
        config = replace(config, game=replace(config.game, auxiliary=True))
    return variants.build(config, info, torch.device("cpu"))


def some_images(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.mark.parametrize(("recipe", "channels", "size"), JUDGES)
def test_a_judge_sees_what_its_network_computes(recipe: str, channels: int, size: int) -> None:
    variant = built(recipe, channels, size)
    for network in variant.networks.values():
        network.train()
    images = some_images(5, channels, size, size)
    found = judged(look_of(variant), images, np.arange(5), "cpu")
    assert all(network.training for network in variant.networks.values())
    with evaluation.eval_mode(*variant.networks.values()):
        batch = batches.to_unit(torch.from_numpy(images))
        assert torch.equal(found.logits, variant.classify(batch))
        assert torch.equal(found.features, variant.features(batch))
    assert found.logits.shape == (5, 10)
    assert found.features.shape[0] == len(found) == 5
    assert not found.features.requires_grad
    assert found.labels.tolist() == [0, 1, 2, 3, 4]


def test_batches_make_no_difference_and_sets_can_be_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    look = look_of(built("classifier", 1, 8))
    images = some_images(11, 1, 8, 8)
    labels = np.arange(11) % 3
    whole = judged(look, images, labels, "cpu")
    monkeypatch.setattr(evaluation, "BATCH", 4)
    parts = judged(look, images, labels, "cpu")
    torch.testing.assert_close(parts.features, whole.features)
    seen: list[int] = []
    judged(lambda batch: (seen.append(len(batch)), look(batch))[1], images, None, "cpu", together=5)
    assert seen == [5, 5, 1]
    ones = whole.of_class(1)
    assert torch.equal(ones.features, whole.features[1::3])
    assert ones.labels.tolist() == [1] * len(ones) == [1, 1, 1, 1]
    assert torch.equal(whole.rows(slice(2)).logits, whole.logits[:2])
    assert len(whole.of_class(7)) == 0


def test_images_without_labels_and_breaking_off() -> None:
    look = look_of(built("classifier", 1, 8))
    images = some_images(3, 1, 8, 8)
    assert judged(look, images, None, "cpu").labels.tolist() == [-1] * 3
    with pytest.raises(Interrupted):
        judged(look, images, None, "cpu", stop=lambda: "terminated")


def test_real_images_are_found_like_the_generated_ones() -> None:
    labels = torch.tensor([0] * 8 + [1] * 5 + [2] * 2)
    numbers = torch.arange(15.0)[:, None]
    whole = Judged(numbers, numbers, labels)
    for asked, expected in (
        ([0, 1, 2, 0, 1, 2], [2, 2, 2]),
        ([2, 2, 1], [0, 1, 2]),
        ([1] * 5 + [0] * 8 + [2] * 2, [8, 5, 2]),
    ):
        found = whole.like(torch.tensor(asked))
        assert found.labels.bincount(minlength=3).tolist() == expected
        assert len(found.features.unique()) == len(asked)
    few = whole.like(torch.tensor([2, 2, 2, 2]))  # of which there are two
    assert len(few.features.unique()) == 4
    assert (few.labels == 2).sum() == 2
    anyone = whole.like(torch.full((6,), -1))
    assert torch.equal(anyone.features, numbers[torch.from_numpy(chosen(15, 6))])
