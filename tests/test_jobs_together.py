import threading
from collections.abc import Callable

import pytest

from jobs import together


def test_results_are_in_the_items_order_and_calls_overlap() -> None:
    meeting = threading.Barrier(3)  # nobody goes on before all three have begun

    def meet(number: int) -> int:
        meeting.wait(timeout=60)
        return number

    assert together.each(meet, iter([3, 1, 2])) == [3, 1, 2]


@pytest.mark.parametrize("items", [[], [5]])
def test_fewer_than_two_need_no_threads(items: list[int]) -> None:
    made = together.each(lambda number: (number, threading.current_thread()), items)
    assert made == [(number, threading.current_thread()) for number in items]


def test_an_error_is_raised_once_what_had_begun_is_over() -> None:
    meeting, over = threading.Barrier(2), []

    def fail() -> None:
        meeting.wait(timeout=60)
        raise OSError("full")

    def work() -> None:
        meeting.wait(timeout=60)
        over.append("work")

    def call(action: Callable[[], None]) -> None:
        action()

    with pytest.raises(OSError, match="full"):
        together.each(call, [fail, work])
    assert over == ["work"]
