"""How well representations alone tell classes apart: a vote of the nearest neighbours."""

import torch
from torch import Tensor
from torch.nn import functional as F

_CHUNK = 256
_TEMPERATURE = 0.07  # Wu et al.


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
