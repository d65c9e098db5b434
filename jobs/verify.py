"""Is everything as it was written? Every file of a run against what was recorded of it, and the
records against each other.
"""

from checkpoints.files import ASIDE
from jobs import consistency, deep, records
from jobs.options import Verify
from jobs.pipeline import Stage, stages
from jobs.run import Run, RunError
from slurm.preemption import StopRequest

_FILES = {
    "config.json", "samples.h5", "generated.h5", "report.html", "report.pdf", "report.json",
    "cancelled.json", "chosen.json", "ranking.html", "ranking.md", "ranking.csv",
}  # fmt: skip
_FOLDERS = {
    "attempts", "stages", "submissions", "checkpoints", "samples", "figures", "logs", "tensorboard",
}  # fmt: skip


def show(options: Verify) -> int:
    """Print the findings; returns the exit status, 1 if anything is wrong."""
    run = options.find()
    found, status = problems(run), 0
    if options.deep:
        with StopRequest().listening() as request:
            for member in run.members().values():
                if not request.reason():
                    looked = deep.Deep(member, print, request.reason, 60 * options.minutes)
                    found += looked.look()
            if request.signal:
                print("not all was looked at: told to stop")
                status = 128 + request.signal
    for line in notes(run):
        print(f"note: {line}")
    found = list(dict.fromkeys(found))
    if not found and not status:
        print(f"{run.path}: every file is as it was written")
    else:
        print("\n".join(found))
    return 1 if found else status


def problems(run: Run) -> list[str]:
    """What is wrong in a run or pipeline, a line each; empty if all is well."""
    found: list[str] = []
    graph = stages(run)
    for member in run.members().values():
        found += member.store().problems()
        found += consistency.of_run(member)
    for stage in graph:
        damaged = record_problems(stage)
        found += damaged or consistency.of_stage(stage)
    if not found:  # of figures that are as they were written: do they fit together?
        found += consistency.of_report(run)
    return list(dict.fromkeys(found))  # a damaged file may be named twice


def record_problems(stage: Stage) -> list[str]:
    """Records of one stage that cannot be read, and files that are not as it left them."""
    try:
        for number in records.numbers(stage.run, stage.name):
            records.read(stage.run.attempt_file(stage.name, number))
        record = records.completion(stage.run, stage.name)
        return records.problems(stage.run, record) if record else []
    except FileNotFoundError as error:  # its number is there, under a name of other digits
        return [f"{error.filename} is missing"]
    except RunError as error:
        return [str(error)]


def notes(run: Run) -> list[str]:
    """Leftovers of crashes, and files that nothing here has written: worth a look, no errors."""
    found = []
    members = {member.path: member for member in (run, *run.members().values())}
    for member in members.values():
        found += _strangers(member, {path.name for path in members if path != run.path})
    return found


def _strangers(run: Run, members: set[str]) -> list[str]:
    found = []
    for path in sorted(run.path.rglob(f"{ASIDE}*")):
        if not any(parent.name.startswith(ASIDE) for parent in path.parents):
            found.append(f"{path} is a leftover of a crash; the next attempt removes it")
    written = {name.partition("/")[0] for name in _named(run)}
    for path in sorted(run.path.iterdir()):
        known = _FOLDERS | members if path.is_dir() else _FILES
        private = path.is_dir() and path.name.startswith("logs-")
        if not (path.name in known | written or private or path.name.startswith(ASIDE)):
            found.append(f"{path} is unknown: no stage has written it")
    return found


def _named(run: Run) -> set[str]:
    """The files that completion records name."""
    found: set[str] = set()
    for path in run.stage_file("any").parent.glob("*.json"):
        try:
            found |= set(records.read(path)["outputs"])
        except (RunError, KeyError, TypeError):
            continue  # named among the problems
    return found
