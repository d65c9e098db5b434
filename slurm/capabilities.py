"""What a cluster does, read from its own answers."""

import os
import pwd
import re
from dataclasses import dataclass

from slurm import queue
from slurm.errors import SchedulerError

_NOTHING = ("(null)", "N/A", "none", "None")
_REQUEUE_DELAY_S = 120  # Slurm's own, where the cluster sets none


@dataclass(frozen=True)
class Partition:
    """One partition, as `scontrol show partition` has it."""

    name: str
    is_default: bool
    grace_s: int
    preempt_mode: str
    tier: int
    max_time: str
    oversubscribe: str
    state: str


@dataclass(frozen=True)
class Accounts:
    """What accounting says of this user, in words."""

    limits: tuple[str, ...] = ()  # on jobs in the queue
    qos: tuple[str, ...] = ()  # qualities of service, and how their jobs are preempted
    problem: str = ""  # why it could not be asked


@dataclass(frozen=True)
class Cluster:
    """A cluster's settings, as `scontrol show config` has them, and its partitions."""

    settings: dict[str, str]
    partitions: tuple[Partition, ...] = ()
    accounts: Accounts | None = None  # None: there is no accounting to ask

    def words(self, name: str) -> str:
        """A setting as it is printed; empty for none."""
        value = self.settings.get(name, "")
        return "" if value in _NOTHING else value

    def seconds(self, name: str) -> int | None:
        """A setting printed as `300 sec`; None if it is not there."""
        number = re.match(r"\d+", self.settings.get(name, ""))
        return int(number[0]) if number else None

    def options(self, name: str) -> dict[str, str]:
        """A setting that is a list of options, some of them with values: `a,b=3`."""
        parts = (part.partition("=") for part in self.words(name).split(",") if part)
        return {key.strip().lower(): value.strip() for key, _, value in parts}

    @property
    def version(self) -> tuple[int, ...]:
        """Slurm's, as (22, 5, 8); empty if it does not say."""
        return tuple(map(int, re.findall(r"\d+", self.words("SLURM_VERSION"))[:3]))

    @property
    def preempts_by(self) -> str:
        """`partition_prio`, `qos` or another plugin; empty if nothing is preempted."""
        return self.words("PreemptType").removeprefix("preempt/").replace("none", "")

    @property
    def sends_user_signal(self) -> bool:
        """Whether a preempted job gets the signal that it booked with --signal."""
        older, newer = self.options("SlurmctldParameters"), self.options("PreemptParameters")
        return "preempt_send_user_signal" in older or "send_user_signal" in newer

    @property
    def requeue_delay_s(self) -> int:
        """For how long a job that was queued again is held back."""
        chosen = self.options("SchedulerParameters").get("requeue_delay", "")
        return (int(chosen) if chosen.isdigit() else _REQUEUE_DELAY_S) + 1

    @property
    def largest_array(self) -> int:
        """How many tasks one array may have; 0: arrays are switched off."""
        largest = int(self.settings.get("MaxArraySize", "1001"))
        chosen = self.options("SchedulerParameters").get("max_array_tasks", "")
        return min(largest, int(chosen)) if chosen.isdigit() else largest

    def before(self, partition: Partition) -> list[str]:
        """The partitions whose jobs may stop those of `partition`, where they share nodes."""
        if self.preempts_by != "partition_prio" or partition.preempt_mode == "OFF":
            return []
        return [other.name for other in self.partitions if other.tier > partition.tier]


def read() -> Cluster:
    """Ask the cluster. Raises SchedulerError if it does not answer."""
    settings = queue.settings()
    lines = queue.call("scontrol", "--oneliner", "show", "partition").splitlines()
    partitions = tuple(_partition(queue.pairs(line)) for line in lines if "PartitionName=" in line)
    if not settings.get("AccountingStorageType", "").endswith("/slurmdbd"):
        return Cluster(settings, partitions)
    try:
        return Cluster(settings, partitions, _accounts())
    except (SchedulerError, KeyError) as error:
        return Cluster(settings, partitions, Accounts(problem=str(error)))


def _partition(values: dict[str, str]) -> Partition:
    def number(name: str, default: int) -> int:
        return int(values[name]) if values.get(name, "").isdigit() else default

    return Partition(
        name=values["PartitionName"],
        is_default=values.get("Default") == "YES",
        grace_s=number("GraceTime", 0),
        preempt_mode=values.get("PreemptMode", "OFF"),
        tier=number("PriorityTier", 1),
        max_time=values.get("MaxTime", "UNLIMITED"),
        oversubscribe=values.get("OverSubscribe", "NO"),
        state=values.get("State", "UP"),
    )


def _accounts() -> Accounts:
    """Raises SchedulerError, or KeyError for a user without a name."""
    user = pwd.getpwuid(os.getuid()).pw_name
    limits, mine = [], set()
    for row in _table("assoc", "Account,Partition,QOS,MaxSubmitJobs", f"user={user}"):
        account, partition, names, most = row
        mine |= set(names.split(","))
        where = f"account {account}, partition {partition}" if partition else f"account {account}"
        limits += [f"{most} jobs in {where}"] if most else []
    qos = []
    for name, grace, mode, most in _table("qos", "Name,GraceTime,PreemptMode,MaxSubmitJobsPU"):
        if name in mine:
            limits += [f"{most} jobs in QOS {name}"] if most else []
            qos.append(f"{name} (PreemptMode {mode}, GraceTime {grace})")
    return Accounts(tuple(limits), tuple(qos))


def _table(what: str, columns: str, *which: str) -> list[list[str]]:
    output = queue.call(
        "sacctmgr", "--noheader", "--parsable2", "show", what, *which, f"format={columns}"
    )
    rows = (line.split("|") for line in output.splitlines())
    return [row for row in rows if len(row) == columns.count(",") + 1]
