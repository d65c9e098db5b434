"""The stand-in for PBS's qsub: what it takes, what it refuses, and the job that comes of it."""

import os
import pwd
import re
import shlex
import time
from pathlib import Path

from fake_pbs_common import NotUnderstood, Refused, Usage, options_of, whole
from fake_pbs_jobs import BEFORE, HOST, Job

KINDS = ("ncpus", "mem", "ngpus", "mpiprocs", "ompthreads", "host", "vnode", "arch", "vmem", "cput")


def seconds(text):
    """A walltime: [[hours:]minutes:]seconds."""
    if not re.fullmatch(r"\d+(:\d+){0,2}(\.\d+)?", text):
        return None
    total = 0
    for part in text.partition(".")[0].split(":"):
        total = total * 60 + int(part)
    return total


def clock(total):
    return f"{total // 3600:02}:{total // 60 % 60:02}:{total % 60:02}"


def chunks_of(select, server):
    found = []
    known = {*KINDS, *(key for node in server.settings["nodes"].values() for key in node)}
    for part in select.split("+"):
        first, *asked = part.split(":")
        count, chunk = (int(first), {}) if first.isdigit() else (1, {})
        asked = asked if first.isdigit() else [first, *asked]
        for pair in asked:
            key, _, value = pair.partition("=")
            if key not in known:
                raise Refused(f"qsub: Unknown resource: {key}", 187)
            if not re.fullmatch(
                r"\d+([kmgt]?[bw])?|\d+[kmgt]" if "mem" in key else r"\w+", value.lower()
            ) or (key in ("ncpus", "ngpus", "mpiprocs", "ompthreads") and not value.isdigit()):
                raise Refused(f"qsub: Illegal attribute or resource value select.{key}", 166)
            chunk[key] = int(value) if value.isdigit() else value
        found.extend({"ncpus": 1} | chunk for _ in range(count))
    if not found:
        raise Refused("qsub: Illegal attribute or resource value", 166)
    return found


def resources_of(options, server):
    """The Resource_List and the chunks of -l."""
    asked = {}
    for given in options.get("l", []):
        for pair in given.split(","):
            key, _, value = pair.partition("=")
            asked[key] = value
    select, loose = asked.pop("select", None), [key for key in asked if key in KINDS]
    if (select is not None or "place" in asked) and loose:
        cause = f'"-lresource=" cannot be used with "select" or "place", resource is: {loose[0]}'
        raise Refused(f"qsub: {cause}", 5)
    for key in asked.keys() - {*KINDS, "place", "walltime"}:
        raise Refused(f"qsub: Unknown resource Resource_List.{key}", 187)
    if select == "":
        raise Refused("qsub: Illegal attribute or resource value Resource_List.select", 166)
    place = asked.get("place", "free" if select else "pack")
    if not re.fullmatch(r"(free|pack|scatter|vscatter)?:?(excl|exclhost|shared)?", place):
        raise Refused("qsub: Illegal attribute or resource value Resource_List.place", 166)
    select = select or "1:" + ":".join(
        f"{k}={asked[k]}" for k in loose or ["ncpus"] if k in asked or asked.setdefault(k, "1")
    )
    chunks = chunks_of(select, server)
    found = {"ncpus": sum(chunk["ncpus"] for chunk in chunks), "nodect": len(chunks)}
    gpus = sum(chunk.get("ngpus", 0) for chunk in chunks)
    found |= {"ngpus": gpus} if gpus else {}
    found |= {"place": place, "select": select}
    if "walltime" in asked:
        found["walltime"] = seconds(asked["walltime"])
        if found["walltime"] is None:
            raise Refused("qsub: Illegal attribute or resource value Resource_List.walltime", 166)
    return found, chunks


def depend_of(name, text):
    """{type: whole ids} of -W depend=."""
    found = {}
    for part in text.split(","):
        kind, *ids = part.split(":")
        if kind in ("on", "runone", "before", "beforeok", "beforenotok", "beforeany"):
            raise NotUnderstood(f"-W depend={text}")
        if kind not in BEFORE or not ids:
            raise Usage("illegal -W value")
        for job_id in ids:
            if not re.fullmatch(rf"\d+(\[\])?(\.{HOST})?(@{HOST})?", job_id):
                raise Usage("illegal -W value")
            found.setdefault(kind, []).append(whole(name, job_id.partition("@")[0]))
    return found


