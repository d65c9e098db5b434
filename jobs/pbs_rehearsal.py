"""The rehearsal on PBS: a job that is stopped, and goes on as another one."""

import time
from collections.abc import Callable
from pathlib import Path

from jobs import file_system, records, rehearsal
from jobs.rehearsal import REQUEUE_S, Rehearsal
from jobs.stage import say as say_with_time
from slurm import pbs_capabilities, pbs_states, pbs_trial, qsub, schedulers
from slurm.errors import SchedulerError
from slurm.findings import Finding, Verdict
from slurm.resources import Profile, Resources
from slurm.scheduler import JobState, Phase

_PBS = "pbs"


def rehearse(
    runs: Path, profile: Profile, flags: Resources, say: Callable[[str], None] = say_with_time
) -> list[Finding]:
    """What works on a node, tried by a tiny job; then a small training that is stopped and goes on.

    Raises RunError or ConfigError for a folder that cannot be used.
    """
    wanted = profile.for_stage("train", flags)
    found = pbs_trial.try_out(file_system.existing(runs), profile, wanted, say)
    if any(finding.verdict == Verdict.FAILS for finding in found):
        return found
    return found + rehearsal.rehearse(runs, profile, flags, say, OnPBS)


class OnPBS(Rehearsal):
    """What differs from Slurm."""

    scheduler = _PBS

    def _send_sigterm(self) -> None:
        qsub.call("qsig", "-s", "TERM", self.job_id, patience_s=60, say=self.say)

    def _grace(self) -> tuple[str, float | None]:
        name = "kill_delay"
        try:
            queue = str(qsub.details([self.job_id])[self.job_id]["queue"])
            found = {q.name: q.grace_s for q in pbs_capabilities.read().queues or ()}
            return name, found.get(queue)
        except (SchedulerError, KeyError):
            return name, None

    def go_on(self) -> None:
        """See it go on as another job, from what it saved."""
        before = self.job_id
        successor = self._wait("no other job goes on", REQUEUE_S, lambda: self._successor(before))
        self.job_id = successor
        told = f"job {before} submitted job {successor} and handed over to it"
        self.say(told)
        self.found.append(Finding("hands over", told, "a run goes on by itself"))
        self._see_progress(time.monotonic())

    def _successor(self, before: str) -> str | None:
        first = records.read(self.run.attempt_file(self.stage.name, 1))
        states = schedulers.of(_PBS).jobs().values()
        heirs = [s.job_id for s in states if s.is_live and s.token == first["token"]]
        return next((job_id for job_id in heirs if job_id != before), None)

    def _look(self) -> JobState:
        found = pbs_states.states(qsub.details([self.job_id])).get(self.job_id)
        return found or JobState(self.job_id, "unknown", "None", None, Phase.OVER)
