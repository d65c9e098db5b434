"""What a PBS job has booked, read from inside it: for scripts that people submit themselves."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from slurm import pbs_script, pbs_values, qsub
from slurm.errors import SchedulerError
from slurm.pbs_states import Details
from slurm.resources import Resources

_NO_PROJECT = "_pbs_project_default"
_OF_NODES = {
    "nodes", "nodect", "ncpus", "ngpus", "naccelerators", "mpiprocs", "ompthreads", "mem", "vmem",
    "pmem", "pvmem",
}  # fmt: skip


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
    def _nodes(self) -> tuple[int, dict[str, str]]:
        """How many equal chunks `select` has, and what one of them has."""
        select, count = self._booked("select"), 0
        chunks = []
        for part in select.split("+"):
            first, _, rest = part.partition(":")
            count += int(first) if first.isdigit() else 1
            words = (rest if first.isdigit() else part).split(":")
            chunks.append(dict(word.split("=", 1) for word in words if "=" in word))
        if any(chunk != chunks[0] for chunk in chunks) or chunks[0].get("mpiprocs") == "0":
            raise SchedulerError(
                f"select is {select!r}; allowed: equal nodes, as 2:ncpus=4:mpiprocs=2:ngpus=2"
            )
        return count, chunks[0]

    @property
    def resources(self) -> Resources:
        """What one chunk of `select` says; unequal ones are refused, since ranks are equal."""
        count, chunk = self._nodes
        limit = pbs_values.seconds(self._booked("walltime"))
        ranks = int(chunk.get("mpiprocs", 1))
        return Resources(
            nodes=count,
            tasks_per_node=ranks,
            cpus_per_task=max(int(chunk.get("ncpus", 1)) // ranks, 1),
            gpus_per_node=int(chunk.get("ngpus", 0)) or None,
            exclusive="excl" in self._booked("place") or None,
            minutes=None if limit is None else limit / 60,
        )

    def options(self, folder: Path) -> list[str]:
        """For qsub, of a job that goes on in this one's place."""
        # Not the queue that it was sent on to: that may take no jobs directly.
        queue = os.environ.get("PBS_O_QUEUE") or str(self.found["queue"])
        words = ["-N", str(self.found["Job_Name"]), "-q", queue]
        for name in ("select", "place", "walltime", *self._further):
            if value := self._booked(name):
                words += ["-l", f"{name}={value}"]
        for option, name in {"-A": "Account_Name", "-M": "Mail_Users", "-m": "Mail_Points"}.items():
            if name in self.found:
                words += [option, str(self.found[name])]
        project = str(self.found.get("project", _NO_PROJECT))
        words += [] if project == _NO_PROJECT else ["-P", project]
        words += ["-j", "oe", "-k", "doe", "-o", f"{folder}/", "-r", "y"]
        return [*words, "-W", f"umask={pbs_script.umask():03o}"]

    @property
    def _further(self) -> list[str]:
        """What else the whole job was given, as a site's file systems or licences: not the sums of
        what its nodes have.
        """
        held = set(re.findall(r"([\w.-]+)=", str(self.found.get("exec_vnode", ""))))
        known = {"select", "place", "walltime"} | held | self._nodes[1].keys() | _OF_NODES
        return sorted(self.found["Resource_List"].keys() - known)
