"""Talking with Slurm: submit once, ask once, and read what a signal meant.

Only squeue, scontrol, sbatch and scancel, with explicit fields: accounting (sacct) is often not
there, and its lack must cost nothing.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from slurm import chain, commands
from slurm.commands import clean_environment
from slurm.errors import SchedulerError, Unreachable
from slurm.once import Submission
from slurm.scheduler import JobState, Phase, by_token

MARK = "ganymede:"  # a job's comment is this and its submission's token
_PATIENCE_S = 600.0  # how long a submission waits for the controller to answer again
_LOOK_AGAIN_S = 5.0
_FIELDS = "%i|%T|%r|%k"  # the comment last: it alone may hold the separator
_LIVE = {
    "PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD",
    "REQUEUE_FED", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SPECIAL_EXIT", "PREEMPTED",
}  # fmt: skip
_WAITING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"}
# sbatch names the limit, as QOSMaxSubmitJobPerUserLimit, before a sentence that fits all kinds;
# only one on the number of jobs passes by itself.
_NAMED_LIMIT = re.compile(r"\b(?:QOS|Assoc)\w+|\b\w*Max[A-Z]\w+")
_LIMIT_ON_JOBS = re.compile("(Max|Grp)(Submit|Job)")
_LIMIT = re.compile(
    "submit limit|temporarily unable to accept|violates accounting/QOS policy", re.IGNORECASE
)
_CONFIGURATIONS = (Path("/etc/slurm/slurm.conf"), Path("/run/slurm/conf/slurm.conf"))
_TIMES = {"SLURM_TIME_FORMAT": "%s"}  # all times in UTC seconds
# sbatch's variables go before the lines of a script. These would change what every job needs ...
_NEVER = {"SBATCH_NO_REQUEUE", "SBATCH_WAIT", "SBATCH_ARRAY_INX"}
# ... and the others, of an option that the script gives, are not named after it in these cases.
_VARIABLES = {
    "time": ("TIMELIMIT",),
    "mem": ("MEM_PER_NODE", "MEM_PER_CPU", "MEM_PER_GPU"),
    "gpus-per-node": ("GPUS_PER_NODE", "GPUS", "GRES"),
    "gres": ("GRES", "GPUS", "GPUS_PER_NODE"),
}


def phase(state: str) -> Phase:
    """Where a job is that squeue or scontrol prints as PENDING, RUNNING, ..."""
    if state in _WAITING:
        return Phase.WAITING
    if state == "COMPLETING":
        return Phase.ENDING
    return Phase.RUNNING if state in _LIVE else Phase.OVER


def call(*command: str, patience_s: float = 0.0, say: Callable[[str], None] = print) -> str:
    """Standard output of a Slurm command; see `slurm.commands.call`."""
    environment = clean_environment() | _TIMES
    return commands.call(
        *command, patience_s=patience_s, say=say, title="Slurm", environment=environment
    )


def is_here() -> bool:
    """Whether this machine submits to a Slurm cluster: sbatch, and a configuration for it."""
    configured = os.environ.get("SLURM_CONF") or any(path.exists() for path in _CONFIGURATIONS)
    return bool(configured) and shutil.which("sbatch") is not None


def jobs(patience_s: float = 0.0, say: Callable[[str], None] = print) -> dict[str, JobState]:
    """All jobs of this user that Slurm still knows, array tasks one by one: one call."""
    output = call(
        "squeue", "--noheader", "--array", "--states=all", f"--user={os.getuid()}",
        f"--format={_FIELDS}", patience_s=patience_s, say=say,
    )  # fmt: skip
    return {state.job_id: state for state in map(_parse, output.splitlines()) if state}


def _parse(line: str) -> JobState | None:
    parts = line.split("|", 3)
    if len(parts) < 4:
        return None
    job_id, state, reason, comment = (part.strip() for part in parts)
    token = comment.removeprefix(MARK) if comment.startswith(MARK) else None
    return JobState(job_id, state, reason, token, phase(state))


def submit(script: Path, token: str, say: Callable[[str], None] = print) -> str:
    """Submit a script whose comment holds `token`, once; returns the job's number.

    If the answer is lost, the job is looked for by its token, and only a job that is not there is
    submitted again. Raises SubmitLimit, Unreachable if there is still no answer after some minutes,
    or SchedulerError.
    """
    command, environment = ("sbatch", "--parsable", str(script)), _submission_environment(script)
    submission = Submission(
        request=lambda: _number(commands.call(*command, title="Slurm", environment=environment)),
        look_for=lambda end: _look_for(token, end, say),
        is_limit=_is_limit,
        patience_s=_PATIENCE_S,
    )
    return submission.make(say)


def _submission_environment(script: Path) -> dict[str, str]:
    """Without sbatch's own variables where they would overrule the script."""
    options = re.findall(r"^#SBATCH --([a-z-]+)", script.read_text("utf-8"), re.MULTILINE)
    names = [_VARIABLES.get(o, (o.replace("-", "_").upper(),)) for o in options]
    overruling = _NEVER | {f"SBATCH_{name}" for group in names for name in group}
    return {k: v for k, v in clean_environment().items() if k not in overruling}


