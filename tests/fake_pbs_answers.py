"""What the commands of the stand-in for PBS do and say, and what a test may ask of its server."""

import getopt
import json
import re
import signal
import time
import traceback

from fake_pbs_common import (
    FINISHED,
    UNKNOWN,
    NotUnderstood,
    Refused,
    Usage,
    find,
    options_of,
    whole,
)
from fake_pbs_jobs import HOST, RUNNING
from fake_pbs_qsub import clock, depend_of, qsub, resources_of

VERSION = "23.06.06"


def answer(server, request):
    """That of a command, or of the test itself."""
    name = request["command"]
    if name == "control":
        return CONTROL[request["operation"]](server, **request["values"])
    fault = {}
    if request["first"]:
        with (server.folder / "calls").open("a") as calls:
            call = {key: request[key] for key in ("command", "arguments", "environment")}
            calls.write(json.dumps(call) + "\n")
        faults = server.faults.get(name, [])
        fault = faults.pop(0) if faults else {}
    said = {"error": "", "output": "", "status": 0}
    if not fault or fault["acts"]:
        try:
            said |= _obey(server, name, request)
        except Exception:
            said |= {"error": f"the stand-in failed: {traceback.format_exc()}", "status": 70}
    return {**said, **fault}


def _obey(server, name, request):
    try:
        if request["arguments"] == ["--version"]:
            return {"output": f"pbs_version = {VERSION}\n"}
        found = COMMANDS[name](server, request)
        return {"output": found} if isinstance(found, str) else found
    except Refused as refused:
        return refused.answer
    except NotUnderstood as failure:
        return {"error": f"the stand-in's {name} does not understand {failure}\n", "status": 64}
    except (Usage, getopt.GetoptError) as failure:
        told = f"{name}: {failure}\n" if str(failure) else ""
        if isinstance(failure, getopt.GetoptError):
            told = f"{name}: invalid option -- '{failure.opt}'\n"
        return {"error": f"{told}usage: {name} [options]\n       {name} --version\n", "status": 2}


def qstat(server, request):
    known = "ainpqrstwxu:fGHJMQEBW:T1F:D:"
    options, given = options_of("qstat", request["arguments"], known, "fFxEtQB")
    if "F" in options and "f" not in options:
        raise Usage("conflicting options.")
    if options.get("F", ["json"]) != ["json"] or ("f" in options and "F" not in options):
        raise NotUnderstood("a format other than -f -F json")
    told, shown = [], {}
    document = {"timestamp": int(time.time()), "pbs_version": VERSION, "pbs_server": HOST}
    if "B" in options or "Q" in options:
        if "f" not in options:
            raise NotUnderstood("-B or -Q without -f -F json")
        document |= (
            {"Server": {HOST: about(server)}} if "B" in options else {"Queue": queues(server)}
        )
        return {"output": written(document)}
    status = 0
    if given:
        jobs, told, status = chosen(server, given, options)
    else:
        jobs = [job for job in server.jobs.values() if job.is_live or "x" in options]
        jobs = [job for job in jobs if job.array is None]
    if "t" in options:
        jobs = [each for job in jobs for each in (job, *job.subjobs)]
    shown = {job.id: show(job, server) for job in jobs}
    said = "".join(f"{line}\n" for line in told)
    if "f" in options:
        document |= {"Jobs": shown} if shown else {}
        return {"output": written(document), "error": said, "status": status}
    lines = [line_of(job) for job in jobs]
    titles = f"{'Job id':<17} {'Name':<16} {'User':<16}  {'Time Use'} S Queue\n"
    titles += f"{'-' * 16}  {'-' * 16} {'-' * 16}  {'-' * 8} - {'-' * 5}\n"
    return {"output": titles * bool(lines) + "".join(lines), "error": said, "status": status}


def chosen(server, given, options):
    """The jobs that are named, what is said of the others, and the exit status."""
    history, found, told, status = "x" in options, [], [], 0
    for text in given:
        if not text[:1].isdigit():
            told.append(f"qstat: Unknown queue destination {text}")
            status = 170
            continue
        job_id = whole("qstat", text)
        job = server.jobs.get(job_id)
        if job is None and history and not server.settings["history"]:
            told.append(f"qstat: PBS is not configured to maintain job history {job_id}")
        elif job is None:
            told.append(f"qstat: {UNKNOWN.format(job_id)}")
            status = 153
        elif not job.is_live and job.state != "X" and not history:
            told.append(
                f"qstat: {job_id} {FINISHED}, use -x or -H to obtain historical job information"
            )
            status = 35
        else:
            found.append(job)
    if "E" in options:
        return (found, [], 0) if found else ([], told[-1:], status)
    if "f" in options and len(given) > 1:
        found = found[:1]  # as this version of PBS has it
    return found, told, status


