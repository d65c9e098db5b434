"""What a PBS does, read from its own answers; what it does not tell is unknown, not an error."""

import grp
import json
import os
import pwd
import re
from dataclasses import dataclass

from slurm import commands
from slurm.errors import SchedulerError, Unreachable
from slurm.pbs_values import Attributes, gibibytes, seconds

# PBS's own, where nothing is set (its manual pages of server, queue and scheduler attributes).
_HISTORY_S = 14 * 24 * 3600
_GRACE_S = 10
_NODE_FAIL_S = 310
_LARGEST_ARRAY = 10_000
_EXPRESS_PRIORITY = 150
_BUILT_IN = {"arch", "host", "vnode", "mem", "vmem", "ncpus"}
_NOTHING = Attributes()
_SERVER = "Server"
_NOT_UP = re.compile("down|offline|stale|unknown|unresolvable|provisioning")


@dataclass(frozen=True)
class User:
    """Who asks."""

    name: str
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Limits:
    """How many jobs may be there at a time; None: no limit of that kind."""

    queued: int | None = None  # of one user, waiting or running
    waiting: int | None = None  # of one user, not started yet
    running: int | None = None  # of one user
    queued_by_all: int | None = None


@dataclass(frozen=True)
class Queue:
    """One queue, as `qstat -Q -f` has it."""

    name: str
    attributes: Attributes = _NOTHING

    @property
    def is_routing(self) -> bool:
        """Whether it only hands its jobs on to other queues."""
        return self.attributes.words("queue_type").lower().startswith("r")

    @property
    def is_enabled(self) -> bool:
        """Whether it takes jobs."""
        return self.attributes.flag("enabled") is True

    @property
    def is_started(self) -> bool:
        """Whether it starts them."""
        return self.attributes.flag("started") is True

    @property
    def is_fed_by_others(self) -> bool:
        """Whether it takes jobs from routing queues alone."""
        return self.attributes.flag("from_route_only") is True

    @property
    def destinations(self) -> list[str]:
        """Where a routing queue hands its jobs on to."""
        return self.attributes.listed("route_destinations")

    @property
    def priority(self) -> int:
        return self.attributes.number("Priority") or 0

    @property
    def grace_s(self) -> int:
        """From SIGTERM to SIGKILL, at the least."""
        found = self.attributes.number("kill_delay")
        return _GRACE_S if found is None else found

    @property
    def longest(self) -> str:
        """The largest walltime, as 24:00:00; empty for none."""
        return self.attributes.table("resources_max").words("walltime")

    @property
    def default_walltime(self) -> str:
        """That of a job that asks for none; empty if the queue sets none."""
        return self.attributes.table("resources_default").words("walltime")

    def admits(self, user: User) -> bool:
        """Whether its lists of users and groups let this one in, as far as they can be read."""
        lists = (("acl_user", [user.name]), ("acl_group", sorted(user.groups)))
        return all(
            self.attributes.flag(f"{kind}_enable") is not True
            or any(self.attributes.admits(f"{kind}s", name) for name in names)
            for kind, names in lists
        )


@dataclass(frozen=True)
class Node:
    """One virtual node, as `pbsnodes` has it."""

    name: str
    is_up: bool
    ncpus: int
    mem_gb: float  # GiB
    ngpus: int
    others: tuple[str, ...] = ()  # further resources that a job may ask for there


@dataclass(frozen=True)
class PBSCluster:
    """A PBS server's settings, its queues, nodes and scheduler."""

    release: str  # as it prints it, 23.06.06
    user: User
    server: Attributes = _NOTHING  # empty: it did not tell
    queues: tuple[Queue, ...] | None = None  # None: it did not tell
    nodes: tuple[Node, ...] | None = None  # likewise
    scheduler: Attributes = _NOTHING  # empty: it did not tell
    has_ngpus: bool | None = None  # whether jobs can ask for ngpus; None: unknown

    @property
    def version(self) -> tuple[int, ...]:
        """PBS's, as (23, 6, 6); empty if it does not say."""
        return tuple(map(int, re.findall(r"\d+", self.release)[:3]))

    @property
    def history_s(self) -> int | None:
        """For how long a job that has ended is known; 0: not at all; None: unknown."""
        if not self.server:
            return None
        if self.server.flag("job_history_enable") is not True:
            return 0
        return seconds(self.server.words("job_history_duration")) or _HISTORY_S

    @property
    def largest_array(self) -> int | None:
        """How many tasks one array may have; None: unknown."""
        return self._number("max_array_size", _LARGEST_ARRAY)

    @property
    def default_queue(self) -> str:
        """Empty if there is none, or it is unknown."""
        return self.server.words("default_queue")

    @property
    def default_walltime(self) -> str:
        """That of a job that asks for none, in the default queue; empty: no limit, or unknown."""
        queues = (queue for queue in self.queues or () if queue.name == self.default_queue)
        own = "".join(queue.default_walltime for queue in queues)
        return own or self.server.table("resources_default").words("walltime")

    @property
    def node_fail_requeue_s(self) -> int | None:
        """How long a node is missed before its jobs are queued again; 0: they are not."""
        found = self._number("node_fail_requeue", _NODE_FAIL_S)
        return 1 if found is not None and found < 0 else found

    def _number(self, name: str, default: int) -> int | None:
        """One of the server's; None if the server did not tell anything."""
        found = self.server.number(name)
        return (default if self.server else None) if found is None else found

    @property
    def query_other_jobs(self) -> bool | None:
        """Whether users see the jobs of others; None: unknown."""
        return self.server.flag("query_other_jobs")

    @property
    def admits_root(self) -> bool:
        return self.server.admits("acl_roots", "root")

    @property
    def preemption_order(self) -> str:
        """What is done to a job that has to make room, as SCR; empty if unknown.

        Tried in this order: S suspend, C checkpoint, R requeue, D delete. "SCR 80 R" stands for SCR
        while more than 80 % of the job's time remain, and for R after that.
        """
        return self.scheduler.words("preempt_order")

    @property
    def first_of_all(self) -> tuple[str, ...]:
        """The queues whose jobs may stop those of others ("express queues")."""
        levels = self.scheduler.words("preempt_prio")
        if not self.scheduler or (levels and "express_queue" not in levels):
            return ()
        least = self.scheduler.number("preempt_queue_prio")
        least = _EXPRESS_PRIORITY if least is None else least
        queues = (queue for queue in self.queues or () if not queue.is_routing)
        return tuple(queue.name for queue in queues if queue.priority >= least)

    def before(self, queue: Queue) -> tuple[str, ...]:
        """The queues whose jobs may stop those of `queue`."""
        return () if queue.name in self.first_of_all else self.first_of_all

    def limits(self, queue: Queue | None = None) -> Limits:
        """What this user may have in a queue, or on the whole server."""
        table = queue.attributes if queue else self.server
        everybody = table.limit("max_queued", "o", "PBS_ALL")
        running = self._own(table, "max_run")
        return Limits(
            queued=self._own(table, "max_queued"),
            waiting=self._own(table, "queued_jobs_threshold"),
            # Older servers have plain numbers instead of lists.
            running=table.number("max_user_run") if running is None else running,
            queued_by_all=table.number("max_queuable") if everybody is None else everybody,
        )

    def _own(self, table: Attributes, name: str) -> int | None:
        """The narrowest limit of a list that is on this user."""
        mine = table.limit(name, "u", self.user.name)
        found = [table.limit(name, "u", "PBS_GENERIC") if mine is None else mine]
        found += [table.limit(name, "g", group) for group in self.user.groups]
        return min((number for number in found if number is not None), default=None)


