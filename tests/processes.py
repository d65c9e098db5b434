"""Real processes for tests of several ranks: kept between tests, since each loads torch anew."""

import os
import pickle
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch.distributed import TCPStore

from gan import distributed, numerics

_LIMIT_S = 120.0


class Ranks:
    """Calls a function in several processes at once: rank 0, 1, ... each with its own arguments."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []

    def connected(self, size: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
        """What `work(world, *arguments)` returns on each of `size` ranks that share a world."""
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        calls = [(_connected, rank, size, store.port, work, arguments) for rank in range(size)]
        return self._call(calls)

    def apart(self, work: Callable[..., Any], *arguments: tuple[Any, ...]) -> list[Any]:
        """What `work(*arguments[rank])` returns, one process for each tuple of arguments."""
        return self._call([(work, *given) for given in arguments])

    def _call(self, calls: list[tuple[Any, ...]]) -> list[Any]:
        """Results in order; of a process that died, its negative signal. Raises what failed."""
        while len(self._workers) < len(calls):
            self._workers.append(_Worker.start())
        workers = self._workers[: len(calls)]
        for worker, call in zip(workers, calls, strict=True):
            worker.pipe.send_bytes(pickle.dumps(call))
        answers = [worker.answer() for worker in workers]
        self._workers = [worker for worker in self._workers if worker.process.is_alive()]
        failures = [value for failed, value in answers if failed]
        assert not failures, "\n".join(failures)
        return [value for _, value in answers]

    def close(self) -> None:
        for worker in self._workers:
            worker.pipe.close()
            worker.process.join(_LIMIT_S)


@dataclass
class _Worker:
    process: Any
    pipe: "Connection[bytes, bytes]"

    @classmethod
    def start(cls) -> "_Worker":
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        return cls(process, ours)

    def answer(self) -> tuple[bool, Any]:
        if not self.pipe.poll(_LIMIT_S):
            self.process.kill()
            return True, f"no answer in {_LIMIT_S:.0f} s"
        try:
            return pickle.loads(self.pipe.recv_bytes())
        except (EOFError, ConnectionResetError):
            self.process.join(_LIMIT_S)
            return False, self.process.exitcode


def _serve(pipe: "Connection[bytes, bytes]") -> None:
    numerics.configure(1)
    while True:
        try:
            work, *arguments = pickle.loads(pipe.recv_bytes())
        except EOFError:
            return
        try:
            answer = False, work(*arguments)
        except BaseException:
            answer = True, traceback.format_exc()
        pipe.send_bytes(pickle.dumps(answer))


def _connected(
    rank: int, size: int, port: int, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> Any:
    store = TCPStore("127.0.0.1", port, is_master=False)
    try:
        return work(distributed.connect(rank, size, store, torch.device("cpu")), *arguments)
    finally:
        distributed.disconnect()


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    """These environment variables, as long as the context lasts."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
