"""The stand-in for PBS's qstat: what it shows of jobs, queues and the server."""

import json
import re
import time
from typing import TYPE_CHECKING, Any

from fake_pbs_common import NotUnderstood, Options, Refused, Usage, clock, options_of, whole
from fake_pbs_jobs import HOST, Job

if TYPE_CHECKING:
    from fake_pbs_server import Server

VERSION = "23.06.06"
TITLES = (
    f"{'Job id':<18}{'Name':<17}{'User':<18}Time Use S Queue\n"
    f"{'-' * 16:<18}{'-' * 16:<17}{'-' * 16:<18}{'-' * 8} - -----\n"
)
STATES = {
    "Transit": "T", "Queued": "Q", "Held": "H", "Waiting": "W", "Running": "R", "Exiting": "E",
    "Begun": "B",
}  # fmt: skip


def qstat(server: "Server", request: dict[str, Any]) -> dict[str, Any]:
    known = "ainpqrstwxu:fGHJMQEBW:T1F:D:"
    options, given = options_of("qstat", request["arguments"], known, "fFxEtQB")
    if "F" in options and "f" not in options:
        raise Usage("qstat: conflicting options.")
    if options.get("F", ["json"]) != ["json"] or ("f" in options and "F" not in options):
        raise NotUnderstood("any format but -f -F json")
    document = {"timestamp": int(time.time()), "pbs_version": VERSION, "pbs_server": HOST}
    if options.keys() & {"B", "Q"}:
        if "f" not in options or given:
            raise NotUnderstood("-B or -Q but with -f -F json, of all")
        if "B" in options:
            return {"output": written(document | {"Server": {HOST: about_server(server)}})}
        return {"output": written(document | {"Queue": about_queues(server)})}
    jobs, told, status = chosen(server, given, options)
    if "t" in options:
        jobs = [each for job in jobs for each in (job, *job.subjobs)]
    said = "".join(f"qstat: {line}\n" for line in told)
    if "f" in options:
        document |= {"Jobs": {job.id: show(job, server) for job in jobs}} if jobs else {}
        return {"output": written(document), "error": said, "status": status}
    lines = "".join(line_of(job) for job in jobs)
    return {"output": (TITLES if lines else "") + lines, "error": said, "status": status}


def chosen(
    server: "Server", given: list[str], options: Options
) -> tuple[list[Job], list[str], int]:
    """The jobs to show, what is said of others, and the exit status."""
    found, told, status, history = [], [], 0, "x" in options
    if "E" in options and not all(text[0].isdigit() for text in given):
        raise Refused("qstat: Express option can only be used with job ids", 1)
    ids = [whole("qstat", text) if text[0].isdigit() else text for text in given]
    if history and not server.settings["history"]:
        off = "PBS is not configured to maintain job history"
        return [], [f"{off} {i}" for i in (ids if "E" not in options else ids[-1:]) or [HOST]], 0
    if not given:
        jobs = [job for job in server.jobs.values() if job.array is None]
        return [job for job in jobs if job.is_live or history], [], 0
    for job_id in ids:
        job = server.jobs.get(job_id)
        if not job_id[0].isdigit():
            told.append(f"Unknown queue destination {job_id}")
            status = 170
        elif job is None:
            told.append(f"Unknown Job Id {job_id}")
            status = 153
        elif job.is_live or job.state == "X" or history:
            found.append(job)
        else:
            hint = "use -x or -H to obtain historical job information"
            told.append(f"{job_id} Job has finished, {hint}")
            status = 35
    if "E" in options:
        found.sort(key=list(server.jobs.values()).index)
        return (found, [], 0) if found else ([], [f"Unknown Job Id {ids[-1]}"], 153)
    # This version of PBS prints but the first of several.
    return found[:1] if "f" in options else found, told, status


def written(document: dict[str, Any]) -> str:
    return json.dumps(document, indent="\t", separators=(",", ":\t")) + "\n"


def line_of(job: Job) -> str:
    used = clock((job.over_at or time.time()) - job.started) if job.run_count else "0"
    user = job.attributes["Job_Owner"].partition("@")[0]
    head = f"{job.id:<18}{job.name[:16]:<17}{user[:16]:<17}"
    return f"{head}{used:>9} {job.state} {job.queue:<16}\n"


def parsed(value: str) -> Any:
    """A value of Variable_List, which turns into a number if it looks like one."""
    if re.fullmatch(r"\s*-?\d+(\.\d*)?([eE][-+]?\d+)?\s*", value):
        number = float(value)
        return int(number) if number.is_integer() and abs(number) < 1e15 else number
    try:
        return json.loads(value)
    except ValueError:
        return value.replace("\\", "\\" * 4)  # escaped twice more than it needs


