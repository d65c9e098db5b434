"""One of Slurm's commands, as its own file's name says; see `fake_slurm.py`, which installs it."""

import json
import os
import re
import signal
import sys
import time
from pathlib import Path

NAME, GIVEN = Path(__file__).name, sys.argv[1:]
FOLDER = Path(__file__).parent.parent
STATE_FILE = FOLDER / "state.json"
LIMIT_TOLD = (
    "sbatch: error: QOSMaxSubmitJobPerUserLimit\n"
    "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit "
    "limit, user's size and/or time limits)\n"
)


class Failed(Exception):
    """What goes to stderr, before exit status 1."""


def words(line):
    """A #SBATCH line as sbatch takes it apart: quotes, backslashes, # begins a comment."""
    found, word, quote, escaped = [], None, "", False
    for c in line:
        if escaped:
            word, escaped = (word or "") + c, False
        elif c == "\\":
            escaped = True
        elif quote and c == quote:
            quote = ""
        elif not quote and c in "\"'":
            word, quote = word or "", c
        elif not quote and c == "#":
            break
        elif not quote and c.isspace():
            found, word = found + [word] * (word is not None), None
        else:
            word = (word or "") + c
    return found + [word] * (word is not None)


def options_of(script):
    options = {}
    for line in Path(script).read_text("utf-8").splitlines():
        if line.startswith("#SBATCH"):
            for word in words(line[len("#SBATCH") :]):
                name, _, value = word.removeprefix("--").partition("=")
                options[name] = value
        elif line.strip() and not line.startswith("#"):
            break
    return options


def indices(array):
    for part in filter(None, array.partition("%")[0].split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def flag(name):
    given = [word.partition("=")[2] for word in GIVEN if word.startswith(f"--{name}=")]
    return given[-1] if given else None


def belongs(job_id, wanted):
    """Whether a job is the one meant, or a task of the array that is meant."""
    return job_id == wanted or job_id.startswith(f"{wanted}_")


def sbatch(state):
    options = options_of(GIVEN[-1])
    tasks = list(indices(options.get("array", "")))
    if tasks and max(tasks) >= int(state["config"]["MaxArraySize"]):
        raise Failed("sbatch: error: Batch job submission failed: Invalid job array specification")
    queued = sum(job["state"] in ("PENDING", "RUNNING") for job in state["jobs"].values())
    if state["limit"] is not None and queued + max(len(tasks), 1) > state["limit"]:
        raise Failed(LIMIT_TOLD)
    number = str(state["next"])
    state["next"] += 1
    for job_id in [f"{number}_{task}" for task in tasks] or [number]:
        state["jobs"][job_id] = {
            "state": "PENDING",
            "reason": "Priority",
            "comment": options.get("comment", "(null)"),
            "options": options,
            "shown": {},
        }
    return f"{number}\n"


def squeue(state):
    wanted, jobs = flag("jobs"), state["jobs"]
    if wanted:
        jobs = {job_id: job for job_id, job in jobs.items() if belongs(job_id, wanted)}
        if not jobs:
            raise Failed("slurm_load_jobs error: Invalid job id specified")
    lines = []
    for job_id, job in jobs.items():
        values = {"%i": job_id, "%T": job["state"], "%r": job["reason"], "%k": job["comment"]}
        lines.append(re.sub("%.", lambda found, known=values: known[found[0]], flag("format")))
    return "".join(f"{line}\n" for line in lines)


def scontrol(state):
    match [word for word in GIVEN if not word.startswith("--")]:
        case ["show", "config"]:
            lines = [f"{name:<24}= {value}" for name, value in state["config"].items()]
            return "Configuration data as of now\n" + "\n".join(lines) + "\n"
        case ["show", "node", _]:
            nodes = state["nodes"].items()
            lines = [f"NodeName={n} BootTime={v['boot']} State={v['state']} " for n, v in nodes]
            return "\n".join(lines) + "\n"
        case ["show", "job", job_id] if job_id in state["jobs"]:
            job = state["jobs"][job_id]
            shown = {"JobId": job_id, "JobState": job["state"], "Reason": "None", "Restarts": "0"}
            return " ".join(f"{k}={v}" for k, v in (shown | job["shown"]).items()) + " \n"
    raise Failed("slurm_load_jobs error: Invalid job id specified")


def scancel(state):
    for wanted in GIVEN:
        for job_id, job in state["jobs"].items():
            if belongs(job_id, wanted):
                job["state"] = "CANCELLED"
    return ""


def sinfo(state):
    return "".join(f"{node['state']}\n" for node in state["nodes"].values())


def main():
    state = json.loads(STATE_FILE.read_text())
    faults = state["faults"].get(NAME, [])
    fault = faults.pop(0) if faults else {}
    status, said, told = fault.get("status", 0), fault.get("output", ""), fault.get("error", "")
    if not fault or fault["acts"]:
        try:
            answer = globals()[NAME](state)
            said = said if fault else answer
        except Failed as failed:
            status, told = 1, str(failed)
    STATE_FILE.write_text(json.dumps(state))
    if fault.get("kills"):
        os.kill(os.getppid(), signal.SIGKILL)
    sys.stderr.write(told)
    sys.stdout.write(said)
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(fault.get("hangs", 0))
    return status


if __name__ == "__main__":
    with (FOLDER / "calls").open("a") as calls:
        call = {"command": NAME, "arguments": GIVEN, "environment": dict(os.environ)}
        calls.write(json.dumps(call) + "\n")
    sys.exit(main())