def written(document):
    return json.dumps(document, indent="\t", separators=(",", ":\t")) + "\n"


def line_of(job):
    used = f"{clock(int(time.time() - job.started)) if job.run_count else 0:>8}"
    name, user = job.attributes["Job_Name"][:16], job.attributes["Job_Owner"].partition("@")[0]
    return f"{job.id:<17} {name:<16} {user:<16}  {used} {job.state} {job.attributes['queue']:<16}\n"


def parsed(value):
    """A value of Variable_List, which turns into a number if it looks like one."""
    try:
        return json.loads(value)
    except ValueError:
        if re.fullmatch(r"-?\d[\d.]*([eE][-+]?\d+)?", value) and value.count(".") < 2:
            number = float(value)
            return int(number) if number.is_integer() else number
        return value


def show(job, server):
    """What qstat -f tells of a job."""
    hidden = ("home", "indices", "most", "history_timestamp")
    found = {k: v for k, v in job.attributes.items() if k not in hidden}
    subjobs = job.subjobs
    source = job.array if job.array and job.state in "QH" else job
    resources = {k: clock(v) if k == "walltime" else v for k, v in job.resources.items()}
    found |= {
        "job_state": job.state, "substate": job.substate, "server": HOST,
        "Hold_Types": "".join(sorted(job.holds)) or "n", "Resource_List": resources,
        "Output_Path": f"{HOST}:{job.path('Output_Path')}",
        "Error_Path": f"{HOST}:{job.path('Error_Path')}", "Submit_Host": HOST,
        "Variable_List": {key: parsed(value) for key, value in job.variables.items()},
    }  # fmt: skip
    waits = ",".join(
        ":".join([kind, *(f"{i}@{HOST}" for i in ids)]) for kind, ids in job.depend.items()
    )
    found |= {"depend": waits} if waits else {}
    found |= {"comment": job.comment} if job.comment else {}
    found |= {"run_count": job.run_count} if job.run_count else {}
    found |= {"Exit_status": source.exit_status} if source.exit_status is not None else {}
    if job.run_count and job.nodes:
        used = clock(int((job.over_at or time.time()) - job.started))
        found |= {"exec_vnode": job.vnodes(), "stime": time.ctime(job.started)}
        found["exec_host"] = "+".join(f"{node}/{i}" for i, node in enumerate(job.nodes))
        found["resources_used"] = {"cput": "00:00:00", "mem": "0kb", "walltime": used}
    if job.array:
        found |= {"array_id": job.array.id, "array_index": int(job.index)}
    if subjobs:
        counts = {
            name: sum(job.state in states for job in subjobs) for name, states in ARRAY.items()
        }
        waiting = [int(each.index) for each in subjobs if each.state in "QH"]
        found |= {
            "array": "True",
            "array_state_count": " ".join(f"{k}:{v}" for k, v in counts.items()) + " ",
            "array_indices_submitted": job.attributes["indices"],
            "array_indices_remaining": parsed(",".join(map(str, waiting)) or "-"),
        }
    if not job.is_live:
        found["history_timestamp"] = job.attributes["history_timestamp"]
    return found


ARRAY = {"Queued": "QH", "Running": "RS", "Exiting": "E", "Expired": "XF"}


def about(server):
    states = [job.state for job in server.jobs.values() if job.index != ""]
    names = {"Transit": "T", "Queued": "Q", "Held": "H", "Waiting": "W", "Running": "R"}
    names |= {"Exiting": "E", "Begun": "B"}
    counts = " ".join(f"{name}:{states.count(state)}" for name, state in names.items())
    found = {
        "server_state": "Active", "server_host": HOST, "scheduling": "True",
        "total_jobs": len(states), "state_count": f"{counts} ",
        "default_queue": next(iter(server.settings["queues"])), "flatuid": "True",
        "max_array_size": server.settings["max_array_size"], "pbs_version": VERSION,
    }  # fmt: skip
    for name in ("max_queued", "max_queued_q"):
        if server.settings[name] is not None:
            found["queued_jobs_threshold" if name[-1] == "q" else name] = (
                f"[u:PBS_GENERIC={server.settings[name]}]"
            )
    return found | ({"job_history_enable": "True"} if server.settings["history"] else {})