def show(job: Job, server: "Server") -> dict[str, Any]:
    """What qstat -f tells of a job."""
    seen = job.array if job.array and job.is_mere else job
    assert seen
    home = server.settings["home"]
    hidden = ("array", "array_indices_submitted", "max_run_subjobs", "project", "Submit_Host")
    found = {k: v for k, v in job.attributes.items() if not (job.array and k in hidden)}
    limit = job.resources.get("walltime")
    limited = {} if limit is None else {"walltime": clock(limit)}
    found |= {
        "job_state": job.state, "substate": seen.substate,
        "Resource_List": job.resources | limited,
        "Output_Path": f"{HOST}:{job.path('Output', home)}",
        "Error_Path": f"{HOST}:{job.path('Error', home)}",
        "Variable_List": {key: parsed(value) for key, value in job.variables.items()},
    }  # fmt: skip
    if job.state == "R" and time.time() < job.started + server.settings["blind_s"]:
        found["substate"] = 41
    if job.array is None or job.is_mere:
        found["Hold_Types"] = "".join(sorted(seen.holds)) or "n"
        depend = seen.depend.items()
        waits = [":".join([kind, *(f"{i}@{HOST}" for i in ids)]) for kind, ids in depend]
        found |= {"depend": ",".join(waits)} if waits else {}
    comment = "Subjob finished" if job.lost else seen.comment
    found |= {"comment": comment} if comment else {}
    found |= {} if seen.exit_status is None else {"Exit_status": seen.exit_status}
    found |= {"stime": time.ctime(seen.started)} if seen.started else {}
    if job.run_count and not job.is_mere:
        used = clock((job.over_at or time.time()) - job.started)
        found |= {"run_count": job.run_count}
        found["resources_used"] = {"cput": "00:00:00", "mem": "0kb", "walltime": used}
    if job.nodes and not job.is_mere:
        found["exec_host"] = "+".join(f"{node}/{i}" for i, node in enumerate(job.nodes))
        found["exec_vnode"] = job.vnodes()
    if job.array:
        found |= {"array_id": job.array.id, "array_index": int(job.index or 0)}
    if job.subjobs:
        found |= about_subjobs(job.subjobs)
    return found | ({} if job.is_live else {"history_timestamp": int(job.over_at)})


def about_subjobs(subjobs: list[Job]) -> dict[str, Any]:
    states = {"Queued": "Q", "Running": "RS", "Exiting": "E", "Expired": "X"}
    counts = {name: sum(job.state in of for job in subjobs) for name, of in states.items()}
    counts["Expired"] += sum(job.state == "F" and job.lost for job in subjobs)
    waiting = "".join("Q" if job.state == "Q" else "-" for job in subjobs)
    runs = [subjobs[slice(*run.span())] for run in re.finditer("Q+", waiting)]
    ends = [f"{run[0].index}-{run[-1].index}" if run[1:] else f"{run[0].index}" for run in runs]
    left = ",".join(ends) or "-"
    count = " ".join(f"{name}:{n}" for name, n in counts.items())
    return {"array_state_count": f"{count} ", "array_indices_remaining": parsed(left)}


def about_server(server: "Server") -> dict[str, Any]:
    states = [job.state for job in server.jobs.values() if job.array is None]
    counts = " ".join(f"{name}:{states.count(state)}" for name, state in STATES.items())
    found = {
        "server_state": "Active", "server_host": HOST, "scheduling": "True",
        "total_jobs": len(states), "state_count": f"{counts} ", "flatuid": "True",
        "default_queue": next(iter(server.settings["queues"])),
        "max_array_size": server.settings["max_array_size"], "pbs_version": VERSION,
        "job_history_enable": str(server.settings["history"]),
    }  # fmt: skip
    for name in ("max_queued", "queued_jobs_threshold"):
        most = server.settings[name]
        found |= {} if most is None else {name: f"[u:PBS_GENERIC={most}]"}
    return found


def about_queues(server: "Server") -> dict[str, Any]:
    found = {}
    for name, priority in server.settings["queues"].items():
        count = sum(job.queue == name and job.array is None for job in server.jobs.values())
        found[name] = {"queue_type": "Execution"} | ({"Priority": priority} if priority else {})
        found[name] |= {"total_jobs": count, "enabled": "True", "started": "True"}
    return found


def qselect(server: "Server", request: dict[str, Any]) -> dict[str, Any]:
    known = "a:A:c:h:HJl:N:p:q:r:s:t:Tu:xP:"
    options, rest = options_of("qselect", request["arguments"], known, "usxNqTJ")
    if rest:
        raise Usage
    if "x" in options and not server.settings["history"]:
        told = "qselect: PBS is not configured to maintain job history\n"
        return {"error": told}
    lines = []
    for job in server.jobs.values():
        owner = job.attributes["Job_Owner"].partition("@")[0]
        asked = {"u": owner, "N": job.name, "q": job.queue}
        if (
            all(options[k][-1].partition("@")[0] == v for k, v in asked.items() if k in options)
            and ("s" not in options or job.state in options["s"][-1])
            and (job.is_live or "x" in options)
            and (job.array is None or "T" in options)
            and (job.index is not None or "J" not in options)
        ):
            lines.append(f"{job.id}\n")
    return {"output": "".join(lines)}
