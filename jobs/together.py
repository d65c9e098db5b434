"""Many small files at once: each waits for the disk's answer, and disks answer many at a time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_AT_ONCE = 16
Given = TypeVar("Given")
Made = TypeVar("Made")


def each(function: Callable[[Given], Made], items: Iterable[Given]) -> list[Made]:
    """What `function` makes of every item, in their order; several calls are under way at a time.

    The first item that raises has its error raised, once the calls that had begun are over; those
    that had not begun are left out.
    """
    given = list(items)
    if len(given) < 2:
        return [function(item) for item in given]
    with ThreadPoolExecutor(min(_AT_ONCE, len(given))) as pool:
        return list(pool.map(function, given))
