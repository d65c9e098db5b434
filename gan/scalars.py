"""Curves and pictures for TensorBoard, each step once, however often the run was killed."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Curves = dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]


class ScalarLog:
    """An event file of one attempt.

    What earlier attempts logged at `purge_step` or later is disowned: the run went back to before
    it, and will log it again.
    """

    def __init__(self, folder: Path, purge_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=purge_step)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        for tag, value in values.items():
            self._writer.add_scalar(tag, value, step)

    def add_picture(self, step: int, tag: str, picture: NDArray[np.uint8]) -> None:
        """A picture (H, W, C), uint8."""
        self._writer.add_image(tag, picture, step, dataformats="HWC")

    def flush(self) -> None:
        """Hand everything to the system: a killed process loses nothing of it."""
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def read(folder: Path) -> Curves:
    """All curves of a run: tag to (steps, values), disowned entries left out."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    # 0 keeps every entry; the default keeps a random choice.
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 1, "tensors": 0})
    events.Reload()
    return {
        tag: (
            np.array([event.step for event in events.Scalars(tag)], dtype=np.int64),
            np.array([event.value for event in events.Scalars(tag)]),
        )
        for tag in events.Tags()["scalars"]
    }
