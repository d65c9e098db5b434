"""What the habits of a PBS mean for a run: which guarantees hold there."""

import re
from collections import Counter
from itertools import groupby

from slurm.findings import Finding, Verdict
from slurm.pbs_capabilities import Limits, PBSCluster, Queue

_OLDEST = (19,)  # of PBS's versions that are expected to work; 23.06 is the one that was tried
_SHORT_S = 10  # no more time to save is worth a word
_IDLE = ("Idle", "Terminating", "Terminating_Delayed")
_NAMED_MOST = 6  # queues, or kinds of nodes, in one line


def of_cluster(cluster: PBSCluster) -> list[Finding]:
    """Everything about the PBS that bears on a run."""
    return [
        Finding("qstat", "answers", "jobs and `status` can ask how things stand"),
        _version(cluster),
        *_now(cluster),
        *_memory(cluster),
        *_time(cluster),
        *_going_on(cluster),
        *_preemption(cluster),
        *_queues(cluster),
        *_limits(cluster),
        *_nodes(cluster),
        Finding("files of a job", "umask 077", "unless they ask for another; ours ask for yours"),
    ]


def _version(cluster: PBSCluster) -> Finding:
    if cluster.version >= _OLDEST:
        return Finding("PBS version", cluster.release, "19 or later; 23.06 is what was tried")
    meaning = "older than 19, with which nothing was tried: rehearse before you rely on it"
    return Finding("PBS version", cluster.release, meaning, Verdict.MIND)


def _now(cluster: PBSCluster) -> list[Finding]:
    """What keeps jobs from being taken, or started, at present."""
    found = []
    if cluster.user.name == "root" and not cluster.admits_root:
        meaning = "PBS takes no jobs of root: submit as another user"
        found.append(Finding("user", "root", meaning, Verdict.FAILS))
    state = cluster.server.words("server_state")
    if state in _IDLE or cluster.server.flag("scheduling") is False:
        meaning = "it starts no jobs now: they wait until it does again"
        found.append(Finding("server", state or "scheduling is off", meaning, Verdict.MIND))
    return found


def _memory(cluster: PBSCluster) -> list[Finding]:
    """What PBS remembers of jobs that have ended, and shows of others'."""
    history = cluster.history_s
    told = "the runs' own records tell"
    if history is None:
        row = Finding("job history", "unknown", f"whatever PBS forgets of ended jobs, {told}")
    elif history:
        meaning = f"PBS knows for that long how a job ended; {told} always"
        row = Finding("job history", _span(history), meaning)
    else:
        row = Finding("job history", "off", f"PBS forgets a job as soon as it ends; {told} how")
    if cluster.query_other_jobs is not False:
        return [row]
    return [
        row,
        Finding("jobs of others", "hidden", "you see your own, which is all that is asked"),
    ]


def _time(cluster: PBSCluster) -> list[Finding]:
    meaning = (
        "PBS sends SIGTERM at the walltime or later: a job times itself, and saves ahead of it"
    )
    found = [Finding("signal before the walltime", "none", meaning)]
    if limit := cluster.default_walltime:
        meaning = "the limit of a job without --minutes, which asks qstat for it on its node"
        found.append(Finding("default walltime", limit, meaning))
    return found


def _going_on(cluster: PBSCluster) -> list[Finding]:
    """How a run gets from one job to the next."""
    lost, added = cluster.node_fail_requeue_s, cluster.server.words("default_qsub_arguments")
    found = [
        Finding(
            "requeue by a job itself",
            "not for users",
            "a run goes on as a new job, which the old one submits before it ends",
        ),
        Finding(
            "node_fail_requeue",
            "unknown" if lost is None else f"{lost} s" if lost else "off",
            "after a node is lost for that long, its jobs go on elsewhere, from their checkpoints"
            if lost
            else "a job whose node is lost may stay in state R: cancel its run, and resume it",
            Verdict.HOLDS if lost else Verdict.MIND,
        ),
    ]
    if added:
        meaning = "qsub adds this to every job that does not say otherwise"
        found.append(Finding("default_qsub_arguments", added, meaning, Verdict.MIND))
    if cluster.server.flag("acl_host_enable") and not cluster.server.flag("acl_host_moms_enable"):
        hosts = cluster.server.words("acl_hosts") or "none named"
        meaning = "only these may submit: unless the nodes are among them, give --chain N"
        found.append(Finding("acl_hosts", hosts, meaning, Verdict.MIND))
    return found


