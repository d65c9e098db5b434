"""Slurm, as runs need a scheduler."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from slurm import chain, executors, queue
from slurm.capabilities import Cluster
from slurm.executors import Executor
from slurm.orders import Order
from slurm.scheduler import JobState, Scheduler


class Slurm(Scheduler):
    """By sbatch, squeue, scontrol, scancel and sinfo."""

    name = "slurm"
    title = "Slurm"
    marks = ("srun:", "slurmstepd")

    def is_here(self) -> bool:
        return queue.is_here()

    def is_inside(self) -> bool:
        return "SLURM_JOB_ID" in os.environ

    def check_folder(self, folder: Path) -> Path:
        return executors.check_folder(folder)

    def jobs(
        self, patience_s: float = 0.0, say: Callable[[str], None] = print
    ) -> dict[str, JobState]:
        return queue.jobs(patience_s=patience_s, say=say)

    def submit(
        self,
        folder: Path,
        order: Order,
        functions: Sequence[Callable[[], Any]],
        say: Callable[[str], None] = print,
    ) -> str:
        return Executor(folder, order, say).submit_all(functions)

    def task_id(self, job_id: str, index: int | None) -> str:
        return job_id if index is None else f"{job_id}_{index}"

    def split_id(self, job_id: str) -> tuple[str, int | None]:
        return chain.split_id(job_id)

    def after(self, job_ids: Iterable[str]) -> str:
        return chain.after(job_ids)

    def after_any(self, job_ids: Iterable[str]) -> str:
        return chain.after(job_ids, "afterany")

    def after_corresponding(self, arrays: Iterable[str]) -> str:
        return chain.after_corresponding(arrays)

    def largest_array(self) -> int:
        return Cluster(queue.settings()).largest_array

    def cancel(self, job_ids: Iterable[str]) -> None:
        queue.cancel(job_ids)

    def is_live(self, job_id: str) -> bool:
        return queue.is_live(job_id)

    def why_stopped(self, job_id: str, restarts: int, signalled: bool = True) -> str | None:
        return queue.why_stopped(job_id, restarts, signalled)

    def lost_node(self, nodes: str, started: float) -> bool:
        return queue.nodes_down(nodes) or queue.booted_since(nodes, started)
