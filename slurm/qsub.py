"""Talking with PBS: submit once, ask once, and point what waits at a successor.

Only qsub, qstat, qselect, qalter and qdel. What is known of their habits was measured on OpenPBS
23.06.
"""

import json
import os
import pwd
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slurm import commands
from slurm.errors import SchedulerError, Unreachable
from slurm.once import Submission
from slurm.orders import TOKEN
from slurm.scheduler import JobState, Phase

TITLE = "PBS"
_CALL = "GANYMEDE_CALL"  # another one, which tells the calls of qsub apart
DROPPED = "deleted before it ran, since what it waited for failed"
ORPHANED = "what it waited for never ran, and PBS holds it for ever"
Details = dict[str, Any]  # a job's attributes, as qstat prints them

_PATIENCE_S = 600.0
_LOOK_AGAIN_S = 5.0
_BEING_RERUN = 60  # substate of a job that is taken off its node to be queued again
_DELETED = 91  # substate of one that was deleted, whatever status it ended with
_SUCCEEDED = 92  # substate of one that ended with status 0, and of one whose dependency failed
WALLTIME = -29  # Exit_status of a job that PBS ended at its time limit
_RERUN = -11  # Exit_status, for a while, of a job that was queued again
_BY = "and terminated by"  # in the comment of a job that is, or was, deleted
_BY_SCHEDULER = f"{_BY} Scheduler@"  # a preemption by deletion
_BEFORE_END_S = 60.0  # a signal so near to it means the time limit
_UNKNOWN_JOB = 153  # exit status of qstat and qdel
_NO_HISTORY = "not configured to maintain job history"
_GONE = re.compile("unknown job id|job has finished|invalid for state of job", re.IGNORECASE)
_LIMIT = re.compile("would exceed .*limit|maximum number of jobs already in", re.IGNORECASE)
_CARRIED = re.compile(r"[^,'\"\\\x00-\x1f\x7f\ud800-\udfff]*")  # by -v, as it stands
_JOB_ID = re.compile(r"^\d+(\[\d*\])?(\.\S+)?$", re.MULTILINE)
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


def call(*command: str, patience_s: float = 0.0, say: Callable[[str], None] = print) -> str:
    """Standard output of a PBS command; see `slurm.commands.call`."""
    return commands.call(*command, patience_s=patience_s, say=say, title=TITLE)


def is_here() -> bool:
    """Whether this machine submits to PBS: asked of qstat, since Slurm has a qsub of its own."""
    try:
        return "pbs_version" in call("qstat", "--version")
    except SchedulerError:
        return False


def details(
    job_ids: Iterable[str], patience_s: float = 0.0, say: Callable[[str], None] = print
) -> dict[str, Details]:
    """The attributes of jobs by id: one call, a second one where PBS keeps no history.

    Of an array, its own and those of its tasks. What PBS does not know is left out.
    """
    wanted = list(dict.fromkeys(job_ids))
    if not wanted:
        return {}
    # Without -E, qstat 23.06 prints only the first of several jobs in JSON.
    command = ["-E", "-t", "-f", "-F", "json", *wanted]
    done = commands.ask("qstat", "-x", *command, patience_s=patience_s, say=say, title=TITLE)
    if _NO_HISTORY in done.stderr:
        done = commands.ask("qstat", *command, patience_s=patience_s, say=say, title=TITLE)
    if done.returncode not in (0, _UNKNOWN_JOB) and not _GONE.search(done.stderr):
        raise SchedulerError(commands.told(done))
    try:
        return dict(json.loads(done.stdout or "{}", strict=False).get("Jobs", {}))
    except ValueError as error:
        raise SchedulerError(f"qstat's answer cannot be read: {error}") from None


def jobs(patience_s: float = 0.0, say: Callable[[str], None] = print) -> dict[str, JobState]:
    """All jobs of this user that PBS still knows, tasks of arrays one by one: two calls, a third
    one if a job waits for one that is somebody else's or that has come in between.
    """
    known = own = _own(patience_s, say)
    needs = {need for found in own.values() for need in waits_for(found)}
    if strange := sorted(needs - own.keys()):
        known = details([*map(array_of, own), *strange], patience_s, say)
    return {i: state for i, state in states(known, is_all=True).items() if i in own}


def _own(patience_s: float, say: Callable[[str], None]) -> dict[str, Details]:
    user = pwd.getpwuid(os.getuid()).pw_name
    done = commands.ask("qselect", "-x", "-u", user, patience_s=patience_s, say=say, title=TITLE)
    if _NO_HISTORY in done.stderr:
        done = commands.ask("qselect", "-u", user, patience_s=patience_s, say=say, title=TITLE)
    if done.returncode:
        raise SchedulerError(commands.told(done))
    return details(done.stdout.split(), patience_s, say)


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


@dataclass(frozen=True)
class Request:
    """One call of qsub: a wrapper that becomes the leader of the job's session."""

    options: Sequence[str]  # without dependency and variables
    executable: Sequence[str]
    token: str
    dependency: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    # It begins with a letter: in JSON, qstat makes numbers of digits.
    call: str = field(default_factory=lambda: f"c{secrets.token_hex(8)}")

    def __post_init__(self) -> None:
        for name, value in self.variables.items():
            if not _CARRIED.fullmatch(value):
                raise SchedulerError(
                    f"{name} is {value!r}; allowed for a job's variables: no commas, no quotes, no "
                    "backslashes, no control characters"
                )

    @property
    def command(self) -> list[str]:
        values = {TOKEN: self.token, _CALL: self.call} | dict(self.variables)
        depend = ["-W", f"depend={self.dependency}"] if self.dependency else []
        carried = ",".join(f"{name}={value}" for name, value in values.items())
        return ["qsub", *self.options, *depend, "-v", carried, "--", *self.executable]


