"""submitit on PBS: `submitit.AutoExecutor(folder, cluster="pbs")`, for any user of submitit.

A plugin by entry points. It does what submitit does on Slurm: results, tracebacks, arrays, several
ranks, cancelling, and functions with a method `checkpoint`, which go on after a preemption or the
time limit. On PBS they go on as another job; to whoever submitted them they keep their id.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

from submitit.core import core, job_environment, logger
from submitit.core.utils import DelayedSubmission, JobPaths

from slurm import pbs_script, qsub, succession
from slurm.errors import SchedulerError
from slurm.orders import Order
from slurm.pbs_script import Wrapping
from slurm.qsub import Request
from slurm.resources import Profile, Resources
from slurm.scheduler import Phase

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
}


class PBSInfoWatcher(core.InfoWatcher):  # type: ignore[misc]
    """Asks PBS about all jobs at once, each under the id under which it goes on at present."""

    def __init__(self, delay_s: int = 60) -> None:
        super().__init__(delay_s)
        self.folders: dict[str, Path] = {}  # of the jobs' files

    def get_state(self, job_id: str, mode: str = "standard") -> str:
        """PENDING, RUNNING, SUSPENDED, COMPLETING, COMPLETED, FAILED, CANCELLED, TIMEOUT; GONE for
        a job that PBS no longer knows; UNKNOWN while it does not answer.
        """
        return str(self.get_info(job_id, mode).get("State", "UNKNOWN"))

    def update(self) -> None:
        asked = sorted(self._registered - self._finished)
        if not asked:
            return
        self._num_calls += 1
        self._last_status_check = time.time()
        now, known = self._present_ids(asked), {}
        try:
            known = qsub.details(now.values())
            if now != self._present_ids(asked):  # one has gone on in between
                now = self._present_ids(asked)
                known = qsub.details(now.values())
        except SchedulerError as error:
            logger.get_logger().warning(f"{error}: states may be out of date")
            return
        for job_id, present in now.items():
            found = known.get(present)
            info = {} if found is None else {k: str(v) for k, v in found.items()}
            self._info_dict[job_id] = info | {"State": _state(found), "JobID": present}
            if self.is_done(job_id, mode="cache"):
                self._finished.add(job_id)

    def _present_ids(self, job_ids: Iterable[str]) -> dict[str, str]:
        return {job_id: succession.newest(self.folders[job_id], job_id) for job_id in job_ids}


def _state(found: qsub.Details | None) -> str:
    """In submitit's words."""
    if found is None:
        return "GONE"
    state = qsub.states({"0": found})["0"]
    if state.phase == Phase.OVER:
        if qsub.succeeded(found):
            return "COMPLETED"
        if found.get("Exit_status") == qsub.WALLTIME:
            return "TIMEOUT"
        return "CANCELLED" if "deleted" in state.state else "FAILED"
    if found["job_state"] in ("S", "U"):
        return "SUSPENDED"
    return {Phase.WAITING: "PENDING", Phase.RUNNING: "RUNNING"}.get(state.phase, "COMPLETING")


class PBSJob(core.Job[core.R]):  # type: ignore[misc]
    """A job on PBS, under the id that it was submitted with."""

    _cancel_command = "qdel"
    watcher: ClassVar[PBSInfoWatcher] = PBSInfoWatcher(delay_s=30)

    def _register_in_watcher(self) -> None:
        folder = JobPaths.get_first_id_independent_folder(self.paths._folder)
        self.watcher.folders[self.job_id] = Path(folder)
        super()._register_in_watcher()

    @property
    def present_id(self) -> str:
        """The id under which it goes on at present."""
        return succession.newest(self.watcher.folders[self.job_id], self.job_id)

    def cancel(self, check: bool = True) -> None:
        """Have it removed, and the job as which it may just be going on."""
        while True:
            present = self.present_id
            try:
                qsub.cancel([present])
            except SchedulerError:
                if check:
                    raise
            if present == self.present_id:
                return

    def _interrupt(self, timeout: bool = False) -> None:
        """Send what a job gets when its time is up, for tests."""
        subprocess.check_call(["qsig", "-s", PBSJobEnvironment.USR_SIG, self.present_id])


class PBSJobEnvironment(job_environment.JobEnvironment):  # type: ignore[misc]
    """A rank's place, as `slurm.launch` tells it."""

    _env: ClassVar[dict[str, str]] = {
        "job_id": "SUBMITIT_PBS_JOB_ID",
        "num_tasks": "SUBMITIT_PBS_NUM_TASKS",
        "num_nodes": "SUBMITIT_PBS_NUM_NODES",
        "node": "SUBMITIT_PBS_NODE",
        "global_rank": "SUBMITIT_PBS_GLOBAL_RANK",
        "local_rank": "SUBMITIT_PBS_LOCAL_RANK",
    }

    @property
    def hostnames(self) -> Sequence[str]:
        return (os.environ.get("SUBMITIT_PBS_HOSTS") or str(self.hostname)).split(",")

    def _handle_signals(self, paths: JobPaths, submission: DelayedSubmission) -> None:
        super()._handle_signals(paths, submission)
        handler = job_environment.SignalHandler(self, paths, submission)

        def terminated(number: int, frame: FrameType | None) -> None:
            """PBS either deletes the job, or queues it again by itself, under its id."""
            if hasattr(submission.function, "checkpoint"):
                handler.checkpoint_and_exit(number, frame)
            else:
                handler.bypass(number, frame)

        signal.signal(signal.SIGTERM, terminated)

    def _requeue(self, countdown: int) -> None:
        """Submit the job that goes on in this one's place."""
        say = logger.get_logger().info
        say(f"going on as another job ({countdown} remaining timeouts)")
        succession.hand_over(say=say)


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
        super().__init__(folder, max_num_timeout, max_pickle_size_gb)
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
            environment=pbs_script.environment_here() if chosen["export_env"] else {},
        )
        text = pbs_script.script(order, folder, wrapping, self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._dump(delayed, folder, token, chosen["minutes"])
        wrapper = folder / f"{token}.sh"
        wrapper.touch(mode=0o600)  # it holds the environment
        wrapper.write_text(text, "utf-8")
        succession.write_options(wrapper, options)
        number = qsub.submit(
            Request(options, ("/bin/bash", str(wrapper)), token), logger.get_logger().warning
        )
        return [
            self._job(
                qsub.task_id(number, index) if order.indices else number, folder, token, index
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
            one.dump(path)
            size_gb = len(delayed) * path.stat().st_size / 1024**3
            if size_gb > self.max_pickle_size_gb:
                path.unlink()
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
        if not link.exists():  # the job links it too, should this process die before
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


def _extra(chosen: dict[str, Any]) -> tuple[str, ...]:
    extra = chosen["extra"] or ()
    return (extra,) if isinstance(extra, str) else tuple(extra)