def _number(answer: str) -> str:
    """The job's number; sbatch may add its cluster's name, and a site lines of its own."""
    found = re.findall(r"^(\d+)(?:;.*)?$", answer.strip(), re.MULTILINE)
    if not found:
        raise Unreachable(f"sbatch answered {answer.strip()!r}, which holds no job's number")
    return str(found[-1])


def _is_limit(told: str) -> bool:
    """Whether a refusal means that only the number of jobs is too large for now."""
    named = _NAMED_LIMIT.findall(told)
    if named:
        return any(_LIMIT_ON_JOBS.search(name) for name in named)
    return bool(_LIMIT.search(told))


def _look_for(token: str, end: float, say: Callable[[str], None]) -> str | None:
    """Ask twice, some time apart: a request may still lie in the controller's queue."""
    for _ in range(2):
        time.sleep(_LOOK_AGAIN_S)
        states = jobs(patience_s=max(end - time.monotonic(), 0), say=say)
        found = by_token(states.values(), token)
        if found:
            return chain.split_id(found.job_id)[0]
    return None


def cancel(job_ids: Iterable[str]) -> None:
    """Have jobs removed, in this order; those that run get SIGTERM first. Gone is no error."""
    wanted = list(dict.fromkeys(job_ids))
    if wanted:
        call("scancel", "--quiet", *wanted, patience_s=60)


def is_live(job_id: str) -> bool:
    """Whether Slurm has the job waiting or running. Raises SchedulerError if it cannot be asked."""
    try:
        output = call("squeue", "--noheader", f"--jobs={job_id}", "--states=all", "--format=%T")
    except SchedulerError as error:
        if "invalid job id" in str(error).lower():  # forgotten: it ended some time ago
            return False
        raise
    return any(phase(state) != Phase.OVER for state in output.split())


def show(job_id: str) -> dict[str, str]:
    """`scontrol show job` as a table. Raises SchedulerError for a job that is not known."""
    output = call("scontrol", "--oneliner", "show", "job", job_id)
    return pairs(output.splitlines()[0])


def pairs(line: str) -> dict[str, str]:
    """The `Name=value` words of a line of scontrol's, as a table."""
    return dict(part.split("=", 1) for part in line.split(" ") if "=" in part)


def settings() -> dict[str, str]:
    """`scontrol show config` as a table."""
    lines = call("scontrol", "show", "config").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def why_stopped(job_id: str, restarts: int, signalled: bool = True) -> str | None:
    """What a signal to stop meant, while the job that got it still lives; None: nothing special.

    "preempted", "time limit", "node lost" or "cancelled". `restarts` is how often this attempt of
    the job had been started again. Without a signal, that the limit is near explains nothing.
    """
    job = show(job_id)
    if int(job.get("Restarts", 0)) > restarts:
        return "node lost" if _a_node_is_down() else "preempted"
    if job["JobState"] in ("RUNNING", "SUSPENDED"):
        if job.get("PreemptTime", "None") not in ("None", "Unknown", "N/A"):
            return "preempted"
        return "time limit" if signalled and _ends_soon(job) else None
    if job.get("Reason") == "TimeLimit" or job["JobState"] == "TIMEOUT":
        return "time limit"
    if job["JobState"] == "NODE_FAIL" or _a_node_is_down():
        return "node lost"
    return "preempted" if _made_room_at_once(job) else "cancelled"


def _made_room_at_once(job: dict[str, str]) -> bool:
    """Whether Slurm has cancelled the job for another one, where PreemptMode is CANCEL and
    GraceTime 0. It looks like the user's own scancel, but that it ended when it was preempted.
    """
    times = [job.get(name, "") for name in ("PreemptTime", "EndTime")]
    return all(map(str.isdigit, times)) and abs(int(times[0]) - int(times[1])) <= 1


def _ends_soon(job: dict[str, str]) -> bool:
    end = job.get("EndTime", "")
    return end.isdigit() and int(end) - time.time() < 180


def _a_node_is_down() -> bool:
    """Whether one of this job's nodes does not answer (state DOWN, or marked with a star)."""
    nodes = os.environ.get("SLURM_JOB_NODELIST")
    if not nodes:
        return False
    return nodes_down(nodes)


def booted_since(nodes: str, started: float) -> bool:
    """Whether a node of the list has started after `started` (UTC seconds)."""
    lines = call("scontrol", "--oneliner", "show", "node", nodes).splitlines()
    boots = (pairs(line).get("BootTime", "") for line in lines)
    return any(boot.isdigit() and int(boot) > started for boot in boots)


def nodes_down(nodes: str) -> bool:
    """Whether a node of the list is down, or does not answer (marked by a star)."""
    output = call("sinfo", "--noheader", "--Node", f"--nodes={nodes}", "--format=%T")
    return any("down" in state or state.endswith("*") for state in output.split())