def submit(request: Request, say: Callable[[str], None] = print) -> str:
    """Submit once; returns the job's id. Raises SubmitLimit, Unreachable or SchedulerError, the
    last in qsub's own words.
    """
    submission = Submission(
        request=lambda: _job_id(_ask_to_submit(request.command)),
        look_for=lambda end: _look_for(request.call, end, say),
        is_limit=lambda told: bool(_LIMIT.search(told)),
        patience_s=_PATIENCE_S,
    )
    return submission.make(say)


def _ask_to_submit(command: Sequence[str]) -> str:
    """With -V a job would take the submitting machine's GPUs for those that its site gave it."""
    environment = commands.clean_environment()
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    done = commands.ask(*command, title=TITLE, environment=environment)
    if done.returncode:
        raise SchedulerError(f"{commands.told(done)} (exit status {done.returncode})")
    return done.stdout


def _job_id(answer: str) -> str:
    """A site may add lines of its own."""
    found = [match[0] for match in _JOB_ID.finditer(answer.strip())]
    if not found:
        raise Unreachable(f"qsub answered {answer.strip()!r}, which holds no job's number")
    return found[-1]


def _look_for(call: str, end: float, say: Callable[[str], None]) -> str | None:
    """Ask twice, some time apart: a request may still lie in the server's queue."""
    for _ in range(2):
        time.sleep(_LOOK_AGAIN_S)
        for job_id, found in _own(max(end - time.monotonic(), 0), say).items():
            if found.get("Variable_List", {}).get(_CALL) == call:
                return array_of(job_id)
    return None


def number(job_id: str) -> int:
    """By which jobs stand in the order of their submission."""
    return int(job_id.partition(".")[0].partition("[")[0])


def task_id(array: str, index: int) -> str:
    """The id of a task of an array."""
    return array.replace("[]", f"[{index}]", 1)


def array_of(job_id: str) -> str:
    """The id of the array of which a job is a task; that of any other job as it is."""
    return re.sub(r"\[\d+\]", "[]", job_id)


def cancel(job_ids: Iterable[str]) -> None:
    """Have jobs removed, in this order; those that run get SIGTERM first. Gone is no error.

    One by one: a server 23.06 has crashed when a job and those that wait for it came in one call.
    """
    for job_id in dict.fromkeys(job_ids):
        done = commands.ask("qdel", job_id, patience_s=60, title=TITLE)
        if done.returncode and not _GONE.search(done.stderr):
            raise SchedulerError(commands.told(done))


def point_at(successor: str, job_id: str, say: Callable[[str], None] = print) -> list[str]:
    """Have the jobs that wait for `job_id` wait for `successor` instead; returns them.

    They stay in its place only if `job_id` itself then ends with status 0. Raises SchedulerError,
    after it has tried all of them.
    """
    mine = details([job_id]).get(job_id, {})
    followers = details(follower for follower in waiting(mine) if follower != successor)
    moved, failed = [], []
    for follower, found in followers.items():
        if found["job_state"] in ("F", "X") or job_id not in waits_for(found):
            continue  # deleted since, or told of another one already
        told = [
            ":".join([kind, *(successor if needed == job_id else needed for needed in ids)])
            for kind, ids in depends(found)
            if kind.startswith("after")
        ]
        try:
            call("qalter", "-W", f"depend={','.join(told)}", follower, patience_s=60, say=say)
            moved.append(follower)
        except SchedulerError as error:
            failed.append(f"job {follower}: {error}")
    if failed:
        raise SchedulerError("; ".join(failed))
    return moved


def why_stopped(job_id: str, end: float | None) -> str | None:
    """What SIGTERM meant, while the job that got it still lives; None: nothing special.

    "preempted", "cancelled" or "time limit"; `end` is when its time is up, in UTC seconds.
    """
    found = details([job_id]).get(job_id)
    if found is None:
        return "cancelled"  # deleted by force
    if is_rerun(found) or is_dropped_by_scheduler(found):
        return "preempted"
    if _BY in comment_of(found):
        return "cancelled"
    return "time limit" if end is not None and time.time() > end - _BEFORE_END_S else None


def why_ended(found: Details) -> str | None:
    """As `why_stopped`, of a job that is over; None: not known."""
    if found.get("Exit_status") == WALLTIME:
        return "time limit"
    if is_dropped_by_scheduler(found):
        return "preempted"
    return "cancelled" if _BY in comment_of(found) else None


def is_being_rerun(job_id: str) -> bool:
    """Whether PBS itself queues the job again, under its id, once it has ended."""
    return is_rerun(details([job_id]).get(job_id, {}))


def is_deleted_by_scheduler(job_id: str) -> bool:
    """Whether PBS deletes the job to make room: what goes on is up to the job."""
    return is_dropped_by_scheduler(details([job_id]).get(job_id, {}))
