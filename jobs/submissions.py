"""What was handed to a scheduler: an intent with a token first, the job's number afterwards.

A client that dies in between, or whose answer is lost, leaves a token by which the job is found.
"""

import functools
import secrets
import time
from typing import Any

from checkpoints import files
from jobs import processes, records
from jobs.run import Run, RunError
from slurm import schedulers
from slurm.scheduler import JobState, by_token

_LONGEST_S = 1200.0  # a client waits less for an answer (see `slurm.queue.submit`)
_FIRST = "slurm"  # the scheduler of records that name none
_REMOVED = "removed: "  # how a job left the queue that would have been held there for ever


def latest(run: Run, stage: str) -> dict[str, Any] | None:
    """The record of a stage's newest submission."""
    number = _newest(run, stage)
    return records.read(run.submission_file(stage, number)) if number else None


def _newest(run: Run, stage: str) -> int:
    return records.newest(run.submissions).get(stage, 0)


def intend(
    run: Run, stage: str, seen: int, token: str, index: int | None, **facts: Any
) -> dict[str, Any]:
    """Record that a stage is about to be submitted; `index` is its place in an array.

    `seen` is the number of the newest submission that the caller knows of, 0 for none. Raises
    RunError if there has been another one since: of two clients at it, one goes on.
    """
    record = {
        "stage": stage,
        "number": seen + 1,
        "token": token,
        "index": index,
        "attempts_before": records.newest(run.attempts).get(stage, 0),
        "intended": time.time(),  # UTC seconds
        **processes.this_process(),
        **facts,
    }
    try:
        files.create_bytes(run.submission_file(stage, seen + 1), files.to_json(record))
    except FileExistsError:
        raise RunError(
            f"{stage} of {run.path} has just been submitted by somebody else; look at its status"
        ) from None
    return record


def never_began(record: dict[str, Any] | None, attempt: dict[str, Any] | None) -> bool:
    """Whether a submission was accepted and has had no attempt yet; `attempt` is the newest one.

    Told by the attempts' numbers: their clocks need not agree.
    """
    if not record or "job_id" not in record:
        return False
    if attempt is None or "attempts_before" in record:
        return attempt is None or bool(attempt["number"] <= record["attempts_before"])
    return bool(attempt["started"] < record["intended"])  # by an earlier version


def is_under_way(record: dict[str, Any]) -> bool:
    """Whether the client that wrote the intent may still get an answer.

    One on a machine that cannot be asked is given as long as a submission can take.
    """
    if not {"job_id", "refused", "unanswered"}.isdisjoint(record):
        return False
    if not processes.is_alive(record):
        return False
    return processes.is_here(record) or time.time() - record["intended"] < _LONGEST_S


def accepted(run: Run, record: dict[str, Any], number: str) -> str:
    """Record the number that the scheduler gave; returns the job's id."""
    job_id = schedulers.of(scheduler_of(record)).task_id(number, record["index"])
    _update(run, record, job_id=job_id, submitted=time.time())
    return job_id


def refused(run: Run, record: dict[str, Any], why: str) -> None:
    """Record that there is no such job."""
    _update(run, record, refused=why)


def unanswered(run: Run, record: dict[str, Any], why: str) -> None:
    """Record that the client has given up without knowing whether there is such a job."""
    _update(run, record, unanswered=why)


def left_queue(run: Run, record: dict[str, Any], state: str) -> None:
    """Record in what state a job left the queue, before the scheduler forgets it."""
    if record.get("left") != state:
        # Not synced: after a power cut the state reads "gone", and a thousand jobs are many syncs.
        _update(run, record, sync=False, left=state)


def _update(run: Run, record: dict[str, Any], sync: bool = True, **facts: Any) -> None:
    record |= facts
    files.write_json(run.submission_file(record["stage"], record["number"]), record, sync)


def new_token() -> str:
    """Begins with a letter: PBS's JSON makes a number of what could be one."""
    return f"t{secrets.token_hex(8)}"


def scheduler_of(record: dict[str, Any]) -> str:
    """The name of the scheduler that a submission went to."""
    return str(record.get("scheduler", _FIRST))


def is_open(record: dict[str, Any] | None) -> bool:
    """Whether the scheduler may still have its job."""
    return bool(record) and {"refused", "left"}.isdisjoint(record or {})


def job_of(record: dict[str, Any] | None, states: dict[str, JobState]) -> str | None:
    """The job that a submission has made; None if it made none, as far as anybody knows."""
    if not record or "refused" in record:
        return None
    if "job_id" in record:
        return str(record["job_id"])
    found = by_token(states.values(), record["token"])
    if found is None:
        return None
    scheduler = schedulers.of(scheduler_of(record))
    return scheduler.task_id(scheduler.split_id(found.job_id)[0], record["index"])


def live(record: dict[str, Any] | None, states: dict[str, JobState]) -> JobState | None:
    """The waiting or running job of a submission, or one that goes on from it.

    `record` may be that of an attempt under a scheduler too, and `states` are its scheduler's.
    """
    job_id = job_of(record, states)
    state = states.get(job_id or "")
    if state and state.is_live:
        return state
    # Rather the one that runs: the next may be in the queue already.
    return min(later(record, states), key=lambda s: (s.is_waiting, s.is_stuck), default=None)


def last(record: dict[str, Any] | None, states: dict[str, JobState]) -> str | None:
    """The live job of a submission that is the last to go on: others are to wait for it."""
    if found := [state for state in later(record, states) if not state.is_stuck]:
        return found[-1].job_id
    state = live(record, states)
    return state.job_id if state else None


def stuck(record: dict[str, Any] | None, states: dict[str, JobState]) -> list[JobState]:
    """The jobs of a submission that their scheduler would hold for ever."""
    first = states.get(job_of(record, states) or "")
    return [s for s in (first, *later(record, states)) if s and s.is_live and s.is_stuck]


def remove_stuck(run: Run, record: dict[str, Any] | None, states: dict[str, JobState]) -> list[str]:
    """Have them removed, and put it on record; returns them. Raises SchedulerError."""
    found = stuck(record, states)
    if record and found:
        schedulers.of(scheduler_of(record)).cancel(s.job_id for s in reversed(found))
        if "intended" in record and found[0].job_id == record.get("job_id"):
            left_queue(run, record, f"{_REMOVED}{found[0].reason}")
    return [state.job_id for state in found]


def was_removed(record: dict[str, Any]) -> bool:
    """Whether the job of a submission was removed as one that would be held for ever."""
    return str(record.get("left", "")).startswith(_REMOVED)


def later(record: dict[str, Any] | None, states: dict[str, JobState]) -> list[JobState]:
    """The live jobs that go on from the job of a record, where that is under new ids; in the order
    of their submission.
    """
    if not record or "refused" in record or not record.get("token") or not states:
        return []
    name, first = scheduler_of(record), job_of(record, states)
    if not schedulers.of(name).renumbers:
        return []
    # All jobs are gone through for every stage of a sweep: what costs least, and rules most out,
    # comes first.
    token, index = record["token"], record.get("index")
    same = (s for s in states.values() if s.token == token and s.job_id != first)
    return [s for s in same if _index(name, s.job_id) == index and s.is_live]


@functools.lru_cache(maxsize=1 << 16)
def _index(scheduler: str, job_id: str) -> int | None:
    """Which task of its array a job is."""
    return schedulers.of(scheduler).split_id(job_id)[1]