def further_of(options):
    """{name: value} of -W."""
    found = {}
    for given in options.get("W", []):
        for pair in re.split(r",(?=[a-z_]+=)", given):
            key, _, value = pair.partition("=")
            if key not in ("depend", "umask", "block"):
                raise NotUnderstood(f"-W {pair}")
            found[key] = value
    return found


def variables_of(options, environment, request):
    """The Variable_List; of several -v, the last counts."""
    asked = {"PBS_O_HOME": "HOME", "PBS_O_LANG": "LANG", "PBS_O_LOGNAME": "LOGNAME",
             "PBS_O_PATH": "PATH", "PBS_O_MAIL": "MAIL", "PBS_O_SHELL": "SHELL"}  # fmt: skip
    found = {key: environment[name] for key, name in asked.items() if name in environment}
    found |= {"PBS_O_LOGNAME": pwd.getpwuid(os.getuid()).pw_name, "PBS_O_SYSTEM": "Linux"}
    found["PBS_O_WORKDIR"] = request["folder"]
    if "V" in options:
        found |= {k: v for k, v in environment.items() if not k.startswith("PBS_O_")}
    for pair in split_pairs(options.get("v", [""])[-1]):
        key, equals, value = pair.partition("=")
        if not equals and key not in environment:
            raise Refused("qsub: cannot send environment with the job", 1)
        found[key] = value if equals else environment[key]
    return found


def split_pairs(text):
    """A -v value at its commas, but for those that are quoted or escaped."""
    found, quote, escaped = [""], "", False
    for c in text:
        if escaped:
            found[-1] += c if c == "," else f"\\{c}"
            escaped = False
        elif c == "\\":
            escaped = True
        elif c in "\"'" and quote in ("", c):
            quote = "" if quote else c
        elif c == "," and not quote:
            found.append("")
        else:
            found[-1] += c
    if quote:
        raise Refused("qsub: cannot send environment with the job", 1)
    return [pair for pair in found if pair]


def directives(script):
    """The arguments in the #PBS lines above the first command."""
    if "\r" in script:
        raise Refused("qsub: script contains cr, lf", 1)
    found = []
    for line in script.splitlines():
        if line.startswith("#PBS"):
            found.append(line[len("#PBS") :].strip())
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    return found


QSUB = "a:A:c:C:e:fhIj:J:k:l:m:M:N:o:p:P:q:r:R:S:u:v:VW:Xz"
UNDERSTOOD = "aAehjJklmMNopPqrvVWz"


def qsub_options(request):
    """All options, the arguments of `--`, and the script's text."""
    arguments, argv = request["arguments"], []
    if "--" in arguments:
        cut = arguments.index("--")
        argv = [word for word in arguments[cut + 1 :] if word]
        if not argv:
            raise Usage("")
        arguments = arguments[:cut]
    options, rest = options_of("qsub", arguments, QSUB, UNDERSTOOD)
    if len(rest) > 1 or (argv and rest):
        raise Usage("")
    text, name = "", "STDIN"
    if rest:
        path = Path(request["folder"], rest[0])
        name = path.name
        if not path.exists():
            raise Refused("qsub: script file:: No such file or directory", 1)
        if not path.is_file():
            raise Refused("qsub: script not a file", 1)
        text = path.read_text("utf-8")
    elif not argv:
        text = request["script"]
    for line in directives(text):
        given, rest = options_of("qsub", shlex.split(line, comments=False), QSUB, UNDERSTOOD)
        if rest:
            raise Refused(f"qsub: directive error: {line}", 1)
        options = {k: given.get(k, []) + options.get(k, []) for k in [*given, *options]}
    options.setdefault("N", [name])
    for letter, pattern in LEGAL.items():
        if letter in options and not re.fullmatch(pattern, options[letter][-1]):
            raise Usage(f"illegal -{letter} value")
    if len(options["N"][-1]) > 236:
        raise Usage("Job name is too long")
    return options, argv, text


LEGAL = {
    "N": r"[^\s/:,\[\]]+", "J": r"\d+-\d+(:\d+)?(%\d+)?", "j": "oe|eo|n", "k": "n|d?[oe]{1,2}",
    "m": "n|[abej]+", "p": r"-?\d{1,4}", "r": "y|n", "a": r"(\d{2,6})?\d{8}(\.\d\d)?|\d{4}",
    "o": r"[^:]+", "e": r"[^:]+",
}  # fmt: skip


