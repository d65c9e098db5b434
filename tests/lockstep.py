"""Processes of a cluster, in one: each goes on for some file operations, then stands still.

Suspended so in the middle of whatever it does, it sees what others have done meanwhile. Killed, it
does nothing to any file any more, as after SIGKILL, however many `finally` its code has.
"""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from greenlet import getcurrent, greenlet

_CHANGES = ("mkdir", "rename", "replace", "link", "unlink", "rmdir")


class Killed(BaseException):
    """Unwinds a process that is no more; nothing that it does on the way reaches a file."""


class Actor(greenlet):
    """A process, or a batch script with its processes one after the other, on one machine."""

    def __init__(self, host: str, environment: dict[str, str], work: Callable[[], Any]) -> None:
        super().__init__(self._begin)
        self.host, self.environment, self._work = host, environment, work
        self.killed = self._free = False
        self._left = 0  # operations until it stands still again

    def advance(self, operations: int) -> None:
        """Let it go on, for so many file operations or to its end."""
        if self.dead:
            return
        self._left = operations
        before = dict(os.environ)
        os.environ.update(self.environment)
        self.switch()
        for name in self.environment:
            os.environ.pop(name)
        os.environ.update(before)

    def kill(self) -> None:
        """End it where it stands."""
        self.killed = True
        self.advance(1)

    @contextmanager
    def unhindered(self) -> Iterator[None]:
        """Operations in here do not count: it is the test that looks."""
        before, self._free = self._free, True
        try:
            yield
        finally:
            self._free = before

    def stand_still(self) -> None:
        """Where another one may come in between."""
        if self._free:
            return
        if not self.killed and self._left <= 0:
            self.parent.switch()
        self._left -= 1
        if self.killed:
            raise Killed

    def _begin(self) -> None:
        if not self.killed:
            with suppress(Killed):
                self._work()


def current() -> Actor | None:
    """Who is at it; None: the test itself."""
    here = getcurrent()
    return here if isinstance(here, Actor) else None


def stand_still() -> None:
    """Where another one may come in between, apart from files."""
    if actor := current():
        actor.stand_still()


def install(patch: pytest.MonkeyPatch, changed: Callable[[Actor, str], None]) -> None:
    """Have every file operation of an actor be a place where it may stand still or be killed.

    `changed` is told the path of all that came under a new name. What reaches the disk when the
    power goes is not tried here, so that nothing is synced.
    """
    for name in _CHANGES:
        patch.setattr(os, name, _hindered(getattr(os, name), changed))
    patch.setattr(os, "scandir", _hindered(os.scandir, lambda actor, path: None))
    patch.setattr(io, "open", _hindered_open(io.open))
    patch.setattr(os, "fsync", lambda descriptor: None)


def _hindered(real: Callable[..., Any], changed: Callable[[Actor, str], None]) -> Callable:
    def operation(*arguments: Any, **options: Any) -> Any:
        actor = current()
        if actor is None:
            return real(*arguments, **options)
        actor.stand_still()
        result = real(*arguments, **options)
        if len(arguments) > 1 and isinstance(arguments[1], str | os.PathLike):
            with actor.unhindered():
                changed(actor, os.fspath(arguments[1]))
        return result

    return operation


def _hindered_open(real: Callable[..., Any]) -> Callable:
    def operation(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        actor = current()
        if actor is not None and not mode.startswith("r"):
            actor.stand_still()
        return real(file, mode, *arguments, **options)

    return operation
