"""The stand-in for PBS's qsub: what it takes, what it refuses, and the job that comes of it."""

import os
import pwd
import re
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fake_pbs_common import (
    NotUnderstood,
    Options,
    Refused,
    Usage,
    depend_of,
    options_of,
    resources_of,
)
from fake_pbs_jobs import HOST, RUNNING, Job

if TYPE_CHECKING:
    from fake_pbs_server import Server

KNOWN = "a:A:c:C:e:fhIj:J:k:l:m:M:N:o:p:P:q:r:R:S:u:v:VW:Xz"
UNDERSTOOD = "aAehjJklmMNopPqrvVWz"
LEGAL = {
    "N": r"[^\s/:,\[\]]+", "J": r"\d+-\d+(:\d+)?(%\d+)?", "j": "oe|eo|n", "k": "n|d?[oe]{1,2}",
    "a": r"(((\d\d)?\d\d)?\d\d)?(\d\d)?\d{4}(\.\d\d)?", "m": "n|[abej]+",
    "p": r"-?(\d{1,3}|10[01]\d|102[0-4])", "r": "y|n", "o": "[ -~]+", "e": "[ -~]+",
}  # fmt: skip
NO_ENVIRONMENT = "qsub: cannot send environment with the job"


def qsub(server: "Server", request: dict[str, Any]) -> dict[str, Any]:
    if "wait" in request:
        return wait_for(server.jobs.get(request["wait"]))
    options, argv, text = read(request)
    if text is None:
        return {"again": {}, "stdin": True}
    further = further_of(options)
    depend = depend_of("qsub", further["depend"]) if "depend" in further else {}
    indices = indices_of(options)
    variables = variables_of(options, request)
    running = [job for job in server.jobs.values() if job.state in RUNNING]
    sessions = {process.pid for job in running for process in job.processes()}
    if not server.settings["qsub_in_jobs"] and request["session"] in sessions:
        raise Refused("qsub: Bad UID for job execution", 175)
    last = {letter: values[-1] for letter, values in options.items()}
    number = server.next
    server.next += 1  # even if it is refused
    queue = last.get("q", next(iter(server.settings["queues"])))
    if queue not in server.settings["queues"]:
        raise Refused("qsub: Unknown queue", 170)
    resources, chunks = resources_of("qsub", options.get("l", []), server.settings)
    check_limits(server, indices)
    variables |= {"PBS_O_QUEUE": queue, "PBS_O_HOST": HOST}
    script = server.folder / "jobs" / f"{number}.{HOST}.SC"
    script.write_text(text)
    script.chmod(0o700)
    attributes = attributes_of(last, queue, variables, request)
    attributes |= {"umask": further["umask"]} if "umask" in further else {}
    rest = (last, argv, script, variables, resources, chunks)
    job = Job(number, "" if indices else None, *rest, attributes)
    job.begins = moment(last["a"]) if "a" in last else 0.0
    job.holds |= {"u"} if "h" in options else set()
    job.subjobs = [Job(number, str(i), *rest, attributes, array=job) for i in indices]
    if indices:
        submitted, _, most = last["J"].partition("%")
        attributes |= {"array": "True", "array_indices_submitted": submitted}
        attributes |= {"max_run_subjobs": int(most)} if most else {}
    server.jobs |= {each.id: each for each in (job, *job.subjobs)}
    server.hold(job)
    server.register(job, depend)
    if further.get("block") == "true":
        return {"again": {"wait": job.id}, "output": f"{job.id}\n"}
    return {"output": "" if "z" in options else f"{job.id}\n"}


def wait_for(job: Job | None) -> dict[str, Any]:
    """Of -W block=true."""
    if job and job.is_live:
        return {"again": {"wait": job.id}}
    return {"status": (job.exit_status or 0) & 255 if job else 0}


def read(request: dict[str, Any]) -> tuple[Options, list[str], str | None]:
    """All options, the arguments after `--`, and the script; None if stdin has it."""
    arguments, argv = request["arguments"], []
    if "--" in arguments:
        cut = arguments.index("--")
        arguments, argv = arguments[:cut], [word for word in arguments[cut + 1 :] if word]
        if not argv:
            raise Usage
    options, rest = options_of("qsub", arguments, KNOWN, UNDERSTOOD)
    if len(rest) > 1 or (argv and rest):
        raise Usage
    path = Path(request["folder"], rest[0]) if rest else None
    if path and not path.exists():
        raise Refused("qsub: script file:: No such file or directory", 1)
    if path and not path.is_file():
        raise Refused("qsub: script not a file", 1)
    text = path.read_bytes().decode() if path else "" if argv else request.get("script")
    for line in directives(text or ""):
        try:
            given, rest = options_of("qsub", shlex.split(line), KNOWN, UNDERSTOOD)
        except Usage as failure:
            raise Refused(f"{failure}\nqsub: directive error: {line} ", 1) from None
        if rest:
            raise Refused(f"qsub: directive error: {line} ", 1)
        options = {k: given.get(k, []) + options.get(k, []) for k in given | options}
    options.setdefault("N", [path.name if path else "STDIN"])
    for letter, pattern in LEGAL.items():
        if letter in options and not re.fullmatch(pattern, options[letter][-1]):
            raise Usage(f"qsub: illegal -{letter} value")
    if len(options["N"][-1]) > 236:
        raise Usage("qsub: Job name is too long ")
    return options, argv, text


