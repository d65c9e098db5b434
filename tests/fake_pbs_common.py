"""What the commands of the stand-in for PBS share: refusals, options, ids."""

import getopt
import re
from typing import Any

from fake_pbs_depend import BEFORE
from fake_pbs_jobs import HOST, Job

Options = dict[str, list[str]]  # the values of each option, by its letter


class Refused(Exception):
    """What goes to stderr, and the exit status."""

    def __init__(self, error: str, status: int) -> None:
        super().__init__(error)
        self.status = status


class Usage(Refused):
    """What PBS calls illegal, before it says how to call it."""

    def __init__(self, error: str = "") -> None:
        super().__init__(error, 2)


class NotUnderstood(Exception):
    """Something that PBS may know, and this stand-in does not."""


def options_of(
    name: str, arguments: list[str], known: str, understood: str
) -> tuple[Options, list[str]]:
    """Options and operands, as getopt takes them; `understood` names the letters."""
    try:
        found, rest = getopt.getopt(arguments, known)
    except getopt.GetoptError as failure:
        raise Usage(f"{name}: invalid option -- '{failure.opt}'") from None
    options: Options = {}
    for option, value in found:
        if option[1] not in understood:
            raise NotUnderstood(f"{option} {value}".strip())
        options.setdefault(option[1], []).append(value)
    return options, rest


def whole(name: str, given: str) -> str:
    """A job's id, its server with it."""
    match = re.fullmatch(r"(\d+)(\[\d*\])?(?:\.(\w+))?", given)
    if not match or match[3] not in (None, HOST):
        raise Refused(f"{name}: illegally formed job identifier: {given}", 1)
    return f"{match[1]}{match[2] or ''}.{HOST}"


def find(jobs: dict[str, Job], name: str, given: str, naming: bool = False) -> Job:
    """A job that is not over; `naming`: whether the refusal of one that is names it."""
    job_id = whole(name, given)
    job = jobs.get(job_id)
    if job is None:
        raise Refused(f"{name}: Unknown Job Id {job_id}", 153)
    if not job.is_live:
        raise Refused(f"{name}: Job has finished{f' {job_id}' if naming else ''}", 35)
    return job


def depend_of(name: str, text: str) -> dict[str, list[str]]:
    """{type: ids} of -W depend=."""
    found: dict[str, list[str]] = {}
    for part in text.split(","):
        kind, *ids = part.split(":")
        if kind in ("on", "runone", *BEFORE.values()):
            raise NotUnderstood(f"-W depend={text}")
        if kind not in BEFORE or not ids:
            raise Usage(f"{name}: illegal -W value")
        for job_id in ids:
            if not re.fullmatch(rf"\d+(\[\])?(\.{HOST})?(@{HOST})?", job_id):
                raise Usage(f"{name}: illegal -W value")
            found.setdefault(kind, []).append(whole(name, job_id.partition("@")[0]))
    return found


def seconds(text: str) -> int | None:
    """A walltime: [[hours:]minutes:]seconds[.fraction]."""
    if not re.fullmatch(r"\d+(:\d+){0,2}(\.\d+)?", text):
        return None
    total = 0
    for part in text.partition(".")[0].split(":"):
        total = total * 60 + int(part)
    return total + ("." in text)


def clock(total: float) -> str:
    return f"{int(total) // 3600:02}:{int(total) // 60 % 60:02}:{int(total) % 60:02}"


NUMBERS = ("ncpus", "ngpus", "mpiprocs", "ompthreads")
KINDS = (*NUMBERS, "mem", "vmem", "pmem", "host", "vnode", "arch")


def resources_of(
    name: str, given: list[str], settings: dict[str, Any]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The Resource_List and the chunks of -l; of what is given twice, the last counts."""
    asked = dict(pair.partition("=")[::2] for text in given for pair in re.split(",", text))
    known = {*KINDS, *(key for node in settings["nodes"].values() for key in node)}
    loose = sorted(key for key in asked if key in known)
    for key in sorted(asked.keys() - known - {"select", "place", "walltime"}):
        if key == "nodes":
            raise NotUnderstood(f"-l nodes={asked[key]}")
        raise Refused(f"{name}: Unknown resource Resource_List.{key}", 187)
    if loose and asked.keys() & {"select", "place"}:
        told = '"-lresource=" cannot be used with "select" or "place", resource is:'
        raise Refused(f"{name}: {told} {loose[0]}", 5)
    if "ncpus" not in asked:
        loose.append("ncpus")
    select = ":".join(["1", *(f"{key}={asked.get(key, 1)}" for key in loose)])
    select = asked.get("select", select)
    place = asked.get("place", "free" if "select" in asked else "pack")
    shapes = r"(free|pack|scatter|vscatter)?:?(excl|exclhost|shared)?"
    if not re.fullmatch(shapes, place):
        raise Refused(f"{name}: Illegal attribute or resource value Resource_List.place", 166)
    chunks = _chunks(name, select, known)
    total: dict[str, Any] = {"nodect": len(chunks), "place": place, "select": select}
    for key in ("ncpus", "ngpus", "mpiprocs"):
        if any(key in chunk for chunk in chunks):
            total[key] = sum(chunk.get(key, 0) for chunk in chunks)
    if "mem" in chunks[0] and len(chunks) == 1:
        total["mem"] = chunks[0]["mem"]
    if asked.get("walltime"):
        total["walltime"] = seconds(asked["walltime"])
        if total["walltime"] is None:
            illegal = "Illegal attribute or resource value Resource_List.walltime"
            raise Refused(f"{name}: {illegal}", 166)
    return total, chunks


def _chunks(name: str, select: str, known: set[str]) -> list[dict[str, Any]]:
    if not select:
        raise Refused(f"{name}: Illegal attribute or resource value Resource_List.select", 166)
    found = []
    for part in select.split("+"):
        count, *pairs = part.split(":") if part[:1].isdigit() else ["1", *part.split(":")]
        chunk: dict[str, Any] = {}
        for pair in pairs:
            key, _, value = pair.partition("=")
            if key not in known:
                raise Refused(f"{name}: Unknown resource: {key}", 187)
            legal = r"\d+" if key in NUMBERS else r"\d+[kmgt]?[bw]?" if "mem" in key else ".+"
            if not re.fullmatch(legal, value.lower()):
                told = f"Illegal attribute or resource value select.{key}"
                raise Refused(f"{name}: {told}", 166)
            chunk[key] = int(value) if value.isdigit() else value
        found += [{"ncpus": 1} | chunk for _ in range(int(count))]
    if not found:
        raise Refused(f"{name}: Illegal attribute or resource value", 166)
    return found
