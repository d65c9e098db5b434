"""What PBS says of a job, and what that means: attributes as qstat prints them.

Measured on OpenPBS 23.06.
"""

import re
from collections.abc import Mapping
from typing import Any

from slurm.orders import TOKEN
from slurm.scheduler import JobState, Phase

DROPPED = "deleted before it ran, since what it waited for failed"
ORPHANED = "what it waited for never ran, and PBS holds it for ever"
Details = dict[str, Any]  # a job's attributes, as qstat prints them
_BEING_RERUN = 60  # substate of a job that is taken off its node to be queued again
_DELETED = 91  # substate of one that was deleted, whatever status it ended with
_SUCCEEDED = 92  # substate of one that ended with status 0, and of one whose dependency failed
WALLTIME = -29  # Exit_status of a job that PBS ended at its time limit
_RERUN = -11  # Exit_status, for a while, of a job that was queued again
_BY = "and terminated by"  # in the comment of a job that is, or was, deleted
_BY_SCHEDULER = f"{_BY} Scheduler@"  # a preemption by deletion
_PHASES = {
    "Q": Phase.WAITING,
    "H": Phase.WAITING,  # held: by its user, by an operator, or for what it depends on
    "W": Phase.WAITING,  # for a time of day
    "T": Phase.WAITING,  # being moved to another queue
    "R": Phase.RUNNING,
    "S": Phase.RUNNING,  # suspended: it goes on where it stood
    "U": Phase.RUNNING,  # suspended while somebody uses its workstation
    "B": Phase.RUNNING,  # an array, some of whose tasks have begun
    "M": Phase.RUNNING,  # at another server
    "E": Phase.ENDING,
    "X": Phase.OVER,  # a task of an array that goes on
    "F": Phase.OVER,
}


def states(known: Mapping[str, Details], is_all: bool = False) -> dict[str, JobState]:
    """What to make of jobs, in the order of their submission; a held one is judged by those of
    `known` that it waits for. `is_all`: PBS knows no others that they may wait for.
    """
    return {
        job_id: _state(job_id, known[job_id], known, is_all) for job_id in sorted(known, key=number)
    }


def _state(job_id: str, found: Details, known: Mapping[str, Details], is_all: bool) -> JobState:
    letter = str(found["job_state"])
    phase = _PHASES.get(letter, Phase.RUNNING)
    comment = comment_of(found)
    if phase == Phase.RUNNING and (is_rerun(found) or _BY in comment):
        phase = Phase.ENDING
    if phase == Phase.OVER:
        letter = how_it_ended(found)
    is_stuck = is_orphan(found, known, is_all)
    reason = _why_held(found, is_stuck) if letter == "H" else comment
    token = found.get("Variable_List", {}).get(TOKEN)
    told = str(token) if token else None
    return JobState(job_id, letter, reason or "no reason told", told, phase, is_stuck)


def is_rerun(found: Details) -> bool:
    """Whether PBS takes a job off its nodes to queue it again, under its id."""
    return found.get("substate") == _BEING_RERUN


def is_dropped_by_scheduler(found: Details) -> bool:
    """Whether the scheduler deletes, or has deleted, a job to make room."""
    return _BY_SCHEDULER in comment_of(found)


def is_being_deleted(found: Details) -> bool:
    """Whether somebody deletes, or has deleted, a job while it runs."""
    return _BY in comment_of(found)


def comment_of(found: Details) -> str:
    return str(found.get("comment", ""))


def _why_held(found: Details, is_stuck: bool) -> str:
    if is_stuck:
        return ORPHANED
    if needs := waits_for(found):
        return f"after {', '.join(needs)}"
    by = {"u": "its user", "o": "an operator", "s": "the system"}
    holders = [name for letter, name in by.items() if letter in str(found.get("Hold_Types", ""))]
    return comment_of(found) or f"held by {' and '.join(holders) or 'PBS'}"


def is_orphan(found: Details, known: Mapping[str, Details], is_all: bool) -> bool:
    """Whether a held job waits, through others or not, for one that was deleted while it waited
    itself, or, if `known` has all that may be waited for (`is_all`), is not known any more: PBS
    lets such a job neither go nor end. For a job that ended in any other way nothing waits.
    """
    if found.get("job_state") != "H":
        return False
    seen: set[str] = set()
    needs = waits_for(found)
    while needs:
        job_id = needs.pop()
        need = known.get(job_id)
        if need is None:
            if is_all:
                return True
        elif need["job_state"] == "F":
            return True
        elif need["job_state"] == "H" and job_id not in seen:
            needs += waits_for(need)
        seen.add(job_id)
    return False


def waits_for(found: Details) -> list[str]:
    """The jobs that a job waits for."""
    return [job_id for kind, ids in depends(found) if kind.startswith("after") for job_id in ids]


def waiting(found: Details) -> list[str]:
    """The jobs that wait for a job."""
    return [job_id for kind, ids in depends(found) if kind.startswith("before") for job_id in ids]


def depends(found: Details) -> list[tuple[str, list[str]]]:
    """The attribute `depend`: kinds (afterok, beforeany, ...) and their jobs."""
    parts = (part.split(":") for part in str(found.get("depend", "")).split(",") if part)
    return [(kind, [job_id.partition("@")[0] for job_id in ids]) for kind, *ids in parts]


def succeeded(found: Details) -> bool:
    """Whether a job ran and ended well. One that never ran looks so but for `run_count`."""
    is_over = found.get("job_state") in ("F", "X") and found.get("substate") == _SUCCEEDED
    return is_over and found.get("Exit_status") == 0 and _has_run(found)


def _has_run(found: Details) -> bool:
    """An array has no `run_count`, but a time at which it began."""
    return bool(found.get("run_count") or (found.get("array") and found.get("stime")))


def how_it_ended(found: Details) -> str:
    """In words, of a job that is over."""
    status, substate = found.get("Exit_status"), found.get("substate")
    if not _has_run(found):
        return DROPPED if substate == _SUCCEEDED else "deleted before it ran"
    if status == WALLTIME:
        return "ended by PBS at its time limit"
    if substate == _DELETED:
        return f"deleted {'before it ran again' if status == _RERUN else 'while it ran'}"
    return f"over, exit status {status}"


def why_ended(found: Details) -> str | None:
    """As `why_stopped`, of a job that is over; None: not known."""
    if found.get("Exit_status") == WALLTIME:
        return "time limit"
    if is_dropped_by_scheduler(found):
        return "preempted"
    return "cancelled" if _BY in comment_of(found) else None


def number(job_id: str) -> int:
    """By which jobs stand in the order of their submission."""
    return int(job_id.partition(".")[0].partition("[")[0])


def task_id(array: str, index: int) -> str:
    """The id of a task of an array."""
    return array.replace("[]", f"[{index}]", 1)


def array_of(job_id: str) -> str:
    """The id of the array of which a job is a task; that of any other job as it is."""
    return re.sub(r"\[\d+\]", "[]", job_id)
