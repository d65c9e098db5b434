"""Being told to stop: signals and a deadline, turned into a flag that the work reads."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2, signal.SIGHUP)
MINUTES = "GANYMEDE_MINUTES"  # environment variable: how long a job may take
END = "GANYMEDE_END"  # environment variable: when the scheduler ends the job, in UTC seconds
_REASONS = {
    signal.SIGTERM: "terminated",
    signal.SIGINT: "interrupted",
    signal.SIGUSR2: "preempted",
    signal.SIGHUP: "terminated",  # the terminal was closed
}
# A terminal or a scheduler may deliver one request twice, to the process and through its parent.
_SAME_REQUEST_S = 1.0
_LEAST_MARGIN_S = 5.0
_BATCH_MARGIN_S = 10.0  # for the batch script, which has to ask for the next start in time


class StopRequest:
    """A flag that signals set and that a deadline sets by itself.

    `deadline` is in `time.monotonic()` seconds. The handlers only note the signal; whoever does the
    work asks `reason` often and saves in its own time. A second SIGINT, from a person who will not
    wait, raises KeyboardInterrupt. Time in which a scheduler has suspended the process does not
    count: it is no part of a job's time limit.
    """

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self.signal: signal.Signals | None = None
        self._received = 0.0
        self._looked = time.monotonic()  # when the work asked last
        self._longest_s = 0.0  # between two questions

    def reason(self, save_s: float = 0.0) -> str | None:
        """Why to stop, or None. `save_s` is how many seconds a save has taken: the deadline is
        kept by twice that, and by 5 s at least.
        """
        now = time.monotonic()
        self._longest_s, self._looked = max(self._longest_s, now - self._looked), now
        if self.signal is not None:
            return _REASONS[self.signal]
        margin = max(2 * save_s, _LEAST_MARGIN_S)
        if self.deadline is not None and now > self.deadline - margin:
            return "time limit"
        return None

    def handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        repeated = self.signal is not None and now - self._received > _SAME_REQUEST_S
        if repeated and number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is None:
            self.signal, self._received = signal.Signals(number), now

    def handle_continued(self, number: int, frame: FrameType | None) -> None:
        """After SIGSTOP and SIGCONT. How long it stood still is known only as well as the work asks
        often: rather too little is added.
        """
        now = time.monotonic()
        stood_s = now - self._looked - self._longest_s
        if self.deadline is not None and stood_s > 0:
            self.deadline += stood_s
        self._looked = now

    @contextmanager
    def listening(self) -> Iterator["StopRequest"]:
        """Handle the signals while the context lasts; the handlers before are put back.

        Outside the main thread, where Python allows no handlers, only the deadline counts.
        """
        previous: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            previous = {n: signal.signal(n, self.handle) for n in SIGNALS if not _is_shielded(n)}
            previous[signal.SIGCONT] = signal.signal(signal.SIGCONT, self.handle_continued)
        try:
            yield self
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _is_shielded(number: signal.Signals) -> bool:
    """Whether the process was started under nohup."""
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN


def deadline_from_environment() -> float | None:
    """The deadline of this process, if its launcher or its scheduler set one."""
    now, deadlines = time.monotonic(), []
    if minutes := os.environ.get(MINUTES):
        deadlines.append(now + 60 * float(minutes))
    if end := os.environ.get(END):
        deadlines.append(now + float(end) - time.time() - _BATCH_MARGIN_S)
    return min(deadlines, default=None)
