"""The schedulers that there are, one object of each kind."""

from slurm.errors import SchedulerError
from slurm.of_pbs import PBS
from slurm.of_slurm import Slurm
from slurm.scheduler import Scheduler

SCHEDULERS: dict[str, Scheduler] = {scheduler.name: scheduler for scheduler in (Slurm(), PBS())}


def of(name: str) -> Scheduler:
    """The scheduler that flags and records call so. Raises SchedulerError, listing the names."""
    if name not in SCHEDULERS:
        raise SchedulerError(f"scheduler is {name!r}; allowed: {', '.join(SCHEDULERS)}")
    return SCHEDULERS[name]


def here() -> Scheduler | None:
    """The scheduler that this machine submits to; of several, the first."""
    return next((scheduler for scheduler in SCHEDULERS.values() if scheduler.is_here()), None)


def inside() -> Scheduler | None:
    """The scheduler to one of whose jobs this process belongs."""
    return next((scheduler for scheduler in SCHEDULERS.values() if scheduler.is_inside()), None)
