"""A submission is made once, whatever becomes of its answers."""

from collections.abc import Callable, Iterator

import pytest

from slurm.errors import SchedulerError, SubmitLimit, Unreachable
from slurm.once import Submission

LOST = Unreachable("socket timed out")


class Scheduler:
    """Answers requests and looks in turn: an error is raised, anything else returned."""

    def __init__(self, requests: list[object], looks: list[object]) -> None:
        self.requests, self.looks = iter(requests), iter(looks)
        self.asked: list[str] = []

    def submission(self, patience_s: float = 60.0) -> Submission:
        return Submission(
            request=lambda: self._next("request", self.requests),
            look_for=lambda end: self._next("look", self.looks),
            is_limit=lambda told: "too many jobs" in told,
            patience_s=patience_s,
        )

    def _next(self, what: str, answers: Iterator[object]) -> str:
        self.asked.append(what)
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]


@pytest.fixture
def said() -> list[str]:
    return []


def made(scheduler: Scheduler, say: Callable[[str], None], patience_s: float = 60.0) -> str:
    return scheduler.submission(patience_s).make(say)


def test_an_answer_is_all_it_takes(said: list[str]) -> None:
    scheduler = Scheduler(["7"], [])
    assert made(scheduler, said.append) == "7"
    assert (scheduler.asked, said) == (["request"], [])


def test_what_had_arrived_is_not_asked_for_again(said: list[str]) -> None:
    scheduler = Scheduler([LOST], ["7"])
    assert made(scheduler, said.append) == "7"
    assert scheduler.asked == ["request", "look"]
    assert said == [
        "no answer to a submission: socket timed out; looking whether it arrived",
        "it had arrived: job 7",
    ]


def test_what_had_not_arrived_is_asked_for_again(said: list[str]) -> None:
    scheduler = Scheduler([LOST, LOST, "8"], [None, None])
    assert made(scheduler, said.append) == "8"
    assert scheduler.asked == ["request", "look"] * 2 + ["request"]


def test_nothing_is_asked_for_again_while_it_is_unknown_whether_it_arrived(
    said: list[str],
) -> None:
    scheduler = Scheduler([LOST], [Unreachable("still nobody")])
    with pytest.raises(Unreachable, match="still nobody"):
        made(scheduler, said.append)
    assert scheduler.asked == ["request", "look"]


def test_patience_ends(said: list[str]) -> None:
    scheduler = Scheduler([LOST], [None])
    with pytest.raises(Unreachable, match="socket timed out"):
        made(scheduler, said.append, patience_s=-1.0)
    assert scheduler.asked == ["request", "look"]


def test_a_refusal_is_final(said: list[str]) -> None:
    scheduler = Scheduler([SchedulerError("no such queue")], [])
    with pytest.raises(SchedulerError, match="no such queue"):
        made(scheduler, said.append)
    assert (scheduler.asked, said) == (["request"], [])


@pytest.mark.parametrize(
    ("error", "asked"), [(SchedulerError, ["request"]), (Unreachable, ["request", "look"])]
)
def test_a_limit_is_told_apart(
    said: list[str], error: type[SchedulerError], asked: list[str]
) -> None:
    scheduler = Scheduler([error("too many jobs, try later")], [None])
    with pytest.raises(SubmitLimit, match="too many jobs, try later"):
        made(scheduler, said.append)
    assert scheduler.asked == asked