def queues(server):
    found = {}
    for name, priority in server.settings["queues"].items():
        jobs = [job for job in server.jobs.values() if job.attributes["queue"] == name]
        found[name] = {"queue_type": "Execution", "total_jobs": len(jobs)}
        found[name] |= {"Priority": priority} if priority else {}
        found[name] |= {"enabled": "True", "started": "True"}
    return found


def qselect(server, request):
    options, _ = options_of(
        "qselect", request["arguments"], "a:A:c:h:HJl:N:p:q:r:s:t:Tu:xP:", "usxNqTJ"
    )
    lines = []
    for job in server.jobs.values():
        wanted = {
            "u": job.attributes["Job_Owner"].partition("@")[0],
            "N": job.attributes["Job_Name"],
            "q": job.attributes["queue"],
        }
        if (
            all(options[k][-1].partition("@")[0] == v for k, v in wanted.items() if k in options)
            and ("s" not in options or job.state in options["s"][-1])
            and (job.is_live or "x" in options)
            and (job.array is None or "T" in options)
            and (job.index == "" or "J" not in options)
        ):
            lines.append(f"{job.id}\n")
    return "".join(lines)


def qdel(server, request):
    options, given = options_of("qdel", request["arguments"], "W:x", "Wx")
    force = [value for value in options.pop("W", []) if value != "suppress_email=-1"]
    if force not in ([], ["force"]):
        raise NotUnderstood(f"-W {force[0]}")
    if not given:
        raise Usage("")
    owner = owner_of(request)
    for index, text in enumerate(given):
        job = server.jobs.get(whole("qdel", text))
        if job is None and index + 1 < len(given) and index:
            raise NotUnderstood(f"{text}: an unknown job between others brings the server down")
        if "x" in options and job and not job.is_live:
            forget(server, job.id)
            continue
        job = find(server, "qdel", text)
        if force and job.state in RUNNING:
            job.ending, job.terminated_by = "deleted", owner
            job.comment += f" and terminated by {owner}"
            job.kill()
            server.end(job)
            continue
        server.delete(job, owner)
    return ""


def owner_of(request):
    return f"{request['environment'].get('USER', 'user')}@{HOST}"


def forget(server, job_id):
    job = server.jobs[job_id]
    for each in (job, *job.subjobs):
        server.jobs.pop(each.id, None)


def qsig(server, request):
    options, given = options_of("qsig", request["arguments"], "s:", "s")
    name = options.get("s", ["SIGTERM"])[-1]
    number = 0 if name in ("0", "NULL", "SIGNULL") else int(name) if name.isdigit() else None
    if number is None:
        number = getattr(signal, f"SIG{name.removeprefix('SIG')}", None)
    for text in given:
        job = find(server, "qsig", text, naming=False)
        if name in ("suspend", "resume"):
            authorise(server, "qsig", job.id)
            server.suspend(job, name == "suspend")
        elif number is None:
            raise Refused(f"qsig: Unknown/illegal signal name {job.id}", 165)
        elif job.state == "E":
            raise Refused(f"qsig: Request invalid for state of job {job.id}", 168)
        for each in job.subjobs or [job]:
            if number and each.state in RUNNING:
                each.signal(number)
    return ""


def authorise(server, name, job_id):
    if not server.settings["operator"]:
        raise Refused(f"{name}: Unauthorized Request  {job_id}", 159)


def qrerun(server, request):
    if "wait" in request:
        job = server.jobs[request["wait"]]
        return {"again": {"wait": job.id}} if job.ending == "rerun" and job.state in RUNNING else ""
    _, given = options_of("qrerun", request["arguments"], "W:", "")
    job = find(server, "qrerun", given[0], naming=False)
    authorise(server, "qrerun", job.id)
    rerun(server, job.id)
    return {"again": {"wait": job.id}}


def rerun(server, job_id):
    job = server.jobs[job_id]
    if job.attributes["Rerunable"] == "False":
        raise Refused(f"qrerun: job is not rerunnable {job_id}", 190)
    if job.state not in RUNNING:
        raise Refused(f"qrerun: Request invalid for state of job {job_id}", 168)
    server.terminate(job, "rerun")


