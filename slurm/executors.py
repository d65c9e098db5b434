"""submitit's Slurm executor with a batch script of our own, and submissions that are never doubled.

Where submitit's script ends with srun, ours goes on: it keeps srun's status, has the end recorded
and asks for the job to be queued again (see `scripts/attempt.sh`). The pickle of a job is found by
the submission's token, so a client that dies right after sbatch leaves a job that works.
"""

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import DelayedSubmission

from slurm import chain, pickles, queue
from slurm.errors import SchedulerError
from slurm.orders import Order
from slurm.resources import Resources, is_plain

SCRIPTS = Path(__file__).parent / "scripts"
_SIGNAL_S, _SIGNAL_LEAST_MIN = 120, 10  # a shorter job could get the signal at its start


class Executor(submitit.SlurmExecutor):  # type: ignore[misc]
    """Submits one job, or one array, as an `Order` says.

    Raises SubmitLimit, Unreachable or SchedulerError; nothing was submitted then, or it is unknown
    (Unreachable) and `slurm.scheduler.by_token` will tell.
    """

    def __init__(self, folder: Path, order: Order, say: Callable[[str], None] = print) -> None:
        super().__init__(folder)
        self.order, self.say = order, say

    @classmethod
    def affinity(cls) -> int:
        return 2  # submitit asks for srun, which a machine that only submits may lack

    def submit_all(self, functions: Sequence[Callable[[], Any]]) -> str:
        """Submit one job, or one array with a task for each function; returns its number."""
        tasks = len(self.order.indices) or 1
        if len(functions) != tasks:
            raise ValueError(f"functions are {len(functions)}; allowed: {tasks}, one for each task")
        with self.batch():
            submitted = [self.submit(function) for function in functions]
        return str(submitted[0].job_id).partition("_")[0]

    def _internal_process_submissions(
        self, delayed_submissions: list[DelayedSubmission]
    ) -> list[submitit.SlurmJob[Any]]:
        folder, order = check_folder(Path(self.folder)), self.order
        content = script(order, folder)  # refused before anything is written
        pickles.make_folder(folder)
        indices = order.indices or (0,)
        for index, delayed in zip(indices, delayed_submissions, strict=True):
            pickles.dump(delayed, folder / f"{order.token}_{index}.pkl")
        path = folder / f"{order.token}.sh"
        path.write_text(content, "utf-8")
        number = queue.submit(path, order.token, self.say)
        ids = [f"{number}_{index}" for index in order.indices] or [number]
        ranks = list(range(order.resources.ranks))
        return [submitit.SlurmJob(folder=folder, job_id=job_id, tasks=ranks) for job_id in ids]


def part(name: str) -> str:
    """A piece of the batch scripts."""
    return (SCRIPTS / name).read_text("utf-8")


def script(order: Order, folder: Path) -> str:
    """The whole batch script of a job, or of an array."""
    index = "_$SLURM_ARRAY_TASK_ID" if order.indices else "_0"
    # -P: a folder `jobs` where the user happens to stand must not take our package's place.
    python = [*order.profile.prefix, order.profile.python or sys.executable, "-P"]
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH {option}" for option in _options(order, folder)),
        "",
        *(f"export {name}={shlex.quote(v)}" for name, v in order.variables.items()),
        f"ganymede_python=({shlex.join(python)})",
        f"ganymede_srun=({shlex.join(_srun_options(order.resources))})",
        f"ganymede_logs={shlex.quote(str(folder))}",
        "",
        part("setup.sh"),
        part("attempt.sh"),
        f'ganymede_pickle="$ganymede_logs/{order.token}{index}.pkl"',
        *(f"ganymede_setup {shlex.quote(line)}" for line in order.profile.setup),
        'ganymede_attempt "$ganymede_pickle"',
        "exit $?",
    ]
    return "\n".join(lines) + "\n"


def _options(order: Order, folder: Path) -> list[str]:
    """The lines after #SBATCH, each quoted as sbatch reads it."""
    wanted, mail = order.resources, order.profile.mail
    if wanted.project:
        raise SchedulerError(f"project is {wanted.project!r}; it is for PBS: give account")
    limit = f"%{order.max_running}" if order.max_running else ""
    values: dict[str, Any] = {
        "job-name": order.name,
        "comment": f"{queue.MARK}{order.token}",
        "output": f"{folder}/{'%A_%a' if order.indices else '%j'}_0_log.out",
        "open-mode": "append",
        "array": chain.indices(order.indices) + limit if order.indices else None,
        "dependency": order.dependency or None,
        "kill-on-invalid-dep": "yes" if order.dependency else None,
        "partition": wanted.partition,
        "account": wanted.account,
        "qos": wanted.qos,
        "reservation": wanted.reservation,
        "constraint": wanted.constraint,
        "time": _time(wanted.minutes),
        "signal": f"USR2@{_SIGNAL_S}" if (wanted.minutes or 0) >= _SIGNAL_LEAST_MIN else None,
        "nodes": wanted.nodes or 1,
        "ntasks-per-node": wanted.ranks_per_node,
        "cpus-per-task": wanted.cpus_per_task,
        "mem": f"{round(wanted.mem_gb * 1024)}M" if wanted.mem_gb else None,
        **_gpu_option(order),
        "mail-user": mail,
        "mail-type": ("END,FAIL" if order.last else "FAIL") if mail else None,
    }
    options = [f"--{name}={_quoted(value)}" for name, value in values.items() if value is not None]
    options += ["--requeue"] + (["--exclusive"] if wanted.exclusive else [])
    return options + [_extra(option) for option in wanted.extra]


def _extra(option: str) -> str:
    name, equals, value = option.partition("=")
    return f"--{name}={_quoted(value)}" if equals else f"--{name}"


def _gpu_option(order: Order) -> dict[str, str]:
    wanted = order.resources
    if not wanted.gpus_per_node:
        return {}
    count = (
        f"{wanted.gpu_type}:{wanted.gpus_per_node}"
        if wanted.gpu_type
        else f"{wanted.gpus_per_node}"
    )
    if order.profile.gpu_form == "gres":
        return {"gres": f"gpu:{count}"}
    return {"gpus-per-node": count}


def _time(minutes: float | None) -> str | None:
    """As sbatch takes it, minutes:seconds."""
    if minutes is None:
        return None
    seconds = max(round(60 * minutes), 1)
    return f"{seconds // 60}:{seconds % 60:02d}"


def _quoted(value: Any) -> str:
    """For a #SBATCH line, which sbatch, not a shell, splits: in double quotes, with backslashes.

    Raises SchedulerError for what such a line cannot hold.
    """
    text = str(value)
    if not is_plain(text):
        raise SchedulerError(f"a job's option is {text!r}; allowed: no control characters")
    if text.replace("-", "").replace("_", "").isalnum() and text.isascii():
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def check_folder(folder: Path) -> Path:
    """`folder` itself, if sbatch, srun and submitit read it as it stands. Raises SchedulerError."""
    if not is_plain(str(folder)) or set("\\%") & set(str(folder)):
        raise SchedulerError(
            f"folder is {str(folder)!r}; allowed for Slurm: no control characters, no backslash, "
            "no percent sign (they stand for job numbers there)"
        )
    return folder


def _srun_options(wanted: Resources) -> list[str]:
    # From 22.05 on srun no longer takes this from the job.
    return [f"--cpus-per-task={wanted.cpus_per_task}"] if wanted.cpus_per_task else []
