"""Saving beside training: a copy into kept host buffers, then a background write."""

import io
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from checkpoints.store import Store

Tree = dict[str, Any]  # of tensors and plain values, by name


class BackgroundSaver:
    """Writes checkpoints in a thread while training goes on.

    The state is copied before `save` returns, into host buffers that are kept from one save to the
    next. The copy is needed on a CPU too: `.cpu()` there returns the live tensor, which the next
    update would change under the writer's hands.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.longest_save_s = 0.0  # seconds from the start of the copy to the commit
        self._buffers: dict[str, Tensor] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None
        self._preparing: Future[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a save is under way, so that the next one would have to wait."""
        return self._pending is not None and not self._pending.done()

    def prepare(self, state: Tree) -> None:
        """Make the buffers for a state like this one in the background, ahead of the first save.

        Memory that is new has to be cleared by the kernel, which takes longer than the copy.
        """
        self._preparing = self._thread.submit(self._make_buffers, state, "")

    def save(
        self, step: int, state: Tree, approve: Callable[[Tree], bool] = lambda copy: True
    ) -> None:
        """Start saving a tree of tensors and plain values as the checkpoint of `step`.

        Waits for the save before, if that is still under way, and raises its error if it failed.
        `approve` is called with the copy in the background; if it says no, nothing is written.
        """
        started = time.monotonic()
        self.wait()
        if self._preparing is not None:
            self._preparing.result()
            self._preparing = None
        tree = self._copy(state, "")
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._pending = self._thread.submit(self._write, step, tree, started, approve)

    def check(self) -> None:
        """Raise the error of a background save that has failed; costs next to nothing."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Return when nothing is being written any more. Raises the error of a failed save."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Finish what is being written and end the thread; errors are raised."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()

    def _write(
        self, step: int, tree: Tree, started: float, approve: Callable[[Tree], bool]
    ) -> None:
        if not approve(tree):
            return
        # Serialised in memory first: a full disk is then a plain OSError of a plain write.
        stream = io.BytesIO()
        torch.save(tree, stream)
        self.store.commit(step, stream.getbuffer())
        self.longest_save_s = max(self.longest_save_s, time.monotonic() - started)

    def _copy(self, node: Any, path: str) -> Any:
        if isinstance(node, dict):
            # A pickle refers to a string that it has met before. Interned, equal keys are one
            # object, so that a state that was once loaded gives the same bytes again.
            return {
                sys.intern(key): self._copy(value, f"{path}/{key}") for key, value in node.items()
            }
        if not isinstance(node, Tensor):
            return node
        return self._buffer(node, path).copy_(node.detach(), non_blocking=True)

    def _make_buffers(self, node: Any, path: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                self._make_buffers(value, f"{path}/{key}")
        elif isinstance(node, Tensor):
            self._buffer(node, path).zero_()

    def _buffer(self, like: Tensor, path: str) -> Tensor:
        """The host memory kept for the tensor of this name; what is in it may be anything."""
        buffer = self._buffers.get(path)
        if buffer is None or buffer.shape != like.shape or buffer.dtype != like.dtype:
            buffer = torch.empty(like.shape, dtype=like.dtype, pin_memory=like.is_cuda)
            self._buffers[path] = buffer
        return buffer
