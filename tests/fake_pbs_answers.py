"""What the commands of the stand-in for PBS do and say, and what a test may ask of its server."""

import json
import signal
import time
import traceback
from typing import TYPE_CHECKING, Any

from fake_pbs_common import (
    NotUnderstood,
    Refused,
    Usage,
    depend_of,
    find,
    options_of,
    resources_of,
    whole,
)
from fake_pbs_jobs import HOST, RUNNING, Job
from fake_pbs_qstat import VERSION, qselect, qstat, show
from fake_pbs_qsub import qsub

if TYPE_CHECKING:
    from fake_pbs_server import Server

Answer = dict[str, Any]


def answer(server: "Server", request: dict[str, Any]) -> Answer:
    """That of a command, or that to the test itself."""
    name = request["command"]
    if name == "control":
        try:
            return CONTROL[request["operation"]](server, **request["values"])
        except Refused as refused:
            return {"error": str(refused)}
    fault: dict[str, Any] = {}
    if request["first"]:
        with (server.folder / "calls").open("a") as calls:
            call = {key: request[key] for key in ("command", "arguments")}
            calls.write(json.dumps(call) + "\n")
        faults = server.faults.get(name, [])
        fault = faults.pop(0) if faults else {}
    said: Answer = {"error": "", "output": "", "status": 0}
    if not fault or fault["acts"]:
        said |= obey(server, name, request)
    return said | fault


def obey(server: "Server", name: str, request: dict[str, Any]) -> Answer:
    if request["arguments"] == ["--version"]:
        return {"output": f"pbs_version = {VERSION}\n"}
    try:
        return COMMANDS[name](server, request)
    except Usage as refused:
        usage = f"usage: {name} [options] [operands]\n       {name} --version\n"
        return {"error": f"{refused}\n".lstrip() + usage, "status": refused.status}
    except Refused as refused:
        return {"error": f"{refused}\n", "status": refused.status}
    except NotUnderstood as failure:
        return {"error": f"the stand-in's {name} does not understand {failure}\n", "status": 64}
    except Exception:
        return {"error": f"the stand-in broke:\n{traceback.format_exc()}", "status": 70}


def qdel(server: "Server", request: dict[str, Any]) -> Answer:
    options, given = options_of("qdel", request["arguments"], "W:x", "Wx")
    force = options.get("W", [])
    if force not in ([], ["force"]):
        raise NotUnderstood(f"-W {' '.join(force)}")
    if not given:
        raise Usage
    told, status, deleted = "", 0, False
    for text in given:
        try:
            job_id = whole("qdel", text)
            if deleted and job_id not in server.jobs:
                raise NotUnderstood(f"{text}: unknown jobs behind others bring a server down")
            if "x" in options and job_id in server.jobs and not server.jobs[job_id].is_live:
                forget(server, job_id)
                continue
            job = find(server.jobs, "qdel", text, naming=True)
            if job.state == "E":
                raise Refused(f"qdel: Request invalid for state of job {job_id}", 168)
            server.delete(job, job.attributes["Job_Owner"])
            deleted = True
            if force and job.state in RUNNING:
                job.ending = "deleted"
                job.kill()
                server.end(job)
        except Refused as refused:
            told, status = told + f"{refused}\n", refused.status
    return {"error": told, "status": status}


def forget(server: "Server", job_id: str) -> None:
    for job in (server.jobs[job_id], *server.jobs[job_id].subjobs):
        server.jobs.pop(job.id, None)


def authorise(server: "Server", name: str, job: Job) -> None:
    if not server.settings["operator"]:
        raise Refused(f"{name}: Unauthorized Request  {job.id}", 159)


