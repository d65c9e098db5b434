"""Images on request: a function of the weights, the seed and the image's number."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gan import batches, data, recipes, variants
from gan.config import ACGANConfig, RunConfig
from gan.evaluation import TOGETHER, Interrupted
from gan.generation import Request
from gan.rng import Draws, Stream
from gan.variants import Variant


def build(config: RunConfig) -> Variant:
    return variants.build(config, data.inspect(config.data), torch.device("cpu"))


@pytest.fixture
def acgan(tiny_acgan: ACGANConfig) -> Variant:
    return build(tiny_acgan)


@pytest.mark.parametrize("recipe", ["acgan-digits", "dcgan-digits"])  # the latter: batch statistics
def test_the_first_of_many_are_the_few(recipe: str) -> None:
    config = recipes.RECIPES[recipe]()
    variant = build(replace(config, model=replace(config.model, width=4)))
    many = torch.cat(list(Request(300, seed=3).images(variant)))
    assert len(many) == 300
    for count in (1, 2, 10, TOGETHER, TOGETHER + 1, 299):
        few = torch.cat(list(Request(count, seed=3).images(variant)))
        assert torch.equal(few, many[:count])
    assert not torch.equal(many[:TOGETHER], many[TOGETHER : 2 * TOGETHER])


def test_batches_are_drawn_one_by_one(acgan: Variant) -> None:
    parts = list(Request(TOGETHER + 5, seed=4).images(acgan))
    assert [len(part) for part in parts] == [TOGETHER, 5]
    labels = torch.arange(2 * TOGETHER)[TOGETHER:] % 10
    noise = acgan.noise(labels, Stream.SAMPLE, Draws(4, 1))
    with torch.no_grad():
        expected = acgan.sampler.eval()(noise)[:5]
    assert torch.equal(parts[1], expected)


def test_classes_come_in_turn_or_one_alone(acgan: Variant, tiny_acgan: ACGANConfig) -> None:
    assert Request(12).labels(acgan).tolist() == [*range(10), 0, 1]
    assert Request(3, label=7).labels(acgan).tolist() == [7, 7, 7]
    in_turn, alone = (next(Request(10, label=k).images(acgan)) for k in (None, 7))
    # In eval mode an image depends on its own noise alone, and that differs in the class only.
    assert torch.equal(in_turn[7], alone[7])
    assert not torch.equal(in_turn[6], alone[6])
    unlabelled = build(replace(tiny_acgan, game=replace(tiny_acgan.game, auxiliary=False)))
    assert Request(3).labels(unlabelled).tolist() == [-1, -1, -1]


def test_pictures_are_the_images_as_bytes(acgan: Variant) -> None:
    images = torch.cat(list(Request(130).images(acgan)))
    assert np.array_equal(Request(130).pictures(acgan), batches.to_bytes(images))


def test_stop_breaks_off(acgan: Variant) -> None:
    answers = iter([False, True])
    with pytest.raises(Interrupted):
        Request(2 * TOGETHER).pictures(acgan, lambda: next(answers))
