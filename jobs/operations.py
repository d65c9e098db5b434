"""Every operation of a training step, noted with checksums: which is the first to differ?

Two processes that do the same from the same state note the same, unless an operation is not
deterministic here; the first line in which they differ names it.
"""

import contextlib
import hashlib
import json
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs import chosen, pretrained
from jobs.run import Run

if TYPE_CHECKING:
    import torch

    from gan.trainer import Trainer

# These only make room: what is in it before it is written to is of no account.
_MAKE_ROOM = ("aten.empty", "aten.new_empty", "aten.resize_", "aten.set_")


@dataclass(frozen=True)
class Noted:
    """One operation of torch: where it was called, and checksums of what it got and made."""

    step: int
    operation: str
    place: str  # the layer, or the step of the backward pass
    given: str
    made: str


def trace(run: Run, target: Path, steps: int) -> None:
    """Note the first `steps` training steps of a run, from its very beginning, in `target`; and
    what torch itself says of operations that are not deterministic, in the step after them.
    """
    import torch

    loop = _loop(run, target.parent / f"{target.name}.run")
    with target.open("w") as file:
        for _ in range(min(steps, loop.total_steps)):
            with _noting(loop, lambda line: print(json.dumps(vars(line)), file=file)):
                loop.train_step()
        if loop.step < loop.total_steps:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                torch.use_deterministic_algorithms(True, warn_only=True)
                loop.train_step()
            for warning in told:
                if "deterministic" in str(warning.message):
                    line = str(warning.message).partition(".")[0]
                    print(json.dumps({"warning": line}), file=file)


def _loop(run: Run, folder: Path) -> "Trainer":
    from checkpoints import Store
    from gan import data, numerics, trainer, variants
    from gan.samples import SampleStore

    config = chosen.of_run(pretrained.placed(run.config(), run), run)
    device = numerics.configure(run.threads)
    images = data.load(config.data)
    outputs = trainer.Outputs(
        Store(folder, run.store().identity), SampleStore(folder, {}), folder, folder
    )
    variant = variants.build(config, images.info, device)
    variant.set_learning_rate(config.optim.learning_rate)
    loop = trainer.Trainer(config, images, variant, outputs, trainer.Hooks())
    variant.begin(anew=True)
    return loop


@contextlib.contextmanager
def _noting(loop: "Trainer", note: Callable[[Noted], None]) -> Iterator[None]:
    """Around what is to be noted."""
    from torch.utils._python_dispatch import TorchDispatchMode

    with _layers(loop) as layers:

        class Noting(TorchDispatchMode):
            def __torch_dispatch__(
                self, function: Any, types: Any, args: Any = (), kwargs: Any = None
            ) -> Any:
                given = _digest(args, kwargs)
                made = function(*args, **(kwargs or {}))
                if not str(function).startswith(_MAKE_ROOM):
                    place = _place(layers)
                    note(Noted(loop.step + 1, str(function), place, given, _digest(made)))
                return made

        with Noting():
            yield


@contextlib.contextmanager
def _layers(loop: "Trainer") -> Iterator[list[str]]:
    """The names of the layers that are at work, the innermost last."""
    at_work: list[str] = []

    def enter(label: str) -> Callable[..., None]:
        return lambda *_: at_work.append(label)

    def leave(*_: Any) -> None:
        at_work.pop()

    with contextlib.ExitStack() as hooks:
        for name, network in loop.variant.networks.items():
            for inner, module in network.named_modules():
                label = f"{name}.{inner}".rstrip(".")
                hooks.enter_context(_removed(module.register_forward_pre_hook(enter(label))))
                hooks.enter_context(_removed(module.register_forward_hook(leave, always_call=True)))
        yield at_work


@contextlib.contextmanager
def _removed(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


def _place(layers: list[str]) -> str:
    import torch

    node: Any = torch._C._current_autograd_node()
    if node:
        return f"the backward pass ({node.name()})"
    return layers[-1] if layers else "no layer"


def _digest(*values: Any) -> str:
    """Of all tensors in there, in order."""
    import torch
    from torch.utils._pytree import tree_leaves

    digest = hashlib.blake2b(digest_size=8)
    for leaf in tree_leaves(values):
        if isinstance(leaf, torch.Tensor):
            digest.update(str((leaf.dtype, tuple(leaf.shape))).encode())
            digest.update(_content(leaf))
        elif isinstance(leaf, int | float | bool | str):
            digest.update(repr(leaf).encode())
    return digest.hexdigest()


def _content(tensor: "torch.Tensor") -> bytes:
    import torch

    with torch.utils._python_dispatch._disable_current_modes():
        if not tensor.numel():
            return b""
        flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return flat.numpy().tobytes()


def blame(first: Path, second: Path) -> list[str]:
    """What two notes of the same steps tell: the first difference, and what torch itself says."""
    found: list[str] = []
    for one, other in zip_longest(_lines(first, "made"), _lines(second, "made")):
        if one == other:
            continue
        if one is None or other is None or one["operation"] != other["operation"]:
            ways = " and ".join(
                f"{x['operation']} in {x['place']}" if x else "none" for x in (one, other)
            )
            found.append(f"the program itself takes another way: its next operations are {ways}")
        else:
            found.append(_told(one, other))
        break
    warned = [line["warning"] for line in _lines(first, "warning")]
    return found + [f"torch says: {line}" for line in dict.fromkeys(warned)]


def _lines(path: Path, key: str) -> Iterator[dict[str, Any]]:
    with path.open() as file:
        yield from (line for line in map(json.loads, file) if key in line)


def _told(one: dict[str, Any], other: dict[str, Any]) -> str:
    where = f"{one['operation']} in {one['place']}, step {one['step']}"
    if one["given"] == other["given"]:
        return f"{where}: given the same, it makes something else"
    return f"{where}: what it is given comes from outside of torch, and is something else each time"
