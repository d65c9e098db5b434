"""A submission that is never doubled, whatever becomes of its answer."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from slurm.errors import SchedulerError, SubmitLimit, Unreachable


@dataclass(frozen=True)
class Submission:
    """How one kind of scheduler is asked, and how a lost answer is made up for."""

    request: Callable[[], str]  # submits, and returns the job's id
    look_for: Callable[[float], str | None]  # the job, by its token; asked until this time at most
    is_limit: Callable[[str], bool]  # of a refusal: only the number of jobs is too large for now
    patience_s: float  # how long to wait for an answer

    def make(self, say: Callable[[str], None] = print) -> str:
        """Submit once; returns the job's id.

        If the answer is lost, the job is looked for by its token, and only a job that is not there
        is submitted again. Raises SubmitLimit, Unreachable if there is still no answer after
        `patience_s`, or SchedulerError.
        """
        end = time.monotonic() + self.patience_s
        while True:
            try:
                return self.request()
            except Unreachable as error:
                say(f"no answer to a submission: {error}; looking whether it arrived")
                found = self.look_for(end)
                if found:
                    say(f"it had arrived: job {found}")
                    return found
                if self.is_limit(str(error)):
                    raise SubmitLimit(str(error)) from None
                if time.monotonic() > end:
                    raise
                say("it had not arrived; submitting again")
            except SchedulerError as error:
                if self.is_limit(str(error)):
                    raise SubmitLimit(str(error)) from None
                raise
