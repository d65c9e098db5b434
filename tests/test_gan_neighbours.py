import math

import numpy as np
import pytest
import torch

from gan import neighbours
from gan.evaluation import Interrupted


def plain_vote(
    bank: np.ndarray, labels: np.ndarray, query: np.ndarray, count: int, classes: int
) -> np.ndarray:
    """One query, in float64 and in words: sort by cosine, let the nearest vote."""
    similarity = [
        float(row @ query / (np.linalg.norm(row) * np.linalg.norm(query))) for row in bank
    ]
    votes = np.zeros(classes)
    for place in sorted(range(len(bank)), key=lambda i: -similarity[i])[:count]:
        votes[labels[place]] += math.exp(similarity[place] / 0.07)
    return votes


@pytest.mark.parametrize("count", [1, 5, 20])
def test_vote_is_that_of_the_brute_force(count: int) -> None:
    random = np.random.default_rng(count)
    bank, queries = random.normal(size=(60, 7)), random.normal(size=(300, 7))  # more than a chunk
    labels = random.integers(4, size=60)
    found = neighbours.vote(*map(torch.from_numpy, (bank, labels, queries)), count, 4)
    expected = np.stack([plain_vote(bank, labels, query, count, 4) for query in queries])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4)


def test_a_small_bank_votes_as_a_whole() -> None:
    bank, labels = torch.eye(3), torch.tensor([0, 1, 1])
    votes = neighbours.vote(bank, labels, torch.ones(1, 3), 200, 2)
    near = math.exp(1 / math.sqrt(3) / 0.07)
    assert votes[0].tolist() == pytest.approx([near, 2 * near], rel=1e-4)


def test_length_does_not_count() -> None:
    bank, labels = torch.tensor([[1.0, 0.2], [100.0, 90.0]]), torch.tensor([0, 1])
    assert neighbours.vote(bank, labels, torch.tensor([[5.0, 0.0]]), 1, 2).argmax() == 0


@pytest.mark.parametrize("parts", [(1 << 23, 1024), (60, 4)])
def test_nearest_are_those_of_the_brute_force(
    parts: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "_VALUES", parts[0])
    monkeypatch.setattr(neighbours, "_QUERIES", parts[1])
    random = np.random.default_rng(0)
    bank, queries = random.normal(size=(50, 3, 2, 2)), random.normal(size=(9, 3, 2, 2))
    found = neighbours.nearest(torch.from_numpy(bank), torch.from_numpy(queries), 6)
    apart = np.sqrt(((queries[:, None] - bank) ** 2).sum((2, 3, 4)))
    order = apart.argsort(axis=1)[:, :6]
    assert np.array_equal(found.places.numpy(), order)
    np.testing.assert_allclose(found.distances, np.take_along_axis(apart, order, 1), rtol=1e-12)


def test_distances_of_pixels_are_exact() -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (30, 3, 16, 16), dtype=np.uint8)
    queries = images.copy()
    queries[:, 0, 0, 0] ^= 1  # one level off in one of 768 values
    found = neighbours.nearest(images, queries, 1)
    assert found.places.flatten().tolist() == list(range(30))
    assert found.distances.flatten().tolist() == [1.0] * 30
    assert not neighbours.nearest(images, images, 1).distances.any()


def test_equal_rows_are_at_zero_however_large() -> None:
    rows = torch.randn(20, 300) * 1e-3 + 1e4
    squared = neighbours.squared_distances(rows, rows)
    assert not squared.diagonal().any()
    assert squared.dtype == torch.float64


def test_a_bank_may_be_smaller_than_asked_and_the_search_broken_off() -> None:
    rows = torch.arange(3.0)[:, None]
    found = neighbours.nearest(rows, rows, 10)
    assert found.distances.tolist() == [[0, 1, 2], [0, 1, 1], [0, 1, 2]]
    assert found.places[0].tolist() == [0, 1, 2]
    with pytest.raises(Interrupted):
        neighbours.nearest(rows, rows, 1, stop=lambda: True)