def read() -> PBSCluster:
    """Ask the server, its queues, nodes and scheduler.

    Raises SchedulerError if there is no PBS here, and Unreachable if it does not answer.
    """
    printed = commands.call("qstat", "--version", title="PBS")
    found = re.search(r"pbs_version\s*=\s*(\S+)", printed)
    if not found:
        told = " ".join(printed.split()) or "nothing"
        raise SchedulerError(f"qstat --version prints {told!r}; allowed: PBS's pbs_version = ...")
    server = _answer(_SERVER, "qstat", "-B", "-f", "-F", "json")
    queues = _answer("Queue", "qstat", "-Q", "-f", "-F", "json")
    listed = _answer("nodes", "pbsnodes", "-a", "-F", "json")
    nodes = tuple(_node(name, values) for name, values in (listed or {}).items())
    return PBSCluster(
        release=found[1],
        user=current_user(),
        server=next(iter((server or {}).values()), _NOTHING),
        queues=None if queues is None else tuple(Queue(n, v) for n, v in queues.items()),
        nodes=None if listed is None else nodes,
        scheduler=_scheduler(),
        has_ngpus=True if any(node.ngpus for node in nodes) else _knows("ngpus"),
    )


def current_user() -> User:
    """The user of this process, and the groups it is in; numbers where there are no names."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    groups = set()
    for number in {os.getgid(), *os.getgroups()}:
        try:
            groups.add(grp.getgrgid(number).gr_name)
        except KeyError:
            groups.add(str(number))
    return User(name, frozenset(groups))


def _answer(key: str, *command: str) -> dict[str, Attributes] | None:
    """The tables below `key` in a command's JSON; None if it has none, or cannot be asked.

    Raises Unreachable if not even the server itself answers.
    """
    try:
        # Tabs and newlines of comments may stand in PBS's JSON as they are.
        found = json.loads(commands.call(*command, title="PBS"), strict=False)[key]
        return {str(name): Attributes(values) for name, values in found.items()}
    except Unreachable:
        if key == _SERVER:
            raise
        return None  # as a list of very many nodes may be
    except (SchedulerError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _scheduler() -> Attributes:
    """The first scheduler's, as qmgr shows them; empty if it does not."""
    try:
        lines = commands.call("qmgr", "-c", "list sched", title="PBS").splitlines()
    except SchedulerError:
        return _NOTHING
    schedulers: list[dict[str, str]] = []
    for line in lines:
        if line.startswith("Sched "):
            schedulers.append({})
        elif schedulers and " = " in line:
            name, _, value = line.partition(" = ")
            schedulers[-1][name.strip()] = value.strip()
    return Attributes(schedulers[0] if schedulers else {})


def _knows(resource: str) -> bool | None:
    """Whether such a resource is defined; None if that is not told."""
    try:
        done = commands.ask("qmgr", "-c", f"list resource {resource}", title="PBS")
    except SchedulerError:
        return None
    if done.returncode:
        return False if "unknown resource" in done.stderr.lower() else None
    return True if f"Resource {resource}" in done.stdout else None


def _node(name: str, values: Attributes) -> Node:
    there = values.table("resources_available")
    return Node(
        name=name,
        is_up=not _NOT_UP.search(values.words("state").lower()),
        ncpus=there.number("ncpus") or 0,
        mem_gb=gibibytes(there.words("mem")),
        ngpus=there.number("ngpus") or 0,
        others=tuple(sorted(there.values.keys() - _BUILT_IN - {"ngpus"})),
    )
