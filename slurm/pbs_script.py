"""What a PBS job books, and the wrapper that runs it."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slurm.commands import clean_environment
from slurm.errors import SchedulerError
from slurm.executors import part
from slurm.orders import TOKEN, Order
from slurm.resources import Resources, is_plain

_NAME = re.compile(r"[^A-Za-z0-9._-]")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_NAME = 200
# What a job must not take from the machine that submits: its own of these are right.
_OF_THE_MACHINE = re.compile(
    "HOME|PWD|OLDPWD|SHLVL|SHELLOPTS|BASHOPTS|_|TMPDIR|HOSTNAME|DISPLAY|XAUTHORITY|SSH_.*|XDG_.*|"
    "DBUS_.*|TERM|CUDA_VISIBLE_DEVICES|OMP_NUM_THREADS|NCPUS|ENVIRONMENT|BASH_FUNC.*|GANYMEDE_.*"
)


@dataclass(frozen=True)
class Wrapping:
    """How the wrapper of a job differs from that of others."""

    # Python's words that tell what comes after an attempt; empty: submitit alone decides.
    closing: tuple[str, ...] = ()
    warn_s: float | None = None  # how long before its end a job is told, by SIGUSR2
    stderr_apart: bool = False  # whether ranks have a log for stderr
    python: str = ""  # shell words that start Python, in place of the profile's
    environment: Mapping[str, str] = field(default_factory=dict)


def options(order: Order, folder: Path) -> list[str]:
    """For qsub. Raises SchedulerError for what PBS does not have."""
    wanted, mail = order.resources, order.profile.mail
    _check(wanted)
    words = ["-N", _NAME.sub("_", order.name)[:_LONGEST_NAME], "-j", "oe", "-k", "doe"]
    # In -o, qsub takes ASCII alone. What matters most is in the wrapper's own logs.
    words += ["-o", f"{folder}/" if str(folder).isascii() else os.devnull]
    words += ["-W", f"umask={umask():03o}", "-r", "y", "-l", _select(wanted)]
    if place := _place(wanted):
        words += ["-l", f"place={place}"]
    if wanted.minutes is not None:
        words += ["-l", f"walltime={_walltime(wanted.minutes)}"]
    if queue := wanted.partition or wanted.reservation:
        words += ["-q", queue]
    if wanted.account:
        words += ["-A", wanted.account]
    if wanted.project:
        words += ["-P", wanted.project]
    if len(order.indices) > 1:
        tasks, most = len(order.indices), order.max_running
        words += ["-J", f"0-{tasks - 1}" + (f"%{most}" if most and most < tasks else "")]
    words += ["-M", mail, "-m", "ae" if order.last else "a"] if mail else ["-m", "n"]
    for option in wanted.extra:
        name, _, value = option.partition("=")
        words += [f"-{name}"] + ([value] if value else [])
    return words


def _check(wanted: Resources) -> None:
    if wanted.qos:
        raise SchedulerError(f"qos is {wanted.qos!r}; PBS has none: choose a queue by partition")
    if wanted.gpu_type:
        raise SchedulerError(
            f"gpu_type is {wanted.gpu_type!r}; PBS sites have names of their own for kinds of "
            f"GPUs: give constraint, as gpu_model={wanted.gpu_type}"
        )
    if wanted.partition and wanted.reservation:
        raise SchedulerError("partition and reservation are both given; PBS takes one queue")
    if wanted.constraint and not re.fullmatch(
        r"[\w.-]+=[^:+,\s]+(:[\w.-]+=[^:+,\s]+)*", wanted.constraint
    ):
        raise SchedulerError(
            f"constraint is {wanted.constraint!r}; allowed for PBS: resource=value of a chunk, "
            "several of them joined by colons"
        )
    for option in wanted.extra:
        name = option.partition("=")[0]
        if name not in _EXTRA:
            raise SchedulerError(
                f"extra is {option!r}; allowed for PBS: {', '.join(_EXTRA)} of qsub, each as "
                "letter=value"
            )


_EXTRA = ("a", "c", "h", "l", "p", "q", "P", "S", "u", "W")


def _select(wanted: Resources) -> str:
    ranks = wanted.ranks_per_node
    cpus = wanted.cpus_per_task or 1
    # As many threads as a rank has cores: by itself PBS gives each rank those of all.
    chunk = [f"ncpus={cpus * ranks}", f"mpiprocs={ranks}", f"ompthreads={cpus}"]
    if wanted.mem_gb:
        chunk.append(f"mem={round(wanted.mem_gb * 1024)}mb")
    if wanted.gpus_per_node:
        chunk.append(f"ngpus={wanted.gpus_per_node}")
    if wanted.constraint:
        chunk.append(wanted.constraint)
    return f"select={wanted.nodes or 1}:{':'.join(chunk)}"


def _place(wanted: Resources) -> str:
    parts = ["scatter"] if (wanted.nodes or 1) > 1 else []
    return ":".join(parts + (["excl"] if wanted.exclusive else []))


def _walltime(minutes: float) -> str:
    seconds = max(round(60 * minutes), 1)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def umask() -> int:
    """This process's, which can only be read by setting it. PBS would take 077."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def check_folder(folder: Path) -> Path:
    """`folder` itself, if PBS and submitit read it as it stands. Raises SchedulerError."""
    if not is_plain(str(folder)) or "%" in str(folder):
        raise SchedulerError(
            f"folder is {str(folder)!r}; allowed for PBS: no control characters, no percent sign "
            "(it stands for job numbers there)"
        )
    return folder


