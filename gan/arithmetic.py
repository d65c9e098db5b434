"""What `auto` stands for in a run's precision and compilation, and the compiling itself.

Chosen from measurements (docs/performance.md). On CPUs bfloat16 wins where the processor multiplies
matrices in it, and compiling loses. On GPUs bfloat16 is in hardware from compute capability 8 on;
compiling has not been measured there, so it stays off.
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from gan.config import TrainConfig

_MATRIX_BFLOAT16 = "avx512_bf16", "amx_tile"


def settled(train: TrainConfig, device: torch.device) -> TrainConfig:
    """The settings with `auto` replaced by what suits a device."""
    if train.precision == "auto":
        train = replace(train, precision="bfloat16" if fast_bfloat16(device) else "float32")
    return replace(train, compile="off") if train.compile == "auto" else train


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for products of bfloat16 matrices."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    # Not public, but in all versions that we support; without them no choice is made.
    tests = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in _MATRIX_BFLOAT16)
    return any(bool(test()) for test in tests if test)


@functools.cache
def cannot_compile(device: torch.device) -> str | None:
    """Why nothing can be compiled for a device here, or None: found out by compiling a sum."""
    try:
        torch.compile(lambda numbers: numbers.sin() + 1, dynamic=False)(torch.zeros(8).to(device))
    except Exception as error:  # whatever it is, training can do without
        return " ".join(str(error).split())[:200] or type(error).__name__
    return None


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A network's forward pass, and its backward one, or a function, compiled at their first call.

    Each shape by itself: what torch would compile for any shape depends on which came first, and
    so on where a run was resumed.
    """
    made: Callable[..., Any] = torch.compile(function, dynamic=False)
    return made
