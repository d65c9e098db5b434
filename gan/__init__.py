"""The science: networks, losses, data, the training loop. Knows no scheduler.

`gan.load` gives a run's networks, ready to call; importing the package does not load torch.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from gan.loading import Model

__all__ = ["load"]


def load(
    path: str | Path, step: int | None = None, device: "str | torch.device" = "cpu"
) -> "Model":
    """The networks of a run, in eval mode: `path` is its folder, or one that was exported from it.

    A run may still be training: its latest good checkpoint is taken, or the one of `step`. The
    images that it was trained on are not needed. Raises gan.stored.RunError for what is no run,
    checkpoints.CheckpointError for weights that are damaged or of another network.
    """
    from gan import loading

    return loading.load(path, step, device)
