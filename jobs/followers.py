"""Follow-ups that PBS has deleted: submitted again by the stage that finishes after all.

PBS deletes what waits for a job that fails, is killed, or runs into its time limit, even if the run
goes on and succeeds.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs import records, submissions
from jobs.pipeline import Stage, stages
from jobs.run import Run, RunError
from slurm import pbs_states, qsub, schedulers, succession
from slurm.errors import SchedulerError, Unreachable
from slurm.scheduler import JobState

ROOT = "GANYMEDE_ROOT"  # environment of a job: the folder of the run or pipeline it belongs to
_PBS = "pbs"


def restore(root: str, say: Callable[[str], None] = print) -> list[str]:
    """Submit again what has left the queue of a pipeline without having begun; returns the jobs.

    What was cancelled, or fails by what else it needs, is left alone.
    """
    graph = stages(Run(Path(root)))
    try:
        if not _some_dropped(graph):  # as it mostly is: PBS is asked about these few jobs alone
            return []
        return _restore(graph, schedulers.of(_PBS).jobs(), say)
    except SchedulerError as error:
        say(f"what comes next could not be submitted again ({error}): ganymede resume does it")
    except RunError as error:  # another stage, or a person, is at it
        say(str(error))
    return []


def _some_dropped(graph: list[Stage]) -> bool:
    """Whether there is anything to restore, as far as the jobs that have not begun can tell."""
    newest = ((stage, submissions.latest(stage.run, stage.name)) for stage in graph)
    open_ones = [
        (stage, record)
        for stage, record in newest
        if record and _never_began(stage, record) and not records.completion(stage.run, stage.name)
    ]
    states = pbs_states.states(qsub.details(str(record["job_id"]) for _, record in open_ones))
    return any(_was_dropped(stage, record, states) for stage, record in open_ones)


def _restore(
    graph: list[Stage], states: dict[str, JobState], say: Callable[[str], None]
) -> list[str]:
    coming: dict[int, str] = {}  # jobs by the stage's id()
    again = []
    for stage in graph:
        if records.completion(stage.run, stage.name):
            continue
        record = submissions.latest(stage.run, stage.name)
        live = submissions.live(record, states)
        if live and not live.is_stuck:
            coming[id(stage)] = live.job_id
            continue
        needs = [n for n in stage.after if not records.completion(n.run, n.name)]
        if any(id(need) not in coming for need in needs):
            continue
        if not record or not _was_dropped(stage, record, states):
            continue
        if live:
            qsub.cancel([live.job_id])
        job_id = _submit_again(stage, record, [coming[id(need)] for need in needs])
        say(f"{stage.run.path.name} {stage.name}: PBS had deleted it; again as job {job_id}")
        coming[id(stage)] = job_id
        again.append(job_id)
    return again


def _never_began(stage: Stage, record: dict[str, Any]) -> bool:
    """Whether a submission was accepted, not cancelled, and has had no attempt."""
    if "job_id" not in record or stage.run.cancel_file.exists():
        return False
    attempt = records.latest(stage.run, stage.name)
    return attempt is None or attempt["started"] < record["intended"]


def _was_dropped(stage: Stage, record: dict[str, Any], states: dict[str, JobState]) -> bool:
    """Whether PBS took a stage's job away before it began; not if a person did."""
    if not _never_began(stage, record):
        return False
    left = states.get(str(record["job_id"]))
    return left is None or left.is_stuck or left.state == pbs_states.DROPPED


def _submit_again(stage: Stage, record: dict[str, Any], needs: list[str]) -> str:
    """The same wrapper under another token. Raises SchedulerError, or RunError if somebody else
    does so.
    """
    order = record.get("order", record["token"])  # whose wrapper and pickles they are
    token, dependency = submissions.new_token(), schedulers.of(_PBS).after(needs)
    facts = {"scheduler": _PBS, "profile": record.get("profile"), "dependency": dependency}
    intent = submissions.intend(
        stage.run, stage.name, record["number"], token, None, order=order, **facts
    )
    script = stage.run.logs.resolve() / f"{order}.sh"
    try:
        job_id = succession.resubmit(script, token, dependency, {})
    except Unreachable as error:
        submissions.unanswered(stage.run, intent, str(error))
        raise
    except SchedulerError as error:
        submissions.refused(stage.run, intent, str(error))
        raise
    return submissions.accepted(stage.run, intent, job_id)
