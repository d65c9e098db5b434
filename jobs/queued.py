"""What a scheduler has of a run already: jobs that wait, run or end, whoever submitted them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from jobs import records, submissions
from jobs.pipeline import Stage
from jobs.run import RunError
from slurm.scheduler import JobState, Scheduler

PATIENCE_S = 120.0
_LOOK_AGAIN_S = 5.0
_LOST_S = 120.0  # an unanswered submission younger than this may still be on its way
Record = dict[str, Any]


@dataclass
class Queued:
    """One scheduler's answer, asked anew while something in it is about to change."""

    scheduler: Scheduler
    say: Callable[[str], None] = print
    states: dict[str, JobState] = field(default_factory=dict)

    def ask(self) -> None:
        self.states = self.scheduler.jobs(patience_s=PATIENCE_S, say=self.say)

    def submission(self, record: Record | None) -> Record | None:
        """A submission, if it went to this scheduler."""
        ours = record and submissions.scheduler_of(record) == self.scheduler.name
        return record if ours else None

    def attempt(self, stage: Stage) -> Record | None:
        """The newest attempt at a stage, if it was under this scheduler."""
        record = records.latest(stage.run, stage.name)
        ours = record and records.scheduler_of(record) == self.scheduler.name
        return record if ours else None

    def wait_for_ends(self, known: Sequence[Record | None]) -> None:
        """A job that is just ending may come back, or be gone: wait until it is one of the two."""
        end = time.monotonic() + PATIENCE_S
        while ending := self._ending(known):
            if time.monotonic() > end:
                raise RunError(f"job {ending.job_id} does not end; try again later")
            self.say(f"job {ending.job_id} is ending; waiting for it")
            time.sleep(_LOOK_AGAIN_S)
            self.ask()

    def _ending(self, known: Sequence[Record | None]) -> JobState | None:
        live = (submissions.live(record, self.states) for record in known)
        return next((state for state in live if state and state.is_ending), None)

    def job(self, stage: Stage, seen: Record | None) -> str | None:
        """The waiting or running job of a stage, of which `seen` is the newest submission; what
        would be held for ever is removed.
        """
        record, attempt = self.submission(seen), self.attempt(stage)
        if record and "job_id" not in record and "refused" not in record:
            self._find_lost(stage, record)
        for known in (record, attempt):
            for removed in submissions.remove_stuck(stage.run, known, self.states):
                self.say(f"{stage.name}: job {removed} would be held for ever; removed")
                del self.states[removed]
        if job_id := submissions.last(record, self.states):
            return job_id
        state = submissions.live(attempt, self.states)
        if attempt and state and (state.is_waiting or ("cause" not in attempt and state.is_live)):
            return state.job_id
        return None

    def _find_lost(self, stage: Stage, record: Record) -> None:
        """A client died between submitting and writing the answer down: look for its job."""
        first_look = time.monotonic()
        while not (job_id := submissions.job_of(record, self.states)):
            if submissions.is_under_way(record):
                raise RunError(
                    f"{stage.name} of {stage.run.path} is being submitted by process "
                    f"{record['pid']} on {record['host']}"
                )
            waited = time.monotonic() - first_look  # as a clock that was set back never gets there
            if max(waited, time.time() - record["intended"]) > _LOST_S:
                submissions.refused(stage.run, record, "never arrived")
                return
            self.say(f"{stage.name}: an earlier submission got no answer; looking for its job")
            time.sleep(_LOOK_AGAIN_S)
            self.ask()
        self.say(f"{stage.name}: found job {job_id}, submitted before")
        submissions.accepted(stage.run, record, self.scheduler.split_id(job_id)[0])
