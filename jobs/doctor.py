"""What a cluster does, and which guarantees hold on it."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jobs import file_system, pbs_rehearsal
from jobs.options import Doctor
from jobs.rehearsal import rehearse
from slurm import (
    capabilities,
    guarantees,
    pbs_capabilities,
    pbs_guarantees,
    pbs_script,
    queue,
)
from slurm.errors import SchedulerError
from slurm.executors import script
from slurm.findings import Finding, Verdict
from slurm.orders import Order
from slurm.resources import Profile, Resources, load_profile

_STYLES = {Verdict.HOLDS: "green", Verdict.MIND: "yellow", Verdict.FAILS: "bold red"}


def examine(options: Doctor) -> int:
    """Tell what holds here, and rehearse if asked to.

    Returns the exit status: 1 if a guarantee that runs need does not hold.
    """
    found, profile = _of_profile(options.profile)
    found += _CLUSTERS[options.on](profile, options.resources)
    found += file_system.examine(options.runs)
    if not options.rehearse:
        found.append(_UNTRIED[options.on])
    show(found)
    failed = _failed(found)
    if options.rehearse and profile and not failed:
        found = _REHEARSALS[options.on](options.runs, profile, options.resources)
        show(found)
        failed = _failed(found)
    elif options.rehearse:
        print("no rehearsal, since it would fail too")
    told = f"does not hold: {', '.join(failed)}" if failed else "all that a run needs holds here"
    print(told)
    return 1 if failed else 0


def _failed(found: Sequence[Finding]) -> list[str]:
    return [finding.name for finding in found if finding.verdict == Verdict.FAILS]


def _of_profile(name: str | None) -> tuple[list[Finding], Profile | None]:
    try:
        profile = load_profile(name)
    except SchedulerError as error:
        return [Finding("profile", str(name), str(error), Verdict.FAILS)], None
    told = f"read; hash {profile.hash[:12]}, which a run's records keep"
    return ([Finding("profile", profile.name, told)] if name else []), profile


def _of_slurm(profile: Profile | None, flags: Resources) -> list[Finding]:
    try:
        cluster = capabilities.read()
    except SchedulerError as error:
        meaning = "nothing can be submitted, asked or queued again from here"
        return [Finding("scontrol", str(error), meaning, Verdict.FAILS)]
    booking = [_booking(profile, flags)] if profile else []
    return [*guarantees.of_cluster(cluster), *booking]


def _booking(profile: Profile, flags: Resources) -> Finding:
    """Whether Slurm would take such a training job; nothing is submitted."""
    is_chosen = bool(profile.name) or flags != Resources()
    order = Order("doctor", "doctor", profile.for_stage("train", flags), profile)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "job.sh"
            path.write_text(script(order, Path(folder)), "utf-8")
            queue.call("sbatch", "--test-only", str(path))
    except SchedulerError as error:
        hint = "" if is_chosen else "; give --profile, or --partition, --account and the like"
        verdict = Verdict.FAILS if is_chosen else Verdict.MIND
        return Finding("booking", str(error), f"such a job would be refused{hint}", verdict)
    what = "with this profile and these flags" if is_chosen else "without any flags"
    return Finding("booking", "accepted", f"a training job {what} would be taken")


def _of_pbs(profile: Profile | None, flags: Resources) -> list[Finding]:
    try:
        cluster = pbs_capabilities.read()
    except SchedulerError as error:
        meaning = "nothing can be submitted or asked from here"
        return [Finding("qstat", str(error), meaning, Verdict.FAILS)]
    booking = [_pbs_booking(profile, flags)] if profile else []
    return [*pbs_guarantees.of_cluster(cluster), *booking]


def _pbs_booking(profile: Profile, flags: Resources) -> Finding:
    """Whether such a training job can be put in PBS's words; PBS itself has no dry run."""
    order = Order("doctor", "doctor", profile.for_stage("train", flags), profile)
    try:
        options = pbs_script.options(order, Path("doctor"))
    except SchedulerError as error:
        return Finding("booking", str(error), "such a job would be refused", Verdict.FAILS)
    asked = next(word for word in options if word.startswith("select="))
    return Finding("booking", asked, "PBS has no dry run: only qsub tells whether it takes a job")


_CLUSTERS = {"slurm": _of_slurm, "pbs": _of_pbs}
_REHEARSALS = {"slurm": rehearse, "pbs": pbs_rehearsal.rehearse}
_UNTRIED = {
    "slurm": Finding(
        "scontrol on a node",
        "unknown",
        "not tried: --rehearse stops a real job and watches it go on",
        Verdict.MIND,
    ),
    "pbs": Finding(
        "qsub on a node",
        "unknown",
        "not tried: --rehearse stops a real job and watches another go on",
        Verdict.MIND,
    ),
}


def show(found: Sequence[Finding]) -> None:
    """A table in a terminal, else a line for each."""
    if not sys.stdout.isatty():
        for row in found:
            print(f"{row.verdict:<5}  {row.name}: {row.value} -> {row.meaning}")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("", "what", "found", "what it means for a run"):
        table.add_column(title, overflow="fold")
    for row in found:
        verdict = Text(row.verdict, style=_STYLES[row.verdict])
        table.add_row(verdict, row.name, row.value, row.meaning)
    Console(highlight=False, markup=False).print(table)
