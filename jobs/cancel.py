"""Stopping a run for good, wherever its jobs are."""

from checkpoints import files
from jobs import records, submissions
from jobs.local import signal_attempt
from jobs.pipeline import stages
from jobs.run import Run
from slurm import queue


def cancel(run: Run) -> str:
    """Mark the run as cancelled, and ask its jobs to save and stop; says what was asked.

    Raises SchedulerError if jobs are queued and the scheduler cannot be told; the mark stays, and
    the jobs notice it by themselves.
    """
    graph = stages(run)
    for marked in {stage.run.path: stage.run for stage in graph}.values():
        files.write_json(marked.cancel_file, {"by": "ganymede cancel"})
    here = [stage.name for stage in graph if signal_attempt(stage)]
    queued = []
    for stage in graph:
        record = submissions.latest(stage.run, stage.name)
        attempt = records.latest(stage.run, stage.name) or {}
        if attempt.get("scheduler") == "slurm" and "cause" not in attempt:
            queued.append(attempt["job_id"])
        elif record and record.get("job_id") and "left" not in record:
            done = records.completion(stage.run, stage.name)
            queued += [] if done else [record["job_id"]]
    if queued:
        # First what waits: a job that ends must not let its followers go.
        queue.cancel(reversed(queued))
    told = [f"asked to save and stop: {', '.join(here)}"] if here else []
    told += [f"removed from the queue: {', '.join(queued)}"] if queued else []
    return "; ".join(told) or "nothing ran here, and nothing was queued"
