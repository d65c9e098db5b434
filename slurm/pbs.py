"""submitit on PBS: `submitit.AutoExecutor(folder, cluster="pbs")`, for any user of submitit.

A plugin by entry points. It does what submitit does on Slurm: results, tracebacks, arrays, several
ranks, cancelling, and functions with a method `checkpoint`, which go on after a preemption or the
time limit. On PBS they go on as another job; to whoever submitted them they keep their id.
"""

import contextlib
import os
import shlex
import sys
import uuid
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from submitit.core import core, logger
from submitit.core.utils import DelayedSubmission, JobPaths

from slurm import pbs_script, pbs_states, pickles, qsub, succession
from slurm.errors import SchedulerError, Unreachable
from slurm.orders import Order
from slurm.pbs_environment import PBSJobEnvironment
from slurm.pbs_jobs import PBSJob
from slurm.pbs_script import Wrapping
from slurm.qsub import Request
from slurm.resources import Profile, Resources

__all__ = ["PBSExecutor", "PBSJob", "PBSJobEnvironment"]  # for the entry points, and for users

_MINUTES = 5  # as submitit's own default on Slurm
_WARN_S = 90.0
_DEFAULTS: dict[str, Any] = {
    "job_name": "submitit",
    "array_parallelism": 256,
    "setup": None,
    "interface": None,
    "signal_delay_s": _WARN_S,
    "stderr_to_stdout": False,
    "export_env": True,
    **{item.name: None for item in fields(Resources)},
    "minutes": _MINUTES,
    "nodes": 1,
    "tasks_per_node": 1,  # as submitit has it, however many GPUs there are
}
_SIGNAL = "SUBMITIT_PREEMPT_SIGNAL"  # environment: submitit's own way to choose another one


