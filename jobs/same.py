"""Whether two finished runs are the same to the last bit, and what differs by name."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.run import Run


def leaves(tree: Any, path: str = "") -> dict[str, Any]:
    """All leaves of nested dicts under their joined names."""
    if isinstance(tree, dict):
        return {k: v for key, sub in tree.items() for k, v in leaves(sub, f"{path}/{key}").items()}
    return {path: tree}


def contents(run: "Run") -> dict[str, Any]:
    """Every tensor, image and point of a finished run, by name."""
    from gan import samples, scalars

    found = leaves(run.store().open(int(run.settings()["total_steps"])).load())
    for name in ("samples.h5", "generated.h5"):
        if (run.path / name).exists():
            content = samples.read(run.path / name)
            found |= {f"{name}/images": content.images, f"{name}/steps": content.steps}
    for tag, (steps, values) in scalars.read(run.scalars).items():
        found |= {f"curve {tag}/steps": steps, f"curve {tag}/values": values}
    return found


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Names of what only one has, and of what is not equal to the last bit, in order."""
    names = list(dict.fromkeys([*theirs, *mine]))
    return [n for n in names if n not in mine or n not in theirs or not equal(mine[n], theirs[n])]


def equal(first: Any, second: Any) -> bool:
    """Of the same kind, shape and bits: NaN is equal to NaN, and 0 not to -0."""
    import numpy as np
    import torch

    if type(first) is not type(second):
        return False
    if isinstance(first, torch.Tensor):
        same_form = first.shape == second.shape and first.dtype == second.dtype
        return same_form and torch.equal(_bytes(first), _bytes(second))
    if isinstance(first, np.ndarray):
        same_form = first.shape == second.shape and first.dtype == second.dtype
        return same_form and first.tobytes() == second.tobytes()
    return bool(first == second)


def _bytes(tensor: Any) -> Any:
    import torch

    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
