"""The command line: `ganymede VERB ...`."""

import errno
import json
import math
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from checkpoints import CheckpointError
from gan.config import ConfigError
from gan.data import DataError
from jobs.run import Run, RunError, check_name, find, list_runs

if TYPE_CHECKING:
    from jobs.local import Options

_FAILED, _REFUSED = 1, 2
_PROG = "ganymede"
RunName = Annotated[str, tyro.conf.Positional]


@dataclass(frozen=True)
class Place:
    """Where the runs are."""

    runs: Path = Path("runs")
    """folder that holds the runs"""

    def __post_init__(self) -> None:
        if self.runs.exists() and not self.runs.is_dir():
            raise ConfigError(f"runs is {str(self.runs)!r}; allowed: a folder, there or to be made")


@dataclass(frozen=True)
class Launch(Place):
    """How the jobs run; none of it changes a result."""

    on: Literal["local"] = "local"
    """where the jobs run"""
    minutes: float | None = None
    """time limit of each job: it saves and stops in time, and the same command goes on"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise ConfigError(f"minutes is {self.minutes}; allowed: above 0, finite")


@dataclass(frozen=True)
class New(Launch):
    name: str | None = None
    """name of the run, and of its folder; the recipe's name if left out"""
    threads: int = 0
    """threads to use; 0: as the run had them, and all that this process may use for a new one"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threads < 0:
            raise ConfigError(f"threads is {self.threads}; allowed: 0 or more")


@dataclass(frozen=True)
class OfRun(Place):
    run: RunName = field(kw_only=True)
    """a run's name below the runs folder, as demo or demo/gan, or its path"""

    def find(self) -> Run:
        return find(self.run, self.runs)


@dataclass(frozen=True)
class Resume(Launch):
    run: RunName = field(kw_only=True)
    """a run's name below the runs folder, or its path"""
    take_over: bool = False
    """go on although another attempt seems to be alive; it will step back at its next save"""


@dataclass(frozen=True)
class Status(Place):
    run: Annotated[str | None, tyro.conf.Positional] = None
    """only this run"""
    json: bool = False
    """a list of objects, for programs"""


@dataclass(frozen=True)
class Logs(OfRun):
    lines: int = 50
    """how many lines of each job's latest log"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lines < 1:
            raise ConfigError(f"lines is {self.lines}; allowed: 1 or more")


def list_recipes(arguments: Sequence[str]) -> int:
    """list the recipes and pipelines"""
    from gan.recipes import RECIPES
    from jobs.pipeline import PIPELINES

    tyro.cli(Place, args=arguments, prog=f"{_PROG} list")
    for title, table in (("recipes", RECIPES), ("pipelines", PIPELINES)):
        print(f"{title}:")
        for name, function in table.items():
            print(f"  {name:<20} {(function.__doc__ or '').strip().splitlines()[0]}")
    return 0


def run_recipe(arguments: Sequence[str]) -> int:
    """start a recipe or pipeline, or go on with it where it stopped: run NAME [overrides]"""
    from jobs import pipeline
    from jobs.local import Options

    if arguments and arguments[0] in ("-h", "--help"):
        print(f"usage: {_PROG} run NAME [overrides]\n\nNAME --help tells its settings.\n")
        return list_recipes([])
    if not arguments or arguments[0].startswith("-"):
        raise RunError(f"run needs a recipe or pipeline first: {_PROG} run NAME [overrides]")
    recipe = arguments[0]
    chosen, launch = _parse_run(recipe, pipeline.plan(recipe), arguments[1:])
    path = launch.runs / check_name(launch.name or recipe)
    run = pipeline.prepare(recipe, chosen, path, launch.threads)
    return _follow(run, launch, Options(launch.minutes))


def _follow(run: Run, launch: Launch, options: "Options") -> int:
    from jobs.local import LocalLauncher

    status = LocalLauncher(run, launch.runs, options).follow()
    if status == 0:
        print(f"report: {run.report_file}")
    return status


def _parse_run(recipe: str, default: Any, arguments: Sequence[str]) -> tuple[Any, New]:
    """Options and settings, side by side without a prefix of their own."""
    flat = tyro.conf.arg(name="")
    settings_type: Any = type(default)
    parsed: Any = tyro.cli(
        make_dataclass(
            "Run",
            [
                ("launch", Annotated[New, flat], field(default=New())),
                ("settings", Annotated[settings_type, flat], field(default=default)),
            ],
        ),
        args=arguments,
        prog=f"{_PROG} run {recipe}",
        description=f"Run {recipe}, or go on with it.",
    )
    return parsed.settings, parsed.launch


def resume(arguments: Sequence[str]) -> int:
    """go on with a run, whatever stopped it"""
    from jobs.local import Options

    launch = tyro.cli(Resume, args=arguments, prog=f"{_PROG} resume")
    run = find(launch.run, launch.runs)
    return _follow(run, launch, Options(launch.minutes, launch.take_over))


def show_status(arguments: Sequence[str]) -> int:
    """where all runs are, or one"""
    from jobs.status import run_status

    options = tyro.cli(Status, args=arguments, prog=f"{_PROG} status")
    chosen = [find(options.run, options.runs)] if options.run else list_runs(options.runs)
    rows, unreadable = [], 0
    for run in chosen:
        try:
            rows += run_status(run, options.runs)
        except RunError as error:  # one unreadable run must not hide the others
            unreadable += 1
            print(f"{_PROG}: {error}", file=sys.stderr)
    if options.json:
        print(json.dumps([row.as_json() for row in rows], indent=2))
    elif rows:
        _print_table(rows)
    elif not unreadable:
        print(f"no runs in {options.runs}")
    return _REFUSED if unreadable else 0


def _print_table(rows: Sequence[Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("run", "stage", "state", "step", "attempts", "job", "why"):
        table.add_column(title, overflow="fold")
    for row in rows:
        step = "" if row.step is None else f"{row.step}/{row.total_steps}"
        why = "" if row.cause in (None, row.state) else row.cause
        why += f": {row.error}" if row.error else ""
        cells = [row.run, row.stage, row.state, step, str(row.attempts), row.job_id or "", why]
        table.add_row(*cells)
    Console(highlight=False, markup=False).print(table)


def logs(arguments: Sequence[str]) -> int:
    """the end of each job's latest log"""
    from jobs import records
    from jobs.pipeline import stages

    options = tyro.cli(Logs, args=arguments, prog=f"{_PROG} logs")
    for stage in stages(options.find()):
        record = records.latest(stage.run, stage.name)
        path = stage.run.logs / f"{record['job_id']}_0_log.out" if record else None
        if path and path.is_file():
            print(f"==> {path} <==")
            print("\n".join(path.read_text(errors="replace").splitlines()[-options.lines :]))
    return 0