def script(order: Order, folder: Path, wrapping: Wrapping, submitit_folder: Path) -> str:
    """The wrapper of a job, or of an array; `folder` has its pickles."""
    wanted, profile = order.resources, order.profile
    python = wrapping.python or shlex.join(
        [*profile.prefix, profile.python or sys.executable, *(["-P"] if wrapping.closing else [])]
    )
    launch = ["--per-node", f"{wanted.ranks_per_node}", "--nodes", f"{wanted.nodes or 1}"]
    launch += ["--gpus", f"{wanted.gpus_per_node or 0}"]
    launch += ["--all-gpus"] if wanted.exclusive else []
    launch += ["--stderr-apart"] if wrapping.stderr_apart else []
    exported = {**wrapping.environment, **order.variables}
    exported.pop(TOKEN, None)  # PBS brings it along: this script may be submitted once more
    # A folder that is not there fails the job by name, as a set-up line does.
    setup = (f"cd {shlex.quote(str(Path.cwd()))}", *profile.setup)
    limit = "" if wanted.minutes is None else max(round(60 * wanted.minutes), 1)
    warn = "" if wrapping.warn_s is None else wrapping.warn_s
    lines = [
        *opening(),
        *(f"export {name}={shlex.quote(value)}" for name, value in exported.items()),
        f"ganymede_python=({python})",
        f"ganymede_launch=({shlex.join(launch)})",
        f"ganymede_closing=({shlex.join(wrapping.closing)})",
        f"ganymede_folder={shlex.quote(str(folder))}",
        f"ganymede_submitit={shlex.quote(str(submitit_folder))}",
        f"ganymede_order={order.token}",
        f"ganymede_nodes={wanted.nodes or 1} ganymede_per_node={wanted.ranks_per_node}",
        f"ganymede_limit_s={limit} ganymede_warn_s={warn}",
        "",
        part("setup.sh"),
        part("pbs.sh"),
        'ganymede_begin "$@"',
        *(f"ganymede_setup {shlex.quote(line)}" for line in setup),
        "ganymede_attempt",
        "exit $?",
    ]
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> None:
    """A wrapper, for its owner alone: it may hold a whole environment, and bytes that are no UTF-8,
    as Python has them from there.
    """
    path.touch(mode=0o600)
    path.write_text(text, "utf-8", errors="surrogateescape")


def opening() -> list[str]:
    """The first lines of whatever PBS starts: it does so without a profile, in the home folder,
    with a mask of 077. The commands must be those of the machine that submits: Slurm has a qsub,
    too, and may come first on PATH.
    """
    command = Path(shutil.which("qsub") or "/usr/bin/qsub")
    quoted, folder = shlex.quote(str(command)), shlex.quote(str(command.parent))
    return [
        "#!/bin/bash",
        "[ ! -r /etc/profile ] || . /etc/profile",
        "set +eu",
        f'[ "$(command -v qsub)" = {quoted} ] || PATH={folder}:$PATH',
        f"umask {umask():03o}",
    ]


def environment_here() -> dict[str, str]:
    """This process's variables, as far as a job should have them too."""
    here = clean_environment()
    return {
        k: v for k, v in here.items() if _VARIABLE.fullmatch(k) and not _OF_THE_MACHINE.fullmatch(k)
    }