def _preemption(cluster: PBSCluster) -> list[Finding]:
    graces = {queue.grace_s for queue in _usable(cluster)} or {Queue("").grace_s}
    least, most = min(graces), max(graces)
    value = f"{least} s" if least == most else f"{least} to {most} s, by queue"
    value += ", unless a queue says otherwise" if cluster.queues is None else ""
    meaning = "the time to save between SIGTERM and SIGKILL, at the least"
    if short := least <= _SHORT_S:
        meaning += "; a save that takes longer is lost, the one before is gone on from"
    verdict = Verdict.MIND if short else Verdict.HOLDS
    found = [Finding("kill_delay", value, meaning, verdict)]
    if not (order := cluster.preemption_order):
        meaning = "how a job is stopped that has to make room is not told: ask the site"
        return [*found, Finding("preemption", "unknown", meaning, Verdict.MIND)]
    if not cluster.first_of_all:
        least_priority = cluster.scheduler.words("preempt_queue_prio") or "150"
        value = f"no queue has Priority {least_priority} or more"
        return [*found, Finding("preemption", value, "no queue's jobs stop those of others")]
    who = f"jobs in {_some(cluster.first_of_all)} go first: one of yours that has to make room "
    return [*found, Finding("preemption", order, who + _made_room(order, least), _worst(order))]


def _made_room(order: str, grace_s: int) -> str:
    """What happens to the job: `order` is as SCR, or SCR 80 R."""
    letters, *rest = order.split()
    told = _tried(letters, grace_s)
    for percent, group in zip(rest[::2], rest[1::2], strict=False):
        told += f"; once {percent} % or less of its time are left, it {_tried(group, grace_s)}"
    return told


def _tried(letters: str, grace_s: int) -> str:
    ways = {
        "S": "is suspended, and goes on where it stood",
        "C": "is stopped by a checkpoint script of the site's",
        "R": f"gets {grace_s} s to save and is queued again under its number",
        "D": f"gets {grace_s} s to save and is deleted: resume it then",
    }
    # Checkpoints take a script that few sites have; without one, the next way is tried.
    usual = [letter for letter in letters if letter in ways and letter != "C"] or ["C"]
    return ", or else ".join(ways[letter] for letter in usual)


def _worst(order: str) -> Verdict:
    """Deletion is one to mind, if it comes first anywhere."""
    groups = [group.replace("C", "") for group in order.split() if group.isalpha()]
    return Verdict.MIND if any(group.startswith("D") for group in groups) else Verdict.HOLDS


def _usable(cluster: PBSCluster) -> list[Queue]:
    """The queues that this user's jobs may be submitted to."""
    return [
        queue
        for queue in cluster.queues or ()
        if queue.is_enabled and not queue.is_fed_by_others and queue.admits(cluster.user)
    ]


def _queues(cluster: PBSCluster) -> list[Finding]:
    """A row for each kind of queue that takes this user's jobs, and one for the others."""
    if cluster.queues is None:
        return [Finding("queues", "unknown", "qsub tells if one does not take a job")]
    usable, rows = _usable(cluster), []
    for queue in usable:
        meaning, verdict = _meaning(cluster, queue)
        is_default = queue.name == cluster.default_queue
        name = f"{queue.name} (default)" if is_default else queue.name
        rows.append((_values(cluster, queue), meaning, verdict, name))
    found = []
    for (value, meaning, verdict), members in groupby(sorted(rows), key=lambda row: row[:3]):
        names = [row[-1] for row in members]
        title = f"queue{'s' if len(names) > 1 else ''} {', '.join(names)}"
        found.append(Finding(title, value, meaning, verdict))
    found.sort(key=lambda finding: ("(default)" not in finding.name, finding.name))
    others = [queue.name for queue in cluster.queues if queue not in usable]
    if not usable:
        meaning = "no queue seems to take your jobs: ask the site"
        return [Finding("queues", _some(others) or "none", meaning, Verdict.MIND)]
    meaning = "switched off, filled by other queues, or not for you"
    return [*found, *([Finding("other queues", _some(others), meaning)] if others else [])]