def cancel(arguments: Sequence[str]) -> int:
    """stop a run for good; its jobs save first"""
    from checkpoints import files
    from jobs.local import signal_attempt
    from jobs.pipeline import stages

    run = tyro.cli(OfRun, args=arguments, prog=f"{_PROG} cancel").find()
    graph = stages(run)
    for marked in {stage.run.path: stage.run for stage in graph}.values():
        files.write_json(marked.cancel_file, {"by": "ganymede cancel"})
    asked = [stage.name for stage in graph if signal_attempt(stage)]
    told = ", ".join(asked) or "nothing ran here"
    print(f"{run.path.name} cancelled; asked to save and stop: {told}")
    return 0


def verify(arguments: Sequence[str]) -> int:
    """compare every file of a run with what was recorded of it; exit status 1 if one differs"""
    from jobs.verify import problems

    run = tyro.cli(OfRun, args=arguments, prog=f"{_PROG} verify").find()
    found = problems(run)
    print("\n".join(found) or f"{run.path}: every file is as it was written")
    return 1 if found else 0


def report(arguments: Sequence[str]) -> int:
    """write a run's report anew, finished or not"""
    from jobs import records
    from jobs.report import Report, write

    run = tyro.cli(OfRun, args=arguments, prog=f"{_PROG} report").find()
    outputs = write(run)
    if records.completion(run, Report.stage):  # the record follows what it vouches for
        records.complete(run, Report.stage, outputs, {})
    print(f"report: {run.report_file}")
    return 0


VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "list": list_recipes,
    "run": run_recipe,
    "status": show_status,
    "logs": logs,
    "resume": resume,
    "cancel": cancel,
    "verify": verify,
    "report": report,
}


def _usage() -> str:
    verbs = "\n".join(f"  {name:<8} {verb.__doc__}" for name, verb in VERBS.items())
    return f"usage: {_PROG} VERB ...\n\n{verbs}\n\n{_PROG} VERB --help tells a verb's options."


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status, 2 for whatever was refused."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(_usage())
        return 0 if given else _REFUSED
    verb = VERBS.get(given[0])
    if verb is None:
        print(f"{_PROG}: no verb {given[0]!r}\n{_usage()}", file=sys.stderr)
        return _REFUSED
    try:
        return verb(given[1:])
    except (RunError, ConfigError, DataError, CheckpointError) as error:
        print(f"{_PROG}: {error}", file=sys.stderr)
        return _REFUSED
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        print(f"{_PROG}: {'disk full: ' if full else ''}{error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print(f"{_PROG}: interrupted; what was saved before stays", file=sys.stderr)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