def directives(script: str) -> list[str]:
    """The options in the #PBS lines above the first command."""
    if "\r" in script:
        raise Refused("qsub: script contains cr, lf", 1)
    found = []
    for line in script.splitlines():
        if line.startswith("#PBS"):
            found.append(line[len("#PBS") :].strip())
        elif line.strip() and not line.lstrip().startswith("#"):
            break
    return found


def further_of(options: Options) -> dict[str, str]:
    """{name: value} of -W."""
    found = {}
    for text in options.get("W", []):
        for pair in re.split(r",(?=[a-z_]+=)", text):
            key, _, value = pair.partition("=")
            if key not in ("depend", "umask", "block"):
                raise NotUnderstood(f"-W {pair}")
            found[key] = value
    return found


def indices_of(options: Options) -> list[int]:
    if "J" not in options:
        return []
    words = re.fullmatch(r"(\d+)-(\d+)(?::(\d+))?(?:%\d+)?", options["J"][-1])
    assert words
    first, last, step = int(words[1]), int(words[2]), int(words[3] or 1)
    if first >= last:
        raise Usage("qsub: illegal -J value")
    if options.get("r", ["y"])[-1] == "n":
        raise Usage("qsub:  cannot submit non-rerunable Array Job")
    return list(range(first, last + 1, step))


def variables_of(options: Options, request: dict[str, Any]) -> dict[str, str]:
    """The Variable_List; of several -v, the last counts."""
    environment: dict[str, str] = request["environment"]
    told = ("HOME", "LANG", "PATH", "MAIL", "SHELL")
    found = {f"PBS_O_{name}": environment[name] for name in told if name in environment}
    found |= {"PBS_O_LOGNAME": pwd.getpwuid(os.getuid()).pw_name, "PBS_O_SYSTEM": "Linux"}
    found["PBS_O_WORKDIR"] = request["folder"]
    if "V" in options:
        found |= {k: v for k, v in environment.items() if not k.startswith("PBS_O_")}
    asked: dict[str, str] = {}
    for text in options.get("v", []):
        asked = {}
        for pair in split(text):
            key, equals, value = pair.partition("=")
            if not key or (not equals and key not in environment):
                raise Refused(NO_ENVIRONMENT, 1)
            asked[key] = value if equals else environment[key]
    return found | asked


def split(text: str) -> list[str]:
    """A -v value at its commas, but for those that are quoted or escaped."""
    found, quote = [""], ""
    for part in re.findall(r"\\.|.", text, re.DOTALL):
        if part in ("'", '"') and quote in ("", part):
            quote = "" if quote else part
        elif part == "," and not quote:
            found.append("")
        else:
            found[-1] += part[1:] if part == "\\," else part
    if quote:
        raise Refused(NO_ENVIRONMENT, 1)
    return [pair for pair in found if pair]


def check_limits(server: "Server", indices: list[int]) -> None:
    if len(indices) > server.settings["max_array_size"]:
        raise Refused("qsub: Array job exceeds server or queue size limit", 3)
    states = [job.state for job in server.jobs.values() if job.is_live and job.index != ""]
    limits = {"max_queued": "", "queued_jobs_threshold": " of jobs in 'Q' state"}
    for name, end in limits.items():
        most = server.settings[name]
        live = [state for state in states if name == "max_queued" or state == "Q"]
        if most is not None and len(live) + max(len(indices), 1) > most:
            raise Refused(f"qsub: would exceed complex's per-user limit{end}", 38)


def attributes_of(
    last: dict[str, str], queue: str, variables: dict[str, str], request: dict[str, Any]
) -> dict[str, Any]:
    """What qstat shows of a job from its submission on."""
    found: dict[str, Any] = {
        "Job_Name": last["N"], "Job_Owner": f"{variables['PBS_O_LOGNAME']}@{HOST}",
        "queue": queue, "server": HOST, "Checkpoint": "u", "ctime": time.ctime(),
        "Join_Path": last.get("j", "n"), "Keep_Files": last.get("k", "n"),
        "Mail_Points": last.get("m", "a"), "Priority": int(last.get("p", 0)),
        "Rerunable": str(last.get("r", "y") == "y"),
        "Submit_arguments": " ".join(word for word in request["arguments"] if word),
        "project": last.get("P", "_pbs_project_default"), "Submit_Host": HOST,
    }  # fmt: skip
    for name, letter in {"Account_Name": "A", "Mail_Users": "M"}.items():
        found |= {name: last[letter]} if letter in last else {}
    return found | ({"Execution_Time": time.ctime(moment(last["a"]))} if "a" in last else {})


def moment(text: str) -> float:
    """[[[[CC]YY]MM]DD]hhmm[.SS] in seconds since 1970; what is not given is the next such."""
    digits, _, second = text.partition(".")
    full = time.strftime("%Y%m%d")[: 12 - len(digits)] + digits
    found = time.mktime(time.strptime(full + (second or "00"), "%Y%m%d%H%M%S"))
    return found + 86400 * (len(digits) == 4 and found < time.time())
