"""An exponential moving average of a network, for sampling.

Averaging the generator's weights over training steps: Yazici et al., "The unusual effectiveness of
averaging in GAN training" (2019).
"""

import copy

import torch
from torch import Tensor, nn


class EMA:
    """A copy of `module` whose weights follow it; buffers (running statistics) are copied.

    The decay warms up as (1 + n) / (10 + n), so that the first, useless weights are soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.average = copy.deepcopy(module).eval().requires_grad_(False)
        self._source, self._target = _tensors(module), _tensors(self.average)

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Take the module's present weights in; `updates` have been taken in before."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(self._target[0], self._source[0], 1 - decay)
        torch._foreach_copy_(self._target[1], self._source[1])


def _tensors(module: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Parameters and buffers; the same objects as long as the module lives."""
    return list(module.parameters()), list(module.buffers())
