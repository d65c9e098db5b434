"""What the commands of the stand-in for PBS share: refusals, options, ids."""

import getopt
import re

from fake_pbs_jobs import HOST

UNKNOWN = "Unknown Job Id {}"
FINISHED = "Job has finished"


class Refused(Exception):
    """What goes to stderr, with the exit status, and to stdout."""

    def __init__(self, error, status, output=""):
        super().__init__(error)
        self.answer = {"error": error + "\n" * bool(error), "status": status, "output": output}


class NotUnderstood(Exception):
    """Something that PBS may know, and this stand-in does not."""


class Usage(Exception):
    """What PBS calls illegal, before it says how to call it."""


def options_of(name, arguments, known, understood):
    """{letter: value} and operands, as getopt takes them."""
    found, rest = getopt.getopt(arguments, known)
    options = {}
    for option, value in found:
        letter = option[1]
        if letter not in understood:
            raise NotUnderstood(f"-{letter} {value}".strip())
        options.setdefault(letter, []).append(value)
    return options, rest


def whole(name, given):
    """A job's id, its server with it."""
    match = re.fullmatch(r"(\d+)(\[[\d-]*\])?(?:\.(\w+))?", given)
    if not match or match[3] not in (None, HOST):
        raise Refused(f"{name}: illegally formed job identifier: {given}", 1)
    return f"{match[1]}{match[2] or ''}.{HOST}"


def find(server, name, given, naming=True):
    """A job that is not over; `naming`: whether the refusal of one that is names it."""
    job_id = whole(name, given)
    job = server.jobs.get(job_id)
    if job is None:
        raise Refused(f"{name}: {UNKNOWN.format(job_id)}", 153)
    if not job.is_live:
        raise Refused(f"{name}: {FINISHED}{f' {job_id}' * naming}", 35)
    return job
