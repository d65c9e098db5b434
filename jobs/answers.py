"""What the schedulers say of all jobs of this user, for everything that is looked at."""

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from slurm import schedulers
from slurm.errors import SchedulerError
from slurm.scheduler import JobState


@dataclass(frozen=True)
class _Answer:
    """What a scheduler said of all jobs of this user."""

    states: dict[str, JobState] | None  # by job id; None: it did not answer
    asked_at: float  # UTC seconds
    answered: float  # of the monotonic clock


class Queue:
    """The schedulers' answers: each is asked once, and only if something is to be known of it."""

    def __init__(
        self,
        max_age_s: float = math.inf,
        patience_s: float = 60.0,
        say: Callable[[str], None] = lambda message: print(message, file=sys.stderr),
    ) -> None:
        self.max_age_s, self.patience_s, self.say = max_age_s, patience_s, say
        self._answers: dict[str, _Answer] = {}

    def states(self, scheduler: str) -> dict[str, JobState] | None:
        """By job id; None if the scheduler does not answer, which is then said once."""
        known = self._answers.get(scheduler)
        if known is None or time.monotonic() - known.answered > self.max_age_s:
            known = self._answers[scheduler] = self._ask(scheduler)
        return known.states

    def asked_at(self, scheduler: str) -> float:
        """When it was asked what `states` tells, in UTC seconds."""
        return self._answers[scheduler].asked_at

    def _ask(self, scheduler: str) -> _Answer:
        asked_at, states = time.time(), None
        try:
            states = schedulers.of(scheduler).jobs(patience_s=self.patience_s, say=self.say)
        except SchedulerError as error:
            self.say(f"{error}; shown is what the runs themselves have recorded")
        return _Answer(states, asked_at, time.monotonic())
