"""What the habits of a cluster mean for a run: which guarantees hold there."""

from itertools import groupby

from slurm.capabilities import Cluster, Partition
from slurm.findings import Finding, Verdict

_OLDEST = (22, 5)  # of Slurm's versions with which anything was tried
_SHORT_S = 10  # less time to save is worth a word


def of_cluster(cluster: Cluster) -> list[Finding]:
    """Everything about the cluster that bears on a run."""
    return [
        Finding("scontrol", "answers", "jobs and `status` can ask how things stand"),
        _version(cluster),
        *_memory(cluster),
        *_requeue(cluster),
        *_preemption(cluster),
        *_partitions(cluster),
        *_limits(cluster),
    ]


def _version(cluster: Cluster) -> Finding:
    number = cluster.words("SLURM_VERSION") or "unknown"
    if cluster.version[:2] >= _OLDEST:
        return Finding("Slurm version", number, "22.05 or later, as tried")
    meaning = "older than 22.05, the oldest that was tried: rehearse before you rely on it"
    return Finding("Slurm version", number, meaning, Verdict.MIND)


def _memory(cluster: Cluster) -> list[Finding]:
    """What Slurm remembers of jobs that have ended."""
    kind = cluster.words("AccountingStorageType").removeprefix("accounting_storage/")
    enforced = cluster.words("AccountingStorageEnforce")
    account = "; jobs may have to name an --account" if "associations" in enforced else ""
    age = cluster.seconds("MinJobAge")
    known = "for good" if age == 0 else f"for {age} s"
    return [
        Finding(
            "accounting",
            f"{kind or 'none'}{f', enforces {enforced}' if enforced else ''}",
            f"not needed: squeue, scontrol and the runs' own records tell{account}",
        ),
        Finding(
            "MinJobAge",
            "unknown" if age is None else f"{age} s",
            "Slurm knows how a job ended, for a while; later the runs' own records tell"
            if age is None
            else f"Slurm knows {known} how a job ended; the runs' own records tell always",
        ),
    ]


def _requeue(cluster: Cluster) -> list[Finding]:
    delay, is_on = cluster.requeue_delay_s, cluster.settings.get("JobRequeue") == "1"
    found = [
        Finding(
            "JobRequeue",
            cluster.settings.get("JobRequeue", "unknown"),
            "a stopped job is queued again under its number"
            if is_on
            else "off unless a job asks for it, and ours do (--requeue)",
        ),
        Finding(
            "wait after a requeue",
            f"{delay} s",
            "a job that was queued again starts after that at the earliest",
        ),
    ]
    for name, held in (("RequeueExit", ""), ("RequeueExitHold", ", and held until you release it")):
        if statuses := cluster.words(name):
            meaning = f"a job that fails for good with one of these is queued again{held}"
            found.append(Finding(name, statuses, meaning, Verdict.MIND))
    return found


def _preemption(cluster: Cluster) -> list[Finding]:
    wait = cluster.seconds("KillWait")
    short = wait is not None and wait < _SHORT_S
    found = [
        Finding(
            "KillWait",
            "unknown" if wait is None else f"{wait} s",
            "the time to save after scancel, and where GraceTime is 0"
            + ("; short: --rehearse tells how long a save takes" if short else ""),
            Verdict.MIND if short else Verdict.HOLDS,
        ),
    ]
    if not cluster.preempts_by:
        return [*found, Finding("preemption", "none", "no other job stops yours")]
    kind, mode = cluster.words("PreemptType"), cluster.words("PreemptMode")
    exempt = cluster.words("PreemptExemptTime")
    later = "" if exempt in ("", "00:00:00") else f", not in the first {exempt}"
    who = {"partition_prio": "a partition", "qos": "a quality of service (QOS)"}
    found.append(
        Finding(
            "preemption",
            f"{kind}, PreemptMode {mode}{later}",
            f"jobs of {who.get(cluster.preempts_by, 'whatever')} that goes first may stop yours",
        )
    )
    if cluster.preempts_by == "qos":
        found.append(_qualities(cluster))
    signal = ("--signal, else SIGTERM", "it gets the signal that was booked, and stops for both")
    plain = ("SIGTERM", "it gets SIGTERM if there is a GraceTime, not what --signal booked")
    value, meaning = signal if cluster.sends_user_signal else plain
    return [*found, Finding("signal to a preempted job", value, f"{meaning}; it saves")]