def qsub(server, request):
    if "wait" in request:
        job = server.jobs[request["wait"]]
        if job.is_live:
            return {"again": {"wait": job.id}}
        return {"status": (job.exit_status or 0) & 255}
    environment = request["environment"]
    has_script = "--" in request["arguments"] or "script" in request
    if not has_script and not options_of("qsub", request["arguments"], QSUB, UNDERSTOOD)[1]:
        return {"again": {}, "stdin": True}
    options, argv, text = qsub_options(request)
    further = further_of(options)
    depend = depend_of("qsub", further["depend"]) if "depend" in further else {}
    if not server.settings["qsub_in_jobs"] and "PBS_JOBID" in environment:
        raise Refused("qsub: Bad UID for job execution", 175)
    indices = indices_of(options)
    variables = variables_of(options, environment, request)
    last = {letter: values[-1] for letter, values in options.items()}
    number = server.next
    server.next += 1  # a refusal burns it
    queue = last.get("q", next(iter(server.settings["queues"])))
    if queue not in server.settings["queues"]:
        raise Refused("qsub: Unknown queue", 170)
    resources, chunks = resources_of(options, server)
    check_limits(server, indices)
    user = f"{variables['PBS_O_LOGNAME']}@{HOST}"
    variables |= {"PBS_O_QUEUE": queue, "PBS_O_HOST": HOST}
    attributes = {
        "Job_Name": last["N"], "Job_Owner": user, "queue": queue, "home": server.settings["home"],
        "Join_Path": last.get("j", "n"), "Keep_Files": last.get("k", "n"),
        "Mail_Points": last.get("m", "a"), "Priority": int(last.get("p", 0)),
        "Rerunable": str(last.get("r", "y") == "y"), "ctime": time.ctime(),
        "Submit_arguments": " ".join(request["arguments"]),
        "project": last.get("P", "_pbs_project_default"),
    }  # fmt: skip
    for name, letter in {"Account_Name": "A", "Mail_Users": "M"}.items():
        attributes |= {name: last[letter]} if letter in last else {}
    attributes |= {"umask": further["umask"]} if "umask" in further else {}
    script = server.folder / "jobs" / f"{number}.{HOST}.SC"
    if not argv:
        script.write_text(text)
        script.chmod(0o700)
    job = Job(
        number,
        "" if indices else None,
        last,
        argv,
        str(script),
        variables,
        resources,
        chunks,
        attributes,
    )
    server.jobs[job.id] = job
    job.holds |= {"u"} if "h" in options else set()
    for index in indices or []:
        subjob = Job(
            number,
            str(index),
            last,
            argv,
            str(script),
            variables,
            resources,
            chunks,
            dict(attributes),
            array=job,
        )
        server.jobs[subjob.id] = subjob
        job.subjobs.append(subjob)
    if indices:
        if last.get("r") == "n":
            raise Refused("qsub:  cannot submit non-rerunable Array Job", 2)
        job.attributes["indices"] = last["J"].partition("%")[0]
        most = last["J"].partition("%")[2]
        job.attributes |= {"most": int(most)} if most else {}
    server.hold(job)
    server.register(job, depend)
    if further.get("block") == "true":
        return {"again": {"wait": job.id}, "output": f"{job.id}\n"}
    return "" if "z" in options else f"{job.id}\n"


def indices_of(options):
    if "J" not in options:
        return []
    first, last, step, _ = re.fullmatch(r"(\d+)-(\d+)(?::(\d+))?(%\d+)?", options["J"][-1]).groups()
    if int(first) >= int(last):
        raise Usage("illegal -J value")
    if options.get("r", ["y"])[-1] == "n":
        raise Refused("qsub:  cannot submit non-rerunable Array Job", 2)
    return list(range(int(first), int(last) + 1, int(step or 1)))


def check_limits(server, indices):
    if len(indices) > server.settings["max_array_size"]:
        raise Refused("qsub: Array job exceeds server or queue size limit", 3)
    live = [job for job in server.jobs.values() if job.is_live and job.index != ""]
    for name, states, end in (
        ("max_queued", "QHRSE", ""),
        ("max_queued_q", "QH", " of jobs in 'Q' state"),
    ):
        most = server.settings[name]
        if (
            most is not None
            and sum(job.state in states for job in live) + max(len(indices), 1) > most
        ):
            raise Refused(f"qsub: would exceed complex's per-user limit{end}", 184)
