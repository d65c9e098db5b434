"""PBS, as runs need a scheduler.

A sweep's runs are jobs of their own: a dependency on one task of an array is refused there, and one
on the whole array is judged on all of its tasks.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from submitit.core import plugins
from submitit.core.utils import DelayedSubmission

from slurm import chain, commands, pbs_script, pbs_states, pickles, qsub, succession
from slurm.errors import SchedulerError
from slurm.orders import Order
from slurm.pbs_script import Wrapping
from slurm.preemption import END
from slurm.qsub import Request
from slurm.scheduler import JobState, Scheduler

_LOST = {"down", "state-unknown", "stale"}  # states of a node
_CLOSING = ("-m", "jobs.succession")  # what a wrapper runs after each attempt


def write(order: Order, folder: Path, functions: Sequence[Callable[[], Any]]) -> None:
    """The wrapper of a run's job, and its pickles. PBS takes no environment along: a job gets that
    of its order, and PYTHONPATH.
    """
    path = {k: v for k, v in os.environ.items() if k == "PYTHONPATH"}
    text = pbs_script.script(order, folder, Wrapping(_CLOSING, environment=path), folder)
    pbs_script.options(order, folder)  # refused before anything is written
    pickles.make_folder(folder)
    for index, function in enumerate(functions):
        pickles.dump(DelayedSubmission(function), folder / f"{order.token}_{index}.pkl")
    pbs_script.write(folder / f"{order.token}.sh", text)


class PBS(Scheduler):
    """By qsub, qstat, qselect, qalter and qdel."""

    name = "pbs"
    title = "PBS"
    renumbers = True
    marks = ("=>> PBS:",)

    def is_here(self) -> bool:
        return qsub.is_here()

    def is_inside(self) -> bool:
        return "PBS_JOBID" in os.environ

    def check_folder(self, folder: Path) -> Path:
        return pbs_script.check_folder(folder)

    def jobs(
        self, patience_s: float = 0.0, say: Callable[[str], None] = print
    ) -> dict[str, JobState]:
        return qsub.jobs(patience_s=patience_s, say=say)

    def submit(
        self,
        folder: Path,
        order: Order,
        functions: Sequence[Callable[[], Any]],
        say: Callable[[str], None] = print,
    ) -> str:
        if self.name not in plugins.get_job_environments():
            raise SchedulerError(
                "submitit does not know PBS: this version of ganymede is not the one that was "
                "installed; install it again (pip install)"
            )
        write(order, self.check_folder(folder), functions)
        wrapper = folder / f"{order.token}.sh"
        options = pbs_script.options(order, folder)
        succession.write_options(wrapper, options)
        executable = ("/bin/bash", str(wrapper))
        return qsub.submit(Request(options, executable, order.token, order.dependency), say)

    def task_id(self, job_id: str, index: int | None) -> str:
        return job_id if index is None else pbs_states.task_id(job_id, index)

    def split_id(self, job_id: str) -> tuple[str, int | None]:
        array = pbs_states.array_of(job_id)
        return array, None if array == job_id else int(
            job_id[job_id.index("[") + 1 :].split("]")[0]
        )

    def after(self, job_ids: Iterable[str]) -> str:
        return chain.after(job_ids)

    def after_any(self, job_ids: Iterable[str]) -> str:
        return chain.after(job_ids, "afterany")

    def after_corresponding(self, arrays: Iterable[str]) -> str:
        raise SchedulerError("PBS has no dependency of an array's tasks on those of another one")

    def largest_array(self) -> int:
        return 0

    def cancel(self, job_ids: Iterable[str]) -> None:
        qsub.cancel(job_ids)

    def is_live(self, job_id: str) -> bool:
        found = pbs_states.states(qsub.details([job_id])).get(job_id)
        return found is not None and found.is_live

    def why_stopped(self, job_id: str, restarts: int, signalled: bool = True) -> str | None:
        end = os.environ.get(END) if signalled else None
        return qsub.why_stopped(job_id, float(end) if end else None)

    def how_ended(self, job_id: str) -> str | None:
        return pbs_states.why_ended(qsub.details([job_id]).get(job_id, {}))

    def go_on_with(
        self, folder: Path, token: str, job_id: str, count: int, say: Callable[[str], None] = print
    ) -> list[str]:
        script, found = folder / f"{token}.sh", [job_id]
        try:
            for _ in range(count):
                after, line = self.after_any(found[-1:]), {"GANYMEDE_LINE": job_id}
                found.append(succession.resubmit(script, token, after, line, say))
        except SchedulerError as error:
            say(f"after {found[-1]} no job goes on by itself: {error}")
        return found[1:]

    def lost_node(self, nodes: str, started: float) -> bool:
        """`started` tells nothing here: PBS does not say since when a node is up."""
        told = commands.call("pbsnodes", "-l", title=self.title)
        known = (line.split()[:2] for line in told.splitlines() if len(line.split()) > 1)
        # One that is only offline takes no more jobs, and keeps those that it has.
        lost = {_short(name) for name, states in known if set(states.split(",")) & _LOST}
        return bool(lost & set(map(_short, nodes.split(","))))


def _short(host: str) -> str:
    """A host's name without its domain: the server and the node file may differ in that."""
    return host.partition(".")[0]
