"""What to submit, whatever the scheduler."""

from dataclasses import dataclass, field

from slurm.resources import Profile, Resources

TOKEN = (
    "GANYMEDE_TOKEN"  # environment: the token of a job's submission, and of what goes on from it
)


@dataclass(frozen=True)
class Order:
    """What to submit, apart from the job itself."""

    name: str  # the job's name in the queue
    token: str  # unique to this submission
    resources: Resources
    profile: Profile = field(default_factory=Profile)
    dependency: str = ""  # as the scheduler writes it
    environment: dict[str, str] = field(default_factory=dict)
    indices: tuple[int, ...] = ()  # of an array's tasks; empty: a job by itself
    max_running: int | None = None  # tasks of an array at the same time
    last: bool = False  # the end of the chain, which mail speaks of

    @property
    def variables(self) -> dict[str, str]:
        """All environment variables that its job gets from it."""
        values = dict(self.environment)
        if self.resources.cpus_per_task:
            values["OMP_NUM_THREADS"] = str(self.resources.cpus_per_task)
        if interface := self.profile.interface:
            values["GLOO_SOCKET_IFNAME"] = values["NCCL_SOCKET_IFNAME"] = interface
            values["GANYMEDE_INTERFACE"] = interface
        return values