def _qualities(cluster: Cluster) -> Finding:
    accounts = cluster.accounts
    known = ", ".join(accounts.qos) if accounts else ""
    return Finding(
        "QOS",
        known or "unknown",
        "with PreemptMode cluster, that of the line above; GraceTime is the time to save"
        if known
        else "how your jobs are stopped is not known: ask the site, or rehearse",
        Verdict.HOLDS if known else Verdict.MIND,
    )


def _partitions(cluster: Cluster) -> list[Finding]:
    """A row for each kind of partition: on many clusters they differ in their nodes alone."""
    rows = []
    for partition in cluster.partitions:
        meaning, verdict = _meaning(cluster, partition)
        name = f"{partition.name} (default)" if partition.is_default else partition.name
        rows.append((_values(partition), meaning, verdict, name))
    kinds = groupby(sorted(rows, key=lambda row: row[:3]), key=lambda row: row[:3])
    found = []
    for (value, meaning, verdict), members in kinds:
        names = [row[-1] for row in members]
        title = f"partition{'s' if len(names) > 1 else ''} {', '.join(names)}"
        found.append(Finding(title, value, meaning, verdict))
    return sorted(found, key=lambda finding: ("(default)" not in finding.name, finding.name))


def _values(partition: Partition) -> str:
    return (
        f"GraceTime {partition.grace_s} s, PreemptMode {partition.preempt_mode}, "
        f"PriorityTier {partition.tier}, MaxTime {partition.max_time}, "
        f"OverSubscribe {partition.oversubscribe}"
    )


def _meaning(cluster: Cluster, partition: Partition) -> tuple[str, Verdict]:
    limit = partition.max_time
    more = "" if limit == "UNLIMITED" else f"; a longer run goes on in further starts of {limit}"
    if partition.state != "UP":
        return f"its state is {partition.state}: no job starts there now{more}", Verdict.MIND
    if cluster.preempts_by not in ("", "partition_prio"):
        return f"the QOS tells how a job is stopped{more}", Verdict.HOLDS
    first = cluster.before(partition)
    if not first:
        return f"no other job stops yours{more}", Verdict.HOLDS
    others = ", ".join(first[:3]) + (" and others" if len(first) > 3 else "")
    meaning, verdict = _when_stopped(cluster, partition)
    return f"{others} may stop a job here, which {meaning}{more}", verdict


def _when_stopped(cluster: Cluster, partition: Partition) -> tuple[str, Verdict]:
    if "SUSPEND" in partition.preempt_mode or "GANG" in partition.preempt_mode:
        return "is suspended, and goes on where it stood", Verdict.HOLDS
    grace, wait = partition.grace_s, cluster.seconds("KillWait") or 0
    time = f"{grace} s" if grace else f"KillWait ({wait} s)"
    verdict = Verdict.MIND if (grace or wait) < _SHORT_S else Verdict.HOLDS
    again = "is queued again" if "REQUEUE" in partition.preempt_mode else "queues itself again"
    return f"has {time} to save and {again}", verdict


def _limits(cluster: Cluster) -> list[Finding]:
    arrays, jobs = cluster.largest_array, cluster.words("MaxJobCount") or "unknown"
    sweeps = f"a larger sweep becomes several arrays of up to {arrays} runs"
    one_by_one = "arrays are off: a sweep becomes a job for each run"
    enforced = cluster.words("EnforcePartLimits").upper() not in ("", "NO")
    lost = cluster.seconds("SlurmdTimeout")
    return [
        Finding("largest array", str(arrays), sweeps if arrays else one_by_one),
        Finding(
            "submit limits",
            f"{_known_limits(cluster)}; MaxJobCount {jobs} for all users together",
            "what is above is not lost: the same command submits the rest later",
        ),
        Finding(
            "EnforcePartLimits",
            cluster.words("EnforcePartLimits") or "NO",
            "a job above its partition's limits is refused at once"
            if enforced
            else "a job above its partition's limits waits for ever; `status` tells the reason",
            Verdict.HOLDS if enforced else Verdict.MIND,
        ),
        Finding(
            "SlurmdTimeout",
            f"{lost} s" if lost else "never" if lost == 0 else "unknown",
            "a lost node is noticed after that; its jobs go on elsewhere, from their checkpoints"
            if lost
            else "a lost node may go unnoticed: cancel and resume its runs by hand",
            Verdict.HOLDS if lost else Verdict.MIND,
        ),
    ]


def _known_limits(cluster: Cluster) -> str:
    if cluster.accounts is None:
        return "none to be seen without accounting"
    if cluster.accounts.problem:
        return f"not known, since accounting does not answer ({cluster.accounts.problem})"
    return ", ".join(cluster.accounts.limits) or "none of your own"