def qsig(server: "Server", request: dict[str, Any]) -> Answer:
    options, given = options_of("qsig", request["arguments"], "s:", "s")
    if not given:
        raise Usage
    name = options.get("s", ["TERM"])[-1]
    number = int(name) if name.isdigit() else 0 if name in ("NULL", "SIGNULL") else None
    if number is None:
        number = getattr(signal, f"SIG{name.removeprefix('SIG')}", None)
    for text in given:
        job = find(server.jobs, "qsig", text)
        if name in ("suspend", "resume"):
            authorise(server, "qsig", job)
            operate(server, f"qsig {name}", job.id)
        elif number is None:
            raise Refused(f"qsig: Unknown/illegal signal name {job.id}", 165)
        elif job.state in "SE":
            raise Refused(f"qsig: Request invalid for state of job {job.id}", 168)
        else:
            for each in job.subjobs or [job]:
                if number and each.state == "R":
                    each.signal(number)
    return {}


def qrerun(server: "Server", request: dict[str, Any]) -> Answer:
    if "wait" not in request:
        _, given = options_of("qrerun", request["arguments"], "W:", "")
        if len(given) != 1:
            raise NotUnderstood("several jobs")
        job = find(server.jobs, "qrerun", given[0])
        authorise(server, "qrerun", job)
        rerun(server, job)
    else:
        job = server.jobs[request["wait"]]
    waits = job.ending == "rerun" and job.state in RUNNING
    return {"again": {"wait": job.id}} if waits else {}


def rerun(server: "Server", job: Job) -> None:
    if job.attributes["Rerunable"] == "False":
        raise Refused(f"qrerun: job is not rerunnable {job.id}", 190)
    if job.state not in RUNNING or job.subjobs:
        raise Refused(f"qrerun: Request invalid for state of job {job.id}", 168)
    server.terminate(job, "rerun")


def qalter(server: "Server", request: dict[str, Any]) -> Answer:
    known = "a:A:c:e:h:j:k:l:m:M:N:o:p:r:R:S:u:W:P:"
    options, given = options_of("qalter", request["arguments"], known, "AlNW")
    depend: dict[str, list[str]] = {}
    for text in options.get("W", []):
        key, _, value = text.partition("=")
        if key != "depend":
            raise NotUnderstood(f"-W {text}")
        depend |= depend_of("qalter", value)
    for text in given:
        job = find(server.jobs, "qalter", text)
        if job.array:
            raise Refused(f"qalter: Invalid request {job.id}", 156)
        if depend and job.state not in "QHW":
            raise not_while_running("depend", job)
        if "l" in options:
            alter_resources(server, job, options["l"])
        for letter, name in {"N": "Job_Name", "A": "Account_Name"}.items():
            job.attributes |= {name: options[letter][-1]} if letter in options else {}
        server.register(job, depend)
    return {}


def not_while_running(what: str, job: Job) -> Refused:
    told = f"qalter: Cannot modify attribute while job running  {what} {job.id}"
    return Refused(told, 167)


def alter_resources(server: "Server", job: Job, given: list[str]) -> None:
    names = {pair.partition("=")[0] for text in given for pair in text.split(",")}
    if job.state in "QHW":
        names = {"select", "place", "walltime"} & job.resources.keys()
        kept = [f"{name}={job.resources[name]}" for name in sorted(names)]
        job.resources, job.chunks = resources_of("qalter", [*kept, *given], server.settings)
        return
    for name in sorted(names - {"walltime"}):
        raise not_while_running(f"Resource_List.{name}", job)
    walltime = resources_of("qalter", given, server.settings)[0]["walltime"]
    if walltime > job.resources.get("walltime", 1 << 60):
        authorise(server, "qalter", job)
    job.resources["walltime"] = walltime


def qhold(server: "Server", request: dict[str, Any]) -> Answer:
    """And qrls."""
    name = request["command"]
    _, given = options_of(name, request["arguments"], "h:", "")
    for text in given:
        job = find(server.jobs, name, text)
        if name == "qhold":
            job.holds.add("u")
            job.comment = (
                f"Job held by {job.attributes['Job_Owner'].partition('@')[0]} on {time.ctime()}"
            )
        else:
            job.holds.discard("u")
        server.hold(job)
    return {}