class PBSExecutor(core.PicklingExecutor):  # type: ignore[misc]
    """Submits functions as PBS jobs.

    `folder` must be one that all nodes see; %j in it stands for the job's id. `python` is a shell
    command that starts Python on the nodes, as for submitit's Slurm executor.
    """

    job_class = PBSJob

    def __init__(
        self,
        folder: str | Path,
        max_num_timeout: int = 3,
        max_pickle_size_gb: float = 1.0,
        python: str | None = None,
    ) -> None:
        super().__init__(_check_folder(folder), max_num_timeout, max_pickle_size_gb)
        self.parameters: dict[str, Any] = {}
        self.python = shlex.quote(sys.executable) if python is None else python
        if self.affinity() <= 0:
            raise RuntimeError("no PBS here: qstat --version does not answer as PBS does")

    @classmethod
    def affinity(cls) -> int:
        """By qstat, never by qsub: Slurm has a qsub of its own."""
        return 2 if qsub.is_here() else -1

    @classmethod
    def _equivalence_dict(cls) -> core.EquivalenceDict:
        return {
            "name": "job_name",
            "timeout_min": "minutes",
            "mem_gb": "mem_gb",
            "nodes": "nodes",
            "cpus_per_task": "cpus_per_task",
            "gpus_per_node": "gpus_per_node",
            "tasks_per_node": "tasks_per_node",
        }

    @classmethod
    def _valid_parameters(cls) -> set[str]:
        return set(_DEFAULTS)

    def _internal_update_parameters(self, **kwargs: Any) -> None:
        """Any field of `slurm.resources.Resources` (partition is the queue), and: job_name, setup
        (shell lines), interface, array_parallelism, signal_delay_s (how long before the time limit
        a function is told), stderr_to_stdout, export_env (whether the job gets this process's
        environment).

        Raises ValueError for any other name, SchedulerError for a value that cannot be.
        """
        unknown = sorted(set(kwargs) - set(_DEFAULTS))
        if unknown:
            raise ValueError(
                f"Unavailable parameter(s): {unknown}\nValid parameters are:\n  - "
                + "\n  - ".join(f"{k} (default: {v!r})" for k, v in sorted(_DEFAULTS.items()))
            )
        before: dict[str, Any] = self.parameters
        self.parameters = before | kwargs
        try:
            pbs_script.options(self._order("check", 1), self.folder)
        except SchedulerError:
            self.parameters = before
            raise

    def _order(self, token: str, tasks: int) -> Order:
        chosen = _DEFAULTS | self.parameters
        names = [item.name for item in fields(Resources)]
        setup = chosen["setup"] or ()
        return Order(
            name=chosen["job_name"],
            token=token,
            resources=Resources(
                **{k: chosen[k] for k in names if chosen[k] is not None} | {"extra": _extra(chosen)}
            ),
            profile=Profile(
                setup=(setup,) if isinstance(setup, str) else tuple(setup),
                interface=chosen["interface"],
            ),
            indices=tuple(range(tasks)) if tasks > 1 else (),
            max_running=chosen["array_parallelism"] if tasks > 1 else None,
        )

    def _internal_process_submissions(
        self, delayed_submissions: Iterable[DelayedSubmission]
    ) -> list[core.Job[Any]]:
        delayed = list(delayed_submissions)
        folder = Path(JobPaths.get_first_id_independent_folder(self.folder))
        chosen, token = _DEFAULTS | self.parameters, f"t{uuid.uuid4().hex}"
        order = self._order(token, len(delayed))
        options = pbs_script.options(order, folder)
        wrapping = Wrapping(
            warn_s=chosen["signal_delay_s"],
            stderr_apart=not chosen["stderr_to_stdout"],
            python=self.python,
            environment=_environment(chosen["export_env"]),
        )
        text = pbs_script.script(order, folder, wrapping, self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._dump(delayed, folder, token, chosen["minutes"])
        wrapper = folder / f"{token}.sh"
        pbs_script.write(wrapper, text)
        succession.write_options(wrapper, options)
        request = Request(options, ("/bin/bash", str(wrapper)), token)
        try:
            number = qsub.submit(request, logger.get_logger().warning)
        except Unreachable:
            raise  # there may be such a job, and these are its files
        except SchedulerError:
            for path in folder.glob(f"{token}*"):
                path.unlink()
            raise
        return [
            self._job(
                pbs_states.task_id(number, index) if order.indices else number, folder, token, index
            )
            for index in range(len(delayed))
        ]

    def _dump(
        self, delayed: list[DelayedSubmission], folder: Path, token: str, minutes: float
    ) -> None:
        """Raises RuntimeError, as submitit does, if the pickles are too big."""
        for index, one in enumerate(delayed):
            path = folder / f"{token}_{index}.pkl"
            one.set_timeout(minutes, self.max_num_timeout)
            pickles.dump(one, path)
            size_gb = len(delayed) * path.stat().st_size / 1024**3
            if size_gb > self.max_pickle_size_gb:
                for written in folder.glob(f"{token}_*.pkl"):
                    written.unlink()
                raise RuntimeError(
                    f"{len(delayed)} pickles of together {size_gb:.2f} GB; allowed: "
                    f"{self.max_pickle_size_gb} (max_pickle_size_gb)"
                )

    def _job(self, job_id: str, folder: Path, token: str, index: int) -> PBSJob:
        tasks = (_DEFAULTS | self.parameters)["tasks_per_node"] or 1
        tasks *= (_DEFAULTS | self.parameters)["nodes"] or 1
        job = PBSJob(folder=self.folder, job_id=job_id, tasks=list(range(tasks)))
        job.paths.folder.mkdir(parents=True, exist_ok=True)
        pickle, link = folder / f"{token}_{index}.pkl", job.paths.submitted_pickle
        with contextlib.suppress(FileExistsError):  # the job links it too: this process may die
            link.symlink_to(pickle)
        return job

    # What submitit's own way of submitting asks for; this executor has its own.
    def _num_tasks(self) -> int:
        raise NotImplementedError

    def _make_submission_file_text(self, command: str, uid: str) -> str:
        raise NotImplementedError

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        raise NotImplementedError

    @staticmethod
    def _get_job_id_from_submission_command(string: bytes | str) -> str:
        raise NotImplementedError


def _check_folder(folder: str | Path) -> Path:
    """`folder` itself. Raises SchedulerError if jobs could not find it."""
    pbs_script.check_folder(Path(str(folder).replace("%j", "")))
    return Path(folder)


def _environment(everything: bool) -> dict[str, str]:
    """What a job gets of this process's environment."""
    here = pbs_script.environment_here() if everything else {}
    return here | {_SIGNAL: os.environ[_SIGNAL]} if _SIGNAL in os.environ else here


def _extra(chosen: dict[str, Any]) -> tuple[str, ...]:
    extra = chosen["extra"] or ()
    return (extra,) if isinstance(extra, str) else tuple(extra)
