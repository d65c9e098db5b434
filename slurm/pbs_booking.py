"""What a PBS job has booked, read from inside it: for scripts that people submit themselves."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from slurm import qsub
from slurm.errors import SchedulerError
from slurm.pbs_states import Details
from slurm.resources import Resources

_NO_PROJECT = "_pbs_project_default"


@dataclass(frozen=True)
class Booking:
    """A running job's own attributes."""

    found: Details

    @classmethod
    def mine(cls) -> "Booking":
        """Raises SchedulerError if qstat cannot be asked from this node."""
        job_id = os.environ["PBS_JOBID"]
        found = qsub.details([job_id]).get(job_id)
        if found is None:
            raise SchedulerError(f"qstat does not know job {job_id}, which this process is in")
        return cls(found)

    def _booked(self, name: str) -> str:
        return str(self.found["Resource_List"].get(name, ""))

    @property
    def resources(self) -> Resources:
        """What one chunk of `select` says; several unequal chunks are refused."""
        select = self._booked("select")
        count, _, chunk = select.partition(":")
        if "+" in select or not count.isdigit():
            raise SchedulerError(
                f"select is {select!r}; allowed: equal nodes, as 2:ncpus=4:mpiprocs=2:ngpus=2"
            )
        values = dict(part.split("=", 1) for part in chunk.split(":") if "=" in part)
        ranks = int(values.get("mpiprocs", 1))
        return Resources(
            nodes=int(count),
            tasks_per_node=ranks,
            cpus_per_task=max(int(values.get("ncpus", 1)) // ranks, 1),
            gpus_per_node=int(values.get("ngpus", 0)) or None,
            exclusive="excl" in self._booked("place") or None,
            minutes=_minutes(self._booked("walltime")),
        )

    def options(self, folder: Path) -> list[str]:
        """For qsub, of a job that goes on in this one's place."""
        words = ["-N", str(self.found["Job_Name"]), "-q", str(self.found["queue"])]
        for name in ("select", "place", "walltime"):
            if value := self._booked(name):
                words += ["-l", f"{name}={value}"]
        if account := self.found.get("Account_Name"):
            words += ["-A", str(account)]
        project = str(self.found.get("project", _NO_PROJECT))
        words += [] if project == _NO_PROJECT else ["-P", project]
        return [*words, "-j", "oe", "-k", "doe", "-o", f"{folder}/", "-r", "y"]


def _minutes(walltime: str) -> float | None:
    """Of h:m:s; None if the job has no time limit."""
    if not re.fullmatch(r"\d+(:\d+){0,2}", walltime):
        return None
    seconds = 0
    for part in walltime.split(":"):
        seconds = 60 * seconds + int(part)
    return seconds / 60