def pbsdsh(server: "Server", request: dict[str, Any]) -> Answer:
    if "PBS_ENVIRONMENT" not in request["environment"]:
        raise Refused("pbsdsh: not executing under PBS", 1)
    job = server.jobs[request["environment"]["PBS_JOBID"]]
    if "tasks" in request:
        return wait_for_tasks(job, request)
    options, argv = options_of("pbsdsh", request["arguments"], "c:n:h:svo", "cnvo")
    if not argv or {"c", "n"} <= options.keys():
        raise Refused("Usage: pbsdsh [-c copies|-n node_index][-v][-o] -- program [args...]", 1)
    if job.state != "R":
        raise Refused("pbsdsh: tm_init failed, rc = TM_ESYSTEM (17000)", 1)
    count, first = len(job.node_lines()), int(options.get("n", ["0"])[-1])
    copies = 1 if "n" in options else int(options.get("c", [str(count)])[-1])
    nodes = [(first + i) % count for i in range(copies)]
    place = (server.folder, server.settings["home"])
    tasks = [job.start_task(argv, node, *place) for node in nodes]
    told = [
        f"spawned task 0x{i:08X} on logical node {n} event {i + 2}" for i, n in enumerate(nodes)
    ]
    output = "".join(f"pbsdsh: {line}\n" for line in told if "v" in options)
    if "o" in options:
        return {"output": output}
    return {"again": {"tasks": tasks, "verbose": "v" in options}, "output": output}


def wait_for_tasks(job: Job, request: dict[str, Any]) -> Answer:
    tasks = [job.tasks[number] for number in request["tasks"] if number in job.tasks]
    codes = [task.poll() for task in tasks]
    if request["caught"]:
        for task, code in zip(tasks, codes, strict=True):
            if code is None:
                task.send_signal(request["caught"][0])
        return {"status": 1}
    if None in codes:
        return {"again": {key: request[key] for key in ("tasks", "verbose")}}
    codes = [256 - code if code and code < 0 else code for code in codes]
    told = [
        f"pbsdsh: task 0x{i:08X} exit status {code}\n"
        for i, code in enumerate(codes)
        if code or request["verbose"]
    ]
    return {"output": "".join(told)}


COMMANDS = {
    "qsub": qsub, "qstat": qstat, "qselect": qselect, "qdel": qdel, "qsig": qsig,
    "qrerun": qrerun, "qalter": qalter, "qhold": qhold, "qrls": qhold, "pbsdsh": pbsdsh,
}  # fmt: skip


# What a test asks


def change(server: "Server", **values: Any) -> Answer:
    unknown = sorted(values.keys() - server.settings.keys())
    if unknown:
        return {"error": f"no such settings: {', '.join(unknown)}"}
    server.settings |= values
    return {}


def fail(server: "Server", command: str, faults: list[dict[str, Any]]) -> Answer:
    server.faults[command] = faults
    return {}


def operate(server: "Server", action: str, job_id: str) -> Answer:
    if job_id not in server.jobs:
        return {"error": f"no such job: {job_id}"}
    job = server.jobs[job_id]
    if action == "requeue":
        rerun(server, job)
    elif action == "purge":
        forget(server, job_id)
    elif action == "drop":
        server.delete(job, f"Scheduler@{HOST}")
    elif action.endswith("suspend") and job.state == "R":
        server.suspend(job, by_scheduler=action == "suspend")
    elif action.endswith("resume") and job.state == "S":
        server.resume(job)
    else:
        return {"error": f"{job_id} is {job.state}"}
    return {}


def all_jobs(server: "Server") -> Answer:
    return {"jobs": {job.id: show(job, server) for job in server.jobs.values()}}


CONTROL = {"change": change, "fail": fail, "operate": operate, "jobs": all_jobs}
