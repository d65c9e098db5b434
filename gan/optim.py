"""Adam with its step counter kept where the arithmetic is safe.

Adam divides by 1 - beta ** step. The power falls below the smallest normal float64 (for 0.9 at step
6,724), where some maths libraries report a range error and Python raises OverflowError. S0 resets
the step to 1,000 whenever it reaches 1,024; with beta2 = 0.999 that keeps the bias correction from
ever reaching 1 and shrinks every later update by a fifth. Here nothing changes but the danger:

- a beta saturates: beyond n = ceil(54 ln 2 / -ln beta), where 1 - beta ** n already is 1 in
  float64, its power is taken at n;
- the counter stops at the largest n of the betas, so that it never gets to 2 ** 24 either, where
  a float32 counter stands still, and so that fused and capturable kernels, which take the power
  out of Python's sight, are served too.

The counter alone would not do for betas (0.9, 0.999): it stops at 37,412, and 0.9 is in the danger
zone from 6,724 on.
"""

import inspect
from collections.abc import Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from gan.config import LARGEST_STEP, saturation_step

StepFix = Literal["safe", "off", "legacy"]

_LEGACY_LIMIT, _LEGACY_RESET = 1024, 1000  # S0
# torch's own, as they are written. What torch wraps them in loads its compiler on the first call,
# compiled or not, which takes nearly as long as torch itself (docs/performance.md).
_ADD_GROUP = inspect.unwrap(torch.optim.Adam.add_param_group)
_ZERO = inspect.unwrap(torch.optim.Adam.zero_grad)
_STEP = inspect.unwrap(torch.optim.Adam.step)


class SaturatingBeta(float):
    """A beta whose power stops changing once 1 - beta ** n equals 1; else the float it was."""

    def __new__(cls, beta: float) -> "SaturatingBeta":
        new = super().__new__(cls, beta)
        new.base, new.last = beta, saturation_step(beta)
        return new

    base: float
    last: int

    def __pow__(self, exponent: Any, modulus: None = None) -> Any:
        return self.base ** min(exponent, self.last)


class Adam(torch.optim.Adam):
    """torch's Adam with `step_fix`: "safe" (above), "off" (as torch has it), "legacy" (S0's reset).

    Raises ValueError if "safe" cannot be kept: a beta so close to 1 that its power is not yet
    negligible when a float32 counter stands still.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float],
        step_fix: StepFix = "safe",
        **options: Any,
    ) -> None:
        self.step_fix = step_fix
        self.last_step = max(saturation_step(beta) for beta in betas)
        if step_fix == "safe":
            if self.last_step >= LARGEST_STEP:
                raise ValueError(
                    f"betas are {betas}: the step would have to count to {self.last_step:,}; "
                    f"allowed: below {LARGEST_STEP:,}, or step_fix 'off'"
                )
            betas = (SaturatingBeta(betas[0]), SaturatingBeta(betas[1]))
        super().__init__(parameters, lr=lr, betas=betas, **options)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        _ADD_GROUP(self, param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        _ZERO(self, set_to_none)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        loss = _STEP(self, closure)
        if self.step_fix != "off":
            counters = [state["step"] for state in self.state.values()]
            if self.step_fix == "safe":
                torch._foreach_clamp_max_(counters, float(self.last_step))
            else:
                for counter in counters:
                    counter.masked_fill_(counter >= _LEGACY_LIMIT, _LEGACY_RESET)
        return loss


def state_tensors(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Any]:
    """The optimiser's tensors under their parameters' names; settings are the config's business."""
    names: dict[Tensor, str] = {p: name for name, p in module.named_parameters()}
    return {names[parameter]: dict(state) for parameter, state in optimizer.state.items()}


def load_state_tensors(
    optimizer: torch.optim.Optimizer, module: nn.Module, saved: dict[str, dict[str, Tensor]]
) -> None:
    """Put back what `state_tensors` gave; each tensor goes where Adam keeps it.

    Raises KeyError for a name that the module does not have.
    """
    parameters = dict(module.named_parameters())
    optimizer.state.clear()
    for name, state in saved.items():
        parameter = parameters[name]
        on_device = any(g.get("capturable") or g.get("fused") for g in optimizer.param_groups)
        for key, value in state.items():
            stays = key == "step" and not on_device
            if stays or value.shape != parameter.shape:
                device = value.device if stays else parameter.device
                optimizer.state[parameter][key] = value.clone().to(device)
            else:  # in the parameter's own memory layout, as Adam makes it
                optimizer.state[parameter][key] = torch.empty_like(parameter).copy_(value)