def _values(cluster: PBSCluster, queue: Queue) -> str:
    if queue.is_routing:
        return f"hands its jobs on to {_some(queue.destinations) or 'no queue'}"
    parts = [
        f"Priority {queue.priority}",
        f"kill_delay {queue.grace_s} s",
        f"walltime up to {queue.longest}" if queue.longest else "walltime of any length",
        *_told(cluster.limits(queue)),
    ]
    return ", ".join(parts)


def _meaning(cluster: PBSCluster, queue: Queue) -> tuple[str, Verdict]:
    more = f"; a longer run goes on in further jobs of {queue.longest}" if queue.longest else ""
    if not queue.is_started:
        return f"it is stopped: no job starts there now{more}", Verdict.MIND
    if queue.is_routing:
        return f"the limits of those count{more}", Verdict.HOLDS
    if first := cluster.before(queue):
        return f"jobs in {_some(first)} may stop one here{more}", Verdict.HOLDS
    return f"no other queue's jobs stop yours{more}", Verdict.HOLDS


def _limits(cluster: PBSCluster) -> list[Finding]:
    arrays = cluster.largest_array
    of_queues = any(_told(cluster.limits(queue)) for queue in _usable(cluster))
    limits = _told(cluster.limits()) + (["those of the queues"] if of_queues else [])
    return [
        Finding(
            "largest array",
            "unknown" if arrays is None else str(arrays),
            "for arrays of your own: a sweep becomes a job for each run",
        ),
        Finding(
            "submit limits",
            ", ".join(limits) or ("none to be seen" if cluster.server else "unknown"),
            "what is above is not lost: the same command submits the rest later",
        ),
    ]


def _told(limits: Limits) -> list[str]:
    numbers = (
        (limits.queued, "jobs of yours"),
        (limits.waiting, "of yours waiting"),
        (limits.running, "of yours running"),
        (limits.queued_by_all, "jobs of all users together"),
    )
    return [f"{number} {what}" for number, what in numbers if number is not None]


def _nodes(cluster: PBSCluster) -> list[Finding]:
    if cluster.nodes is None:
        return [Finding("nodes", "unknown", "qstat tells why a job waits"), _gpus(cluster)]
    up = [node for node in cluster.nodes if node.is_up]
    kinds = Counter((node.ncpus, round(node.mem_gb), node.ngpus) for node in up)
    told = [
        f"{count} with ncpus={ncpus}, mem={mem}gb" + (f", ngpus={ngpus}" if ngpus else "")
        for (ncpus, mem, ngpus), count in kinds.most_common()
    ]
    value = (
        f"{len(up)} of {len(cluster.nodes)} up: {_some(told, '; ')}"
        if up
        else f"{len(cluster.nodes)} of {len(cluster.nodes)} down"
    )
    meaning = "a job that fits into none of them waits for ever" if up else "no job starts now"
    verdict = Verdict.HOLDS if up else Verdict.MIND
    return [Finding("nodes", value, meaning, verdict), _gpus(cluster)]


def _gpus(cluster: PBSCluster) -> Finding:
    count = sum(node.ngpus > 0 for node in cluster.nodes or ())
    if cluster.has_ngpus:
        value = f"ngpus, on {count} node{'s' if count != 1 else ''}"
        meaning = "--gpus-per-node books them; if the site names none to a job, it claims free ones"
        return Finding("GPUs", value, meaning)
    if cluster.has_ngpus is None:
        return Finding("GPUs", "unknown", "qsub refuses ngpus if it is no resource here")
    names = sorted({name for node in cluster.nodes or () for name in node.others})
    alike = [name for name in names if re.search("gpu|accel", name)]
    value = "ngpus is no resource here" + (f", but {_some(alike)} is" if alike else "")
    meaning = "--gpus-per-node is refused: ask the site how its GPUs are booked"
    return Finding("GPUs", value, meaning, Verdict.MIND)


def _some(names: list[str] | tuple[str, ...], between: str = ", ") -> str:
    """The names, or the first of many."""
    more = [f"{len(names) - _NAMED_MOST} more"] if len(names) > _NAMED_MOST else []
    return between.join([*names[:_NAMED_MOST], *more])


def _span(seconds: int) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds} s"
