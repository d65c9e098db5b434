"""When a loss, or a part of the state, is no longer finite: told by name, and gone back from.

A run that may roll back goes back to its newest good checkpoint at an epoch's end (its beginning,
if there is none yet) and trains on with other random numbers (`rng.seed_after`). Only epochs' ends
count, and every epoch's end is tested before it is saved. So neither the place that a run goes back
to, nor what becomes of it, depends on when the clock had it saved in between.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints import Checkpoint, CheckpointError, Store, files

if TYPE_CHECKING:
    from torch import Tensor

FILE = "rollbacks.json"
_FORMAT = 1


class NonFiniteLoss(ArithmeticError):
    """A loss term, or a tensor of the state, became infinite or not a number."""


def first_non_finite(tree: dict[str, Any]) -> str | None:
    """The name of the first tensor in a tree that is not finite everywhere; None if all are.

    Waits for the device once, however many tensors there are, as long as all are finite. A length
    is read off in one go, and is finite only if all is; where squares overflow, each is looked at.
    """
    named = [(name, t) for name, t in _tensors(tree) if t.is_floating_point() and t.numel()]
    if all(math.isfinite(length) for length in _lengths([t.detach() for _, t in named])):
        return None
    return next((name for name, t in named if not t.isfinite().all()), None)


def _lengths(tensors: list["Tensor"]) -> list[float]:
    """The Euclidean length of each, in any order."""
    import torch  # kept out of the module: whoever names the cause of an end need not load it

    alike: dict[tuple[Any, Any], list[Tensor]] = {}  # what one kernel can do; on the host another
    for tensor in tensors:
        alike.setdefault((tensor.device, tensor.dtype), []).append(tensor)
    if not alike:
        return []
    device = tensors[-1].device
    found = [torch.stack(torch._foreach_norm(group)).double() for group in alike.values()]
    lengths: list[float] = torch.cat([f.to(device, non_blocking=True) for f in found]).tolist()
    return lengths


def _tensors(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, "Tensor"]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _tensors(value, f"{path}{key}/")
        elif hasattr(value, "is_floating_point"):
            yield f"{path}{key}", value


class Rollbacks:
    """The times that a run went back, kept beside its checkpoints.

    The list is written before anything is removed, and says that it is `pending` until all later
    checkpoints are gone: a process killed in between leaves the rest of the work to `settle`.
    Nothing is saved between the two, so that no checkpoint made before a rollback is ever taken for
    one that was made after it.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def file(self) -> Path:
        return self.store.folder / FILE

    def list(self) -> list[dict[str, Any]]:
        """What happened, in order: found_step, to_step, found (in words)."""
        return list(self._read()["rollbacks"])

    def settle(self) -> int:
        """Finish what was begun; returns how often the run went back. Raises CheckpointError."""
        record = self._read()
        if record["pending"]:
            self.store.guard()
            self.store.drop_after(int(record["rollbacks"][-1]["to_step"]))
            files.write_json(self.file, record | {"pending": False})
        return len(record["rollbacks"])

    def latest(self, warn: Callable[[str], None]) -> Checkpoint | None:
        """As `Store.latest`, of those that were not given up.

        An attempt that was suspended in the middle of a commit may have finished it after another
        one took over and went back; what it trained with, the run has given up.
        """
        checkpoint, back = self.store.latest(warn), self.list()
        if checkpoint is None or not back or checkpoint.step <= back[-1]["to_step"]:
            return checkpoint
        if checkpoint.load().get("rollbacks", 0) >= len(back):
            return checkpoint
        warn(f"checkpoint removed: {checkpoint.folder} is from before the run was rolled back")
        self.store.guard()
        files.remove_folder(checkpoint.folder)
        return self.latest(warn)

    def go_back(self, step: int, found: str, epoch_steps: int) -> None:
        """Make the newest checkpoint at an epoch's end the latest of all.

        `found` says in words what was not finite at `step`. Raises CheckpointError if there is no
        good checkpoint.
        """
        entry = {"found_step": step, "to_step": self._target(step, epoch_steps), "found": found}
        record = {"format": _FORMAT, "pending": True, "rollbacks": [*self.list(), entry]}
        self.store.guard()
        files.write_json(self.file, record)
        self.settle()

    def _target(self, step: int, epoch_steps: int) -> int:
        """Where rolling back was asked for in the middle, there may be none at an epoch's end."""
        steps = [known for known in reversed(self.store.steps()) if known <= step]
        ends = [known for known in steps if known % epoch_steps == 0]
        for known in (*ends, *steps):
            if self.store.has(known):
                return known
        raise CheckpointError(f"no good checkpoint in {self.store.folder} to roll back to")

    def _read(self) -> dict[str, Any]:
        try:
            record = dict(files.read_json(self.file))
        except FileNotFoundError:
            return {"format": _FORMAT, "pending": False, "rollbacks": []}
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"{self.file} cannot be read: {error}") from None
        if record.get("format") != _FORMAT:
            raise CheckpointError(
                f"{self.file}: format {record.get('format')!r}; this version reads {_FORMAT}"
            )
        return record
