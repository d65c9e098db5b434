import math

import numpy as np
import pytest
import torch

from gan import neighbours


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
