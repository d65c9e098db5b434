"""Follow-ups that PBS has deleted: submitted again by the stage that finishes after all.

PBS deletes what waits for a job that fails, is killed, or runs into its time limit, even if the run
goes on and succeeds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs import records, submissions
from jobs.pipeline import Stage, stages
from jobs.run import Run, RunError
from slurm import pbs_states, pickles, qsub, schedulers, succession
from slurm.errors import SchedulerError, Unreachable
from slurm.scheduler import JobState

ROOT = "GANYMEDE_ROOT"  # environment of a job: the folder of the run or pipeline it belongs to
SCHEDULER = "pbs"  # the only one that deletes them
_GONE = "gone"  # how a job left the queue of which PBS knows no more


def restore(root: str, say: Callable[[str], None] = print) -> list[str]:
    """Submit again what has left the queue of a pipeline without having begun; returns the jobs.

    What was cancelled, or fails by what else it needs, is left alone.
    """
    graph = stages(Run(Path(root)))
    if all(records.completion(stage.run, stage.name) for stage in graph):
        return []
    restoring = _Restoring(graph, say)
    try:
        restoring.restore()
    except SchedulerError as error:
        say(f"what comes next could not be submitted again ({error}): ganymede resume does it")
    except RunError as error:  # another stage, or a person, is at it
        say(str(error))
    return restoring.again


@dataclass
class _Restoring:
    """One look at all stages of a pipeline, in their order."""

    graph: list[Stage]
    say: Callable[[str], None]
    states: dict[str, JobState] = field(default_factory=dict)
    coming: dict[int, str] = field(default_factory=dict)  # jobs by the stage's id()
    again: list[str] = field(default_factory=list)
    _submitted: dict[str, tuple[Stage, dict[str, Any]]] = field(default_factory=dict)

    def restore(self) -> None:
        # In this order: what another one submits in between is noticed when ours is recorded.
        known = [(stage, submissions.latest(stage.run, stage.name)) for stage in self.graph]
        self._submitted = {record["token"]: (stage, record) for stage, record in known if record}
        ids = (str(record["job_id"]) for _, record in known if record and "job_id" in record)
        self.states = qsub.jobs(ended=ids)
        for stage, record in known:
            if records.completion(stage.run, stage.name):
                submissions.remove_stuck(stage.run, record, self.states)
            elif job_id := self._comes(record):
                self.coming[id(stage)] = job_id
            elif record and self._may_come(stage) and _was_dropped(stage, record, self.states):
                submissions.remove_stuck(stage.run, record, self.states)
                self._submit(stage, record)

    def _comes(self, record: dict[str, Any] | None) -> str | None:
        """The job that a stage is left to, the last one of a chain."""
        job_id = submissions.last(record, self.states)
        return None if job_id is None or self.states[job_id].is_stuck else job_id

    def _may_come(self, stage: Stage) -> bool:
        """Whether all that it needs is finished or comes itself."""
        return all(
            id(need) in self.coming or records.completion(need.run, need.name)
            for need in stage.after
        )

    def _submit(self, stage: Stage, record: dict[str, Any]) -> None:
        pbs = schedulers.of(SCHEDULER)
        needs = [self.coming[id(need)] for need in stage.after if id(need) in self.coming]
        dependency = pbs.after(needs) or pbs.after_any(self._lane(record))
        job_id = _submit_again(stage, record, dependency)
        self.say(f"{stage.run.path.name} {stage.name}: PBS had deleted it; again as job {job_id}")
        self.coming[id(stage)] = job_id
        self.again.append(job_id)

    def _lane(self, record: dict[str, Any]) -> list[str]:
        """Of a sweep with few runs at a time: the job that now stands where the one did whose end
        this one waited for.
        """
        while before := self.states.get(_any_end(record)):
            if before.token not in self._submitted:
                break
            stage, record = self._submitted[before.token]
            if job_id := self.coming.get(id(stage)):
                return [job_id]
        return []


def _any_end(record: dict[str, Any]) -> str:
    """The job whose end, good or not, another one waits for."""
    return str(record.get("dependency", "")).partition("afterany:")[2]


def _never_began(stage: Stage, record: dict[str, Any]) -> bool:
    """Whether a submission was accepted, not cancelled, and has had no attempt."""
    if stage.run.cancel_file.exists():
        return False
    return submissions.never_began(record, records.latest(stage.run, stage.name))


def _was_dropped(stage: Stage, record: dict[str, Any], states: dict[str, JobState]) -> bool:
    """Whether PBS took a stage's job away before it began; not if a person did."""
    if not _never_began(stage, record):
        return False
    left = states.get(str(record["job_id"]))
    if left is not None and left.is_stuck:
        return True
    told = record.get("left") or (left.state if left else _GONE)
    return submissions.was_removed(record) or told in (pbs_states.DROPPED, _GONE)


def _submit_again(stage: Stage, record: dict[str, Any], dependency: str) -> str:
    """The same wrapper under another token. Raises SchedulerError, or RunError if somebody else
    does so.
    """
    order = record.get("order", record["token"])  # whose wrapper and pickles they are
    token = submissions.new_token()
    facts = {"scheduler": SCHEDULER, "profile": record.get("profile"), "dependency": dependency}
    intent = submissions.intend(
        stage.run, stage.name, record["number"], token, None, order=order, **facts
    )
    script = stage.run.logs.resolve() / f"{order}.sh"
    try:
        for path in (script, succession.options_file(script)):
            pickles.require_private(path)
        job_id = succession.resubmit(script, token, dependency, {})
    except Unreachable as error:
        submissions.unanswered(stage.run, intent, str(error))
        raise
    except SchedulerError as error:
        submissions.refused(stage.run, intent, str(error))
        raise
    return submissions.accepted(stage.run, intent, job_id)
