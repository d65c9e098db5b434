"""Stopping a run for good, wherever its jobs are."""

from checkpoints import files
from jobs import records, submissions
from jobs.local import signal_attempt
from jobs.pipeline import Stage, stages
from jobs.run import Run
from slurm import queue

_PATIENCE_S = 60.0


def cancel(run: Run) -> str:
    """Mark the run as cancelled, and ask its jobs to save and stop; says what was asked.

    Raises SchedulerError if jobs are queued and the scheduler cannot be told; the mark stays, and
    the jobs notice it by themselves.
    """
    graph = stages(run)
    for marked in {stage.run.path: stage.run for stage in graph}.values():
        files.write_json(marked.cancel_file, {"by": "ganymede cancel"})
    here = [stage.name for stage in graph if signal_attempt(stage)]
    queued = list(dict.fromkeys(job_id for stage in graph for job_id in _jobs(stage)))
    unanswered = [stage for stage in graph if _has_no_answer(stage)]
    if unanswered:  # by a client that died right after submitting
        states = queue.jobs(patience_s=_PATIENCE_S)
        found = (submissions.live(submissions.latest(s.run, s.name), states) for s in unanswered)
        queued += [state.job_id for state in found if state]
    if queued:
        # First what waits: a job that ends must not let its followers go.
        queue.cancel(reversed(queued))
    told = [f"asked to save and stop: {', '.join(here)}"] if here else []
    told += [f"removed from the queue: {', '.join(queued)}"] if queued else []
    return "; ".join(told) or "nothing ran here, and nothing was queued"


def _jobs(stage: Stage) -> list[str]:
    """The jobs of a stage that may still wait or run, as far as is on record."""
    attempt = records.latest(stage.run, stage.name) or {}
    record = submissions.latest(stage.run, stage.name) or {}
    found = []
    if attempt.get("scheduler") == "slurm" and "cause" not in attempt:
        found.append(str(attempt["job_id"]))
    if (
        "job_id" in record
        and "left" not in record
        and not records.completion(stage.run, stage.name)
    ):
        found.append(str(record["job_id"]))
    return found


def _has_no_answer(stage: Stage) -> bool:
    record = submissions.latest(stage.run, stage.name)
    return record is not None and {"job_id", "refused", "left"}.isdisjoint(record)