def qalter(server, request):
    options, given = options_of(
        "qalter", request["arguments"], "a:A:c:e:h:j:k:l:m:M:N:o:p:r:R:S:u:W:P:", "WlNA"
    )
    depend = None
    for text in options.get("W", []):
        key, _, value = text.partition("=")
        if key != "depend":
            raise NotUnderstood(f"-W {text}")
        depend = depend_of("qalter", value)
    for text in given:
        job = find(server, "qalter", text, naming=False)
        if "l" in options:
            alter_resources(server, job, options)
        for letter, name in {"N": "Job_Name", "A": "Account_Name"}.items():
            job.attributes |= {name: options[letter][-1]} if letter in options else {}
        if depend:
            if job.state not in "QH":
                raise Refused(f"qalter: Request invalid for state of job {job.id}", 168)
            server.register(job, depend)
    return ""


def alter_resources(server, job, options):
    names = {pair.partition("=")[0] for text in options["l"] for pair in text.split(",")}
    if job.state in "QH":
        before = [f"{key}={job.resources[key]}" for key in ("select", "place") if key not in names]
        kept = [f"walltime={job.resources['walltime']}"] if "walltime" in job.resources else []
        job.resources, job.chunks = resources_of({"l": [*before, *kept, *options["l"]]}, server)
        return
    if names != {"walltime"}:
        raise Refused(
            f"qalter: Cannot modify attribute while job running  Resource_List.{min(names)}", 5
        )
    found, _ = resources_of({"l": options["l"]}, server)
    if found["walltime"] > job.resources.get("walltime", 0):
        authorise(server, "qalter", job.id)
    job.resources["walltime"] = found["walltime"]


def qhold(server, request):
    _, given = options_of(request["command"], request["arguments"], "h:", "")
    for text in given:
        job = find(server, request["command"], text, naming=False)
        for each in (job, *job.subjobs):
            (each.holds.add if request["command"] == "qhold" else each.holds.discard)("u")
            server.hold(each)
    return ""


def pbsdsh(server, request):
    name = request["command"]
    if "PBS_ENVIRONMENT" not in request["environment"]:
        raise Refused(f"{name}: not executing under PBS", 1)
    job = server.jobs[request["environment"]["PBS_JOBID"]]
    if "tasks" not in request:
        options, argv = options_of(name, request["arguments"], "c:n:h:svo", "cnvo")
        if not argv or {"c", "n"} <= options.keys():
            raise Refused(f"Usage: {name} [-c copies][-s][-v][-o] -- program [args...]", 1)
        lines = job.nodes_file()
        first = int(options.get("n", ["0"])[-1])
        count = 1 if "n" in options else int(options.get("c", [len(lines)])[-1])
        numbers = [job.spawn(server.folder, argv, (first + i) % len(lines)) for i in range(count)]
        said = [
            f"{name}: spawned task 0x{i:08X} on logical node {first + i} event {i + 2}"
            for i in range(count)
        ]
        said = "".join(f"{line}\n" for line in said if "v" in options)
        if "o" in options:
            return said
        return {"again": {"tasks": numbers, "verbose": "v" in options}, "output": said}
    tasks = [job.tasks[number] for number in request["tasks"]]
    if request["caught"]:
        for task in tasks:
            task.poll() is None and task.send_signal(request["caught"][0])
        return {"status": 1}
    codes = [task.poll() for task in tasks]
    if None in codes:
        return {"again": {key: request[key] for key in ("tasks", "verbose")}}
    codes = [code if code >= 0 else 256 - code for code in codes]
    return "".join(
        f"{name}: task 0x{i:08X} exit status {code}\n"
        for i, code in enumerate(codes)
        if code or request["verbose"]
    )


COMMANDS = {
    "qsub": qsub, "qstat": qstat, "qselect": qselect, "qdel": qdel, "qsig": qsig,
    "qrerun": qrerun, "qalter": qalter, "qhold": qhold, "qrls": qhold, "pbsdsh": pbsdsh,
}  # fmt: skip


def change(server, **values):
    unknown = values.keys() - server.settings.keys()
    if unknown:
        return {"error": f"no such setting: {', '.join(sorted(unknown))}"}
    server.settings |= values
    return {}


def fail(server, command, faults):
    server.faults[command] = faults
    return {}


def operate(server, action, job_id):
    if action == "requeue":
        rerun(server, job_id)
    elif action == "purge":
        forget(server, job_id)
    else:
        server.suspend(server.jobs[job_id], action == "suspend")
    return {}


def jobs(server):
    return {"jobs": {job.id: show(job, server) for job in server.jobs.values()}}


CONTROL = {"change": change, "fail": fail, "operate": operate, "jobs": jobs}
