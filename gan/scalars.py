"""Curves and pictures for TensorBoard, each step once, however often the run was killed."""

import logging
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from checkpoints import files

Curves = dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]
_PREFIX = "events.out.tfevents."


class ScalarLog:
    """An event file of one attempt, in TensorBoard's format.

    It opens with the mark that makes TensorBoard disown what earlier files hold at `purge_step` or
    later: the run went back to before it, and will log it again. TensorBoard reads the files in the
    order of their names, so they are numbered. (torch's SummaryWriter puts the second of the clock,
    the host and the process there: two attempts in one second, or a clock set back, and the mark
    takes effect on the wrong file.) Written without a thread: a full disk is an OSError here. Only
    `sync` may be called from another one.
    """

    def __init__(self, folder: Path, purge_step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        files.make_folder(folder)
        number = max((_number(path) for path in folder.glob(f"{_PREFIX}*")), default=0) + 1
        self._event = Event
        self._closing = threading.Lock()
        self._file = (folder / f"{_PREFIX}{number:010d}").open("xb")
        files.sync_folder(folder)  # what is flushed later is durable only under a durable name
        self._records = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")
        start = SessionLog(status=SessionLog.START)
        self._write(step=purge_step, session_log=start)

    def _write(self, **fields: Any) -> None:
        event = self._event(wall_time=time.time(), **fields)
        self._records.write(event.SerializeToString())

    def add(self, step: int, values: Mapping[str, float]) -> None:
        from torch.utils.tensorboard.summary import scalar

        for tag, value in values.items():
            self._write(step=step, summary=scalar(tag, value))

    def add_picture(self, step: int, tag: str, picture: NDArray[np.uint8]) -> None:
        """A picture (H, W, C), uint8."""
        from torch.utils.tensorboard.summary import image

        self._write(step=step, summary=image(tag, picture, dataformats="HWC"))

    def flush(self) -> None:
        """Hand everything to the system: after `sync` it is durable, too."""
        self._records.flush()

    def sync(self) -> None:
        """Make durable what was flushed. May take long, where the file system is slow."""
        with self._closing:
            if not self._file.closed:
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Make everything durable, and end."""
        try:
            self.flush()
            self.sync()
        finally:
            with self._closing:
                self._records.close()


def _number(path: Path) -> int:
    digits = path.name.removeprefix(_PREFIX)
    return int(digits) if digits.isdecimal() else 0


def read(folder: Path) -> Curves:
    """All curves of a run: tag to (steps, values), disowned entries left out."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it warns of every disowning
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
