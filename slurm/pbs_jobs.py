"""A submitit function as a PBS job, as its submitter sees it: under one id from first to last."""

import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from submitit.core import core, logger
from submitit.core.utils import JobPaths

from slurm import pbs_states, qsub, succession
from slurm.errors import SchedulerError
from slurm.pbs_environment import PBSJobEnvironment
from slurm.scheduler import Phase


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

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        """One that is suspended is not, though submitit would think so."""
        state = self.get_state(job_id, mode=mode)
        return state != "SUSPENDED" and bool(super().is_done(job_id, mode="cache"))

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
        return {job_id: self.present_id(job_id) for job_id in job_ids}

    def present_id(self, job_id: str) -> str:
        """The id under which a job goes on at present."""
        folder = self.folders.get(job_id)
        return succession.newest(folder, job_id) if folder else job_id


def _state(found: pbs_states.Details | None) -> str:
    """In submitit's words."""
    if found is None:
        return "GONE"
    state = pbs_states.states({"0": found})["0"]
    if state.phase == Phase.OVER:
        if pbs_states.succeeded(found):
            return "COMPLETED"
        if found.get("Exit_status") == pbs_states.WALLTIME:
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
        return self.watcher.present_id(self.job_id)

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
