"""Calling a scheduler's commands: without the traces of a surrounding job, and once more where
nobody answers.
"""

import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from slurm.errors import SchedulerError, Unreachable

_CALL_S = 90.0
_LOOK_AGAIN_S = 5.0
# The words of Slurm, then those of PBS, whose errno is 15007 for a user without permission and 0
# for a machine that no server is configured for.
_NO_ANSWER = re.compile(
    "timed out|unable to contact|connect failure|connection refused|connection reset|"
    "zero bytes were transmitted|communication (connection )?failure|controller (not|is) |"
    r"cannot connect to server\b(?!.*=(15007|0)\b)|couldn't connect to cluster|"
    "no free connections|server connection table full|server shutdown completed|"
    "batch protocol error",
    re.IGNORECASE,
)
# A command called from inside a job must not take that job's place, or anything of it, for its own.
_INHERITED = re.compile("SLURM_|SLURMD_|SRUN_|PBS_|PMI|GANYMEDE_|SUBMITIT_")
_OWN_SETTINGS = {
    "SLURM_CONF", "SLURM_CLUSTERS",
    "PBS_CONF_FILE", "PBS_SERVER", "PBS_DEFAULT", "PBS_EXEC", "PBS_HOME", "PBS_PRIMARY",
    "PBS_SECONDARY", "PBS_BATCH_SERVICE_PORT", "PBS_LEAF_NAME", "PBS_LEAF_ROUTERS",
    "PBS_AUTH_METHOD", "PBS_ENCRYPT_METHOD",
}  # fmt: skip


def call(
    *command: str,
    patience_s: float = 0.0,
    say: Callable[[str], None] = print,
    title: str = "scheduler",
    environment: dict[str, str] | None = None,
) -> str:
    """Standard output of a scheduler's command.

    Raises Unreachable if there is no answer, asked again for `patience_s` seconds, and
    SchedulerError for any other failure. `title` names the scheduler if the command is not there;
    `environment` is all that the command gets, `clean_environment()` if left out.
    """
    done = ask(*command, patience_s=patience_s, say=say, title=title, environment=environment)
    if done.returncode:
        raise SchedulerError(told(done))
    return done.stdout


def ask(
    *command: str,
    patience_s: float = 0.0,
    say: Callable[[str], None] = print,
    title: str = "scheduler",
    environment: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """What a command did and said, whatever its exit status; else as `call`.

    Raises SchedulerError only if there is no such command.
    """
    end, is_told = time.monotonic() + patience_s, False
    while True:
        try:
            return _ask_once(command, title, environment)
        except Unreachable as error:
            if time.monotonic() > end:
                raise
            if not is_told:
                say(f"{error}; asking again for {patience_s:.0f} s")
                is_told = True
            time.sleep(min(_LOOK_AGAIN_S, max(end - time.monotonic(), 0.1)))


def told(done: subprocess.CompletedProcess[str]) -> str:
    """The error of a command in its own words, on one line, and its name if it left that out."""
    name = Path(done.args[0]).name
    words = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
    return words if words.startswith(f"{name}:") else f"{name}: {words}"


def clean_environment() -> dict[str, str]:
    """This process's environment without what a surrounding job has put into it."""
    return {k: v for k, v in os.environ.items() if k in _OWN_SETTINGS or not _INHERITED.match(k)}


def _ask_once(
    command: tuple[str, ...], title: str, environment: dict[str, str] | None
) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=clean_environment() if environment is None else environment,
            timeout=_CALL_S,
            check=False,
        )
    except (FileNotFoundError, PermissionError):  # the latter: a folder of PATH is not for us
        where = f"{command[0]} is not on this machine's PATH"
        raise SchedulerError(f"{where}: no {title} here") from None
    except subprocess.TimeoutExpired as expired:
        words = " ".join((expired.stderr or b"").decode(errors="replace").split())
        raise Unreachable(
            f"{command[0]} did not answer within {_CALL_S:.0f} s" + (f" ({words})" if words else "")
        ) from None
    if done.returncode and _NO_ANSWER.search(done.stderr):
        raise Unreachable(f"the scheduler does not answer ({' '.join(done.stderr.split())})")
    return done
