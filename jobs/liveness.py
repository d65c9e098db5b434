"""Whether an attempt still runs: asked of its scheduler, or of this machine, never of a clock."""

import time
from typing import Any

from checkpoints import files
from jobs import processes, records
from jobs.ranks import Place
from jobs.records import Cause
from jobs.run import Run
from slurm import schedulers
from slurm.errors import SchedulerError


def is_alive(record: dict[str, Any], place: Place) -> bool:
    """Whether the attempt of `record` runs, as far as a process at `place` can find out.

    One that cannot be asked about counts as alive.
    """
    if "cause" in record:
        return False
    name = records.scheduler_of(record)
    if name is None:
        return processes.is_alive(record)
    if place.scheduler == name and record["job_id"] == place.job_id:
        # The scheduler starts a job again only when it has ended all of the start before.
        return all(record[name] == value for name, value in place.key.items())
    try:
        return schedulers.of(name).is_live(record["job_id"])
    except SchedulerError:
        return True


def settle(run: Run, stage: str, place: Place) -> None:
    """Write down the cause of the latest attempt, if that ended without having told."""
    record = records.latest(run, stage)
    if record is None or "cause" in record or is_alive(record, place):
        return
    cause = Cause.NODE_LOST if _lost_its_node(record) else _told_cause(record) or Cause.KILLED
    values = {"cause": str(cause), "error": "it left no record of its end", "noticed": time.time()}
    files.write_json(run.attempt_file(stage, record["number"]), record | values)


def _told_cause(record: dict[str, Any]) -> Cause | None:
    """What the attempt's scheduler still knows of its end."""
    name = records.scheduler_of(record)
    if name is None:
        return None
    try:
        told = schedulers.of(name).how_ended(str(record["job_id"]))
    except SchedulerError:
        return None
    return Cause(told) if told else None


def _lost_its_node(record: dict[str, Any]) -> bool:
    name, nodes = records.scheduler_of(record), record.get("nodes")
    if name is None or not nodes:
        return False
    try:
        return schedulers.of(name).lost_node(nodes, record["started"])
    except SchedulerError:
        return False
