"""Going on under a new id: a PBS job cannot queue itself again, so it submits its successor."""

import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from slurm import qsub
from slurm.errors import SchedulerError
from slurm.qsub import Request

_SCRIPT = "GANYMEDE_SCRIPT"  # environment of a job: its wrapper
_CARRIED = ("GANYMEDE_LINE", "GANYMEDE_INDEX")  # what a successor keeps of the job before


def options_file(script: Path) -> Path:
    """The options with which a wrapper was submitted, for those that follow."""
    return script.with_suffix(".qsub")


def write_options(script: Path, options: list[str]) -> None:
    options_file(script).write_text(json.dumps(options) + "\n", "utf-8")


def read_options(script: Path) -> list[str]:
    """Raises SchedulerError if they are not there."""
    try:
        return [str(word) for word in json.loads(options_file(script).read_text("utf-8"))]
    except (OSError, ValueError) as error:
        raise SchedulerError(f"how {script} was submitted is not known: {error}") from None


def new_token() -> str:
    """Unique to a submission. It begins with a letter: PBS tells digits as numbers."""
    return f"t{secrets.token_hex(8)}"


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


def hand_over(token: str | None = None, say: Callable[[str], None] = print) -> str:
    """From inside a job: submit its successor, have what waits for the job wait for it; returns its
    id. The job is to end with status 0 afterwards, or PBS deletes what waited.

    Raises SchedulerError, as where a site forbids qsub on its nodes.
    """
    job_id, script = os.environ["PBS_JOBID"], Path(os.environ[_SCRIPT])
    is_task = job_id != qsub.array_of(job_id)
    successor = resubmit(
        script,
        token or new_token(),
        # PBS takes no single task for a dependency, and none is needed: this job is about to end.
        dependency="" if is_task else f"afterany:{job_id}",
        variables={name: os.environ[name] for name in _CARRIED if name in os.environ},
        say=say,
    )
    path = _successor_file(script.parent, job_id)
    path.write_text(f"{successor}\n", "utf-8")
    if not is_task:
        moved = qsub.point_at(successor, job_id, say)
        told = f"; {', '.join(moved)} wait for it" if moved else ""
        say(f"goes on as job {successor}{told}")
    return successor


def resubmit(
    script: Path,
    token: str,
    dependency: str,
    variables: Mapping[str, str],
    say: Callable[[str], None] = print,
) -> str:
    """Submit a wrapper once more, as one job; returns its id."""
    options = _without_array(read_options(script))
    executable = ("/bin/bash", str(script))
    return qsub.submit(Request(options, executable, token, dependency, variables), say)


def _without_array(options: list[str]) -> list[str]:
    if "-J" not in options:
        return options
    place = options.index("-J")
    return options[:place] + options[place + 2 :]
