"""Going on under a new id: a PBS job cannot queue itself again, so it submits its successor."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from slurm import pbs_states, qsub
from slurm.errors import SchedulerError
from slurm.orders import TOKEN
from slurm.qsub import Request

SCRIPT = "GANYMEDE_SCRIPT"  # environment of a job: its wrapper
_OF_THE_FIRST = (("-W", "depend"), ("-W", "block"))
_CARRIED = ("GANYMEDE_LINE", "GANYMEDE_INDEX")  # what a successor keeps of the job before


def options_file(script: Path) -> Path:
    """How a wrapper was submitted, for those that follow."""
    return script.with_suffix(".qsub")


def write_options(script: Path, options: Sequence[str], executable: Sequence[str] = ()) -> None:
    """`executable` is what the job starts, the wrapper itself if left out."""
    started = list(executable) or ["/bin/bash", str(script)]
    values = {"options": _for_successors(options), "executable": started}
    path = options_file(script)
    path.touch(mode=0o600)
    path.write_text(json.dumps(values) + "\n", "utf-8")


def _for_successors(options: Sequence[str]) -> list[str]:
    """Without what was said of the first start alone. A task of an array goes on as one job."""
    kept: list[str] = []
    words = iter(options)
    for word in words:
        if word == "-h":
            continue
        value = next(words)
        of_the_first = word in ("-J", "-a") or (word, value.partition("=")[0]) in _OF_THE_FIRST
        kept += [] if of_the_first else [word, value]
    return kept


def read_options(script: Path) -> tuple[list[str], list[str]]:
    """Options and executable. Raises SchedulerError if they are not there."""
    try:
        values = json.loads(options_file(script).read_text("utf-8"))
        return list(values["options"]), list(values["executable"])
    except (OSError, ValueError, KeyError) as error:
        raise SchedulerError(f"how {script} was submitted is not known: {error}") from None


def successor_of(folder: Path, job_id: str) -> str | None:
    """The job that goes on in place of another one; None if there is none."""
    path = _successor_file(folder, job_id)
    return path.read_text("utf-8").strip() if path.exists() else None


def newest(folder: Path, job_id: str) -> str:
    """The last of a job's successors; the job itself if it has none."""
    while successor := successor_of(folder, job_id):
        job_id = successor
    return job_id


def _successor_file(folder: Path, job_id: str) -> Path:
    return folder / f"{job_id}.successor"


def hand_over(say: Callable[[str], None] = print) -> str:
    """From inside a job: submit its successor, have what waits for the job wait for it; returns its
    id. The job is to end with status 0 afterwards, or PBS deletes what waited.

    Raises SchedulerError, as where a site forbids qsub on its nodes.
    """
    job_id, script = os.environ["PBS_JOBID"], Path(os.environ[SCRIPT])
    is_task = job_id != pbs_states.array_of(job_id)
    successor = resubmit(
        script,
        os.environ[TOKEN],  # the same: so its submitter finds it
        # PBS takes no single task for a dependency, and none is needed: this job is about to end.
        dependency="" if is_task else f"afterany:{job_id}",
        variables={name: os.environ[name] for name in _CARRIED if name in os.environ},
        say=say,
    )
    _successor_file(script.parent, job_id).write_text(f"{successor}\n", "utf-8")
    say(f"goes on as job {successor}")
    if not is_task:
        _move_followers(job_id, successor, say)
    return successor


def _move_followers(job_id: str, successor: str, say: Callable[[str], None]) -> None:
    """What cannot be moved will be deleted, and is submitted again by the stage that finishes."""
    try:
        moved = qsub.point_at(successor, job_id, say)
    except SchedulerError as error:
        say(f"what waits for this job could not be pointed at {successor}: {error}")
    else:
        for follower in moved:
            say(f"job {follower} waits for {successor} now")


def resubmit(
    script: Path,
    token: str,
    dependency: str,
    variables: Mapping[str, str],
    say: Callable[[str], None] = print,
) -> str:
    """Submit a wrapper once more, as one job; returns its id."""
    options, executable = read_options(script)
    return qsub.submit(Request(options, executable, token, dependency, variables), say)
