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

from slurm import commands, pbs_states
from slurm.errors import SchedulerError, Unreachable
from slurm.once import Submission
from slurm.orders import TOKEN
from slurm.pbs_states import Details
from slurm.scheduler import JobState

TITLE = "PBS"
_CALL = "GANYMEDE_CALL"  # another one, which tells the calls of qsub apart

_PATIENCE_S = 600.0
_LOOK_AGAIN_S = 5.0
_BEFORE_END_S = 60.0  # a signal so near to it means the time limit
_UNKNOWN_JOB = 153  # exit status of qstat and qdel
_NO_HISTORY = "not configured to maintain job history"
_GONE = re.compile("unknown job id|job has finished|invalid for state of job", re.IGNORECASE)
_LIMIT = re.compile("would exceed .*limit|maximum number of jobs already in", re.IGNORECASE)
_CARRIED = re.compile(r"[^,'\"\\\x00-\x1f\x7f\ud800-\udfff]*")  # by -v, as it stands
_JOB_ID = re.compile(r"^\d+(\[\d*\])?(\.\S+)?$", re.MULTILINE)


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


def jobs(
    patience_s: float = 0.0,
    say: Callable[[str], None] = print,
    ended: Iterable[str] | None = None,
) -> dict[str, JobState]:
    """All jobs of this user that PBS still knows, tasks of arrays one by one: two calls, a third
    one if a job waits for one that is somebody else's or that has come in between.

    `ended`: of those that are over these alone, for who must not ask for a whole history.
    """
    ids = _ids(ended is None, patience_s, say)
    known = own = details([*ids, *(ended or ())], patience_s, say)
    needs = {need for found in own.values() for need in pbs_states.waits_for(found)}
    if strange := sorted(needs - own.keys()):
        known = details([*map(pbs_states.array_of, own), *strange], patience_s, say)
    return {i: state for i, state in pbs_states.states(known, is_all=True).items() if i in own}


def _ids(history: bool, patience_s: float, say: Callable[[str], None]) -> list[str]:
    """The ids of this user's jobs, with or without those that are over."""
    command = ["-u", pwd.getpwuid(os.getuid()).pw_name]
    option = ["-x"] if history else []
    done = commands.ask("qselect", *option, *command, patience_s=patience_s, say=say, title=TITLE)
    if _NO_HISTORY in done.stderr:
        done = commands.ask("qselect", *command, patience_s=patience_s, say=say, title=TITLE)
    if done.returncode:
        raise SchedulerError(commands.told(done))
    return done.stdout.split()


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
        left_s = max(end - time.monotonic(), 0)
        for job_id, found in details(_ids(True, left_s, say), left_s, say).items():
            if found.get("Variable_List", {}).get(_CALL) == call:
                return pbs_states.array_of(job_id)
    return None


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
    followers = details(follower for follower in pbs_states.waiting(mine) if follower != successor)
    moved, failed = [], []
    for follower, found in followers.items():
        if found["job_state"] in ("F", "X") or job_id not in pbs_states.waits_for(found):
            continue  # deleted since, or told of another one already
        told = [
            ":".join([kind, *(successor if needed == job_id else needed for needed in ids)])
            for kind, ids in pbs_states.depends(found)
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
    if pbs_states.is_rerun(found) or pbs_states.is_dropped_by_scheduler(found):
        return "preempted"
    if pbs_states.is_being_deleted(found):
        return "cancelled"
    return "time limit" if end is not None and time.time() > end - _BEFORE_END_S else None


def is_being_rerun(job_id: str) -> bool:
    """Whether PBS itself queues the job again, under its id, once it has ended."""
    return pbs_states.is_rerun(details([job_id]).get(job_id, {}))


def is_deleted_by_scheduler(job_id: str) -> bool:
    """Whether PBS deletes the job to make room: what goes on is up to the job."""
    return pbs_states.is_dropped_by_scheduler(details([job_id]).get(job_id, {}))
