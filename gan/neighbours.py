"""Nearest neighbours: how far away they are, and how they vote on a class."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gan.data.sources import ImageSource
from gan.evaluation import Interrupted

Rows = Tensor | ImageSource  # (N, ...): features, or images that may be read when asked for

_CHUNK = 256
_TEMPERATURE = 0.07  # Wu et al.
_ROUNDING = 1e-12  # of squared lengths; float64 errs by less, over any number of features here
_CELLS = 1 << 23  # distances at once: 64 MiB, and some more while they are made
_VALUES = 1 << 23  # numbers of the bank at once
_QUERIES = 1024


def squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """Between all rows of (N, F) and of (M, F): (N, M) float64.

    Exact for whole numbers such as pixels. Otherwise known to 1e-12 of the rows' squared lengths;
    what is less than that is 0, so that equal rows are at 0 from each other.
    """
    first, second = first.double(), second.double()
    lengths = first.square().sum(1)[:, None] + second.square().sum(1)  # (N, M)
    squared = torch.addmm(lengths, first, second.T, alpha=-2)
    return squared.masked_fill_(squared < _ROUNDING * lengths, 0)


def rows_at_once(count: int) -> int:
    """How many rows can be compared with `count` others without taking much memory."""
    return max(1, _CELLS // count)


@dataclass(frozen=True)
class Nearest:
    """The nearest rows of a bank, for each query, the nearest first."""

    distances: Tensor  # (M, k) float64, Euclidean
    places: Tensor  # (M, k) int64, rows of the bank


def nearest(
    bank: Rows,
    queries: Rows,
    count: int,
    device: torch.device | str = "cpu",
    stop: Callable[[], object] = lambda: None,
) -> Nearest:
    """The `count` rows of `bank` (N, ...) that are nearest to each of `queries` (M, ...).

    All of the bank, if it has fewer. Both are compared number by number, as they are: pixels from
    0 to 255, features. Part by part, so that the bank may be larger than memory. Raises Interrupted
    when `stop` says so.
    """
    size = max(1, _VALUES // _flat(bank, 0, 1).shape[1])
    found = []
    for first in range(0, len(queries), _QUERIES):
        some = _flat(queries, first, _QUERIES).to(device)
        best = torch.empty(len(some), 0, dtype=torch.float64, device=device)
        places = torch.empty(len(some), 0, dtype=torch.int64, device=device)
        for start in range(0, len(bank), size):
            if stop():
                raise Interrupted
            squared = squared_distances(some, _flat(bank, start, size).to(device))
            numbers = torch.arange(start, start + squared.shape[1], device=device)
            best = torch.cat([best, squared], dim=1)
            places = torch.cat([places, numbers.expand_as(squared)], dim=1)
            best, order = best.topk(min(count, best.shape[1]), dim=1, largest=False)
            places = places.gather(1, order)
        found.append((best.sqrt(), places))
    distances, chosen = map(torch.cat, zip(*found, strict=True))
    return Nearest(distances, chosen)


def _flat(rows: Rows, start: int, count: int) -> Tensor:
    """Some rows as (count, F)."""
    return torch.as_tensor(rows[start : start + count]).flatten(1)


def vote(bank: Tensor, labels: Tensor, queries: Tensor, neighbours: int, classes: int) -> Tensor:
    """Votes (M, classes) for `queries` (M, F), of the most similar rows of `bank` (N, F).

    Each of the `neighbours` (all, if there are fewer) adds exp(s / 0.07) to its class, the entry of
    `labels` (N,) int64, where s is the cosine similarity: Wu et al., "Unsupervised feature learning
    via non-parametric instance discrimination" (2018), section 3.4. In float32.
    """
    bank = F.normalize(bank.float(), dim=1)
    votes = [
        _vote(bank, labels, F.normalize(chunk.float(), dim=1), min(neighbours, len(bank)), classes)
        for chunk in queries.split(_CHUNK)
    ]
    return torch.cat(votes)


def _vote(bank: Tensor, labels: Tensor, units: Tensor, count: int, classes: int) -> Tensor:
    similarity, places = (units @ bank.T).topk(count, dim=1)  # (B, count)
    weights = torch.exp(similarity / _TEMPERATURE)
    ballots = F.one_hot(labels[places], classes)  # a sum whose order is fixed, unlike scatter_add
    return (ballots * weights[:, :, None]).sum(1)
