"""The way from one noise vector to another: worked by hand, and exact at its ends."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gan import batches, data, recipes, variants
from gan.config import ACGANConfig, RunConfig
from gan.evaluation import TOGETHER
from gan.generation import Request
from gan.rng import Draws, Stream
from gan.variants import Variant
from gan.visual.interpolation import Walk, between, strips


def build(config: RunConfig) -> Variant:
    variant = variants.build(config, data.inspect(config.data), torch.device("cpu"))
    for network in variant.networks.values():
        network.eval()
    return variant


@pytest.fixture
def acgan(tiny_acgan: ACGANConfig) -> Variant:
    return build(tiny_acgan)


def test_a_straight_line_by_hand() -> None:
    first, second = torch.tensor([[1.0, -2.0], [0.0, 0.0]]), torch.tensor([[3.0, 2.0], [4.0, -8.0]])
    line = between(first, second, 5, "linear")
    expected = [
        [[1, -2], [1.5, -1], [2, 0], [2.5, 1], [3, 2]],
        [[0, 0], [1, -2], [2, -4], [3, -6], [4, -8]],
    ]
    assert torch.equal(line, torch.tensor(expected))
    assert torch.equal(between(first, second, 3, "linear")[:, 1], (first + second) / 2)


def test_a_great_circle_by_hand() -> None:
    first, second = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    arc = between(first, second, 4, "spherical")  # a quarter turn in three equal parts
    angles = [0, math.pi / 6, math.pi / 3, math.pi / 2]
    expected = torch.tensor([[[2 * math.cos(a), 2 * math.sin(a)] for a in angles]])
    torch.testing.assert_close(arc, expected, rtol=0, atol=1e-6)
    longer = between(first, 3 * second, 3, "spherical")  # White's formula for unequal lengths
    half = math.sin(math.pi / 4)
    torch.testing.assert_close(longer[0, 1], torch.tensor([2 * half, 6 * half]))


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_ends_are_exact(path: str) -> None:
    first, second = Draws(0, 0).normal(Stream.SAMPLE, 2, 50, 100)
    way = between(first, second, 7, path)
    assert way.shape == (50, 7, 100)
    assert way.dtype == torch.float32
    assert torch.equal(way[:, 0], first)
    assert torch.equal(way[:, -1], second)


def test_only_the_great_circle_keeps_the_length_of_normal_noise() -> None:
    first, second = Draws(0, 0).normal(Stream.SAMPLE, 2, 200, 100)
    middle = {path: between(first, second, 3, path)[:, 1] for path in ("linear", "spherical")}
    lengths = {path: float(noise.norm(dim=1).mean()) for path, noise in middle.items()}
    assert lengths["linear"] == pytest.approx(10 / math.sqrt(2), rel=0.02)
    assert lengths["spherical"] == pytest.approx(10, rel=0.02)


def test_where_a_great_circle_has_no_direction_the_way_is_straight() -> None:
    noise = torch.tensor([[1.0, 2.0], [0.0, 0.0], [1.0, 0.0]])
    other = torch.tensor([[1.0, 2.0], [0.0, 1.0], [-1.0, 0.0]])
    way = between(noise, other, 3, "spherical")
    assert torch.equal(way[0], noise[:1].expand(3, 2))
    assert torch.equal(way[2], torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]]))
    assert torch.isfinite(way).all()


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_the_class_stays_or_goes_straight(acgan: Variant, path: str) -> None:
    in_turn = Walk(12, 5, path).noise(acgan)
    one_hot = torch.nn.functional.one_hot(torch.arange(12) % 10, 10).float()
    assert torch.equal(in_turn[..., :10], one_hot[:, None].expand(12, 5, 10))
    assert not torch.equal(in_turn[:, 0, 10:], in_turn[:, -1, 10:])
    alone = Walk(2, 5, path, label=3).noise(acgan)
    assert (alone[..., 3] == 1).all()
    assert alone[..., :10].sum() == 10
    crossing = Walk(2, 5, path, label=3, to=7).noise(acgan)
    assert torch.equal(crossing[0, :, 3], torch.tensor([1, 0.75, 0.5, 0.25, 0]))
    assert torch.equal(crossing[0, :, 7], torch.tensor([0, 0.25, 0.5, 0.75, 1]))
    assert torch.equal(crossing[:, :1, 10:].expand(2, 5, 90), crossing[:, :, 10:])  # same noise


def test_ends_are_the_generators_images_of_both_vectors(acgan: Variant) -> None:
    walk = Walk(3, 4, seed=6)
    pictures = walk.pictures(acgan)
    assert pictures.shape == (3, 4, 8, 8, 1)
    noise = walk.noise(acgan)
    for end in (0, -1):
        expected = acgan.sampler(noise[:, end])
        assert np.array_equal(pictures[:, end], batches.to_bytes(expected))
    assert np.array_equal(pictures[:, 0], Request(3, seed=6).pictures(acgan))
    assert np.array_equal(pictures, walk.pictures(acgan))
    assert not np.array_equal(pictures, Walk(3, 4, seed=7).pictures(acgan))
    assert np.array_equal(pictures[:2], Walk(2, 4, seed=6).pictures(acgan))


def test_a_strip_is_made_in_one_company() -> None:
    """Of a generator on batch statistics: the ends do not depend on what else is drawn."""
    config = recipes.RECIPES["dcgan-digits"]()
    variant = build(replace(config, model=replace(config.model, width=4)))
    pictures = Walk(2, 5, seed=1).pictures(variant)
    assert np.array_equal(pictures[:1], Walk(1, 5, seed=1).pictures(variant))
    noise = Walk(2, 5, seed=1).noise(variant)
    company = variant.noise(Request(TOGETHER).labels(variant), Stream.SAMPLE, Draws(1, 2))
    with torch.no_grad():
        batch = variant.sampler(torch.cat([noise[1], company[5:]]))
    assert np.array_equal(pictures[1], batches.to_bytes(batch[:5]))
    assert np.array_equal(strips(variant.sampler, noise, company), pictures)
