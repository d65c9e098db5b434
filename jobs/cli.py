"""The command line: `ganymede VERB ...`."""

import errno
import json
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import field, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import tyro

from checkpoints import CheckpointError
from gan.config import ConfigError
from gan.data import DataError
from jobs import sharing
from jobs.options import (
    Doctor,
    Evaluate,
    Export,
    Flat,
    Interpolate,
    Launch,
    Logs,
    New,
    OfRun,
    Place,
    Report,
    Resume,
    Sample,
    Status,
    Trial,
    Verify,
    Visualize,
)
from jobs.run import Run, RunError, check_name, find, list_runs
from slurm import schedulers
from slurm.errors import SchedulerError

if TYPE_CHECKING:
    from slurm.resources import Profile

_FAILED, _REFUSED = 1, 2
_PROG = "ganymede"
_DESCRIPTIONS = {
    "run": "Run it, or go on with it.",
    "verify-resume": "Run a short form of it twice, once interrupted, and compare the ends.",
}
OptionsType = TypeVar("OptionsType")


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
    if arguments and arguments[0] in ("-h", "--help"):
        print(f"usage: {_PROG} run NAME [overrides]\n\nNAME --help tells its settings.\n")
        return list_recipes([])
    run, launch = prepare(arguments)
    return _launch(run, launch, launch.check())


def prepare(arguments: Sequence[str]) -> tuple[Run, New]:
    """Create the folder of the run that `NAME [overrides]` describes, or find it."""
    from gan.config import RunConfig
    from jobs import pipeline
    from jobs.sweep import sweep

    if not arguments or arguments[0].startswith("-"):
        raise RunError(f"run needs a recipe or pipeline first: {_PROG} run NAME [overrides]")
    recipe = arguments[0]
    chosen, launch = _parse(f"run {recipe}", New(), pipeline.plan(recipe), arguments[1:])
    profile = launch.check()
    if launch.sweep:
        if not isinstance(chosen, RunConfig):
            raise RunError(f"sweep is for recipes; {recipe} is a pipeline")
        chosen = sweep(chosen, launch.sweep)
    path = launch.runs / check_name(recipe if launch.name is None else launch.name)
    if launch.on == "local":
        return pipeline.prepare(recipe, chosen, path, launch.threads), launch
    schedulers.of(launch.on).check_folder(path.resolve())
    wanted = profile.for_stage("train", launch.resources)
    cores = launch.threads or (0 if Run(path).exists else wanted.cpus_per_task or 1)
    return pipeline.prepare(recipe, chosen, path, cores, shared=False), launch


def _launch(run: Run, launch: Launch, profile: "Profile", take_over: bool = False) -> int:
    if launch.group is not None:
        sharing.share(run, launch.group)
    sharing.adopt(run)
    if launch.on != "local":
        from jobs import cluster

        given = cluster.Options(
            profile, launch.resources, launch.max_running, take_over, launch.on, launch.chain
        )
        return cluster.ClusterLauncher(run, launch.runs, given).submit()
    from jobs.local import LocalLauncher, Options

    options = Options(launch.resources.minutes, take_over, launch.max_running)
    status = LocalLauncher(run, launch.runs, options).follow()
    if status == 0 and run.report_file.exists():
        print(f"report: {run.report_file}")
    return status


def _parse(
    words: str, options: OptionsType, default: Any, arguments: Sequence[str]
) -> tuple[Any, OptionsType]:
    """Settings and options, side by side without a prefix of their own."""
    settings_type, options_type = type(default), type(options)
    parsed: Any = tyro.cli(
        make_dataclass(
            "Run",
            [
                ("options", Annotated[options_type, Flat], field(default=options)),
                ("settings", Annotated[settings_type, Flat], field(default=default)),
            ],
        ),
        args=arguments,
        prog=f"{_PROG} {words}",
        description=_DESCRIPTIONS[words.split()[0]],
    )
    return parsed.settings, parsed.options


def resume(arguments: Sequence[str]) -> int:
    """go on with a run, whatever stopped it"""
    launch = tyro.cli(Resume, args=arguments, prog=f"{_PROG} resume")
    run = find(launch.run, launch.runs)
    return _launch(run, launch, launch.check(), launch.take_over)


def show_status(arguments: Sequence[str]) -> int:
    """where all runs are, or one"""
    from jobs import table
    from jobs.overview import Overview

    options = tyro.cli(Status, args=arguments, prog=f"{_PROG} status")
    chosen = [find(options.run, options.runs)] if options.run else list_runs(options.runs)
    seen = Overview(chosen, options.runs)()
    for problem in seen.problems:
        print(f"{_PROG}: {problem}", file=sys.stderr)
    if options.json:
        rows = ",\n ".join(json.dumps(row.as_json()) for row in seen.rows)  # a line for each
        print(f"[{rows}]")
    elif seen.rows:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(table.lines(seen.rows, width)))
    elif not seen.problems:
        print(f"no runs in {options.runs}")
    return _REFUSED if seen.problems else 0


def logs(arguments: Sequence[str]) -> int:
    """the end of each job's latest log, or with -f all that comes"""
    from jobs import logs as log_files

    options = tyro.cli(Logs, args=arguments, prog=f"{_PROG} logs")
    log_files.show(options.find(), options.lines)
    if options.follow:
        log_files.follow(options.find(), options.runs)
    return 0


def cancel(arguments: Sequence[str]) -> int:
    """stop a run for good; its jobs save first"""
    from jobs.cancel import cancel as cancel_run

    run = tyro.cli(OfRun, args=arguments, prog=f"{_PROG} cancel").find()
    print(f"{run.path.name} cancelled; {cancel_run(run)}")
    return 0


def doctor(arguments: Sequence[str]) -> int:
    """what this cluster does, and which guarantees hold on it"""
    from jobs import doctor as examination

    return examination.examine(tyro.cli(Doctor, args=arguments, prog=f"{_PROG} doctor"))


def verify(arguments: Sequence[str]) -> int:
    """compare a run's files with its records, and these with each other; status 1 if one differs"""
    from jobs import verify as verification

    return verification.show(tyro.cli(Verify, args=arguments, prog=f"{_PROG} verify"))


def verify_resume(arguments: Sequence[str]) -> int:
    """try whether a recipe resumes to the last bit here: verify-resume NAME [overrides]"""
    from gan.config import RunConfig
    from jobs import pipeline, resuming

    if not arguments or arguments[0].startswith("-"):
        raise RunError(
            f"verify-resume needs a recipe first: {_PROG} verify-resume NAME [overrides]"
        )
    recipe = arguments[0]
    default = pipeline.plan(recipe)
    if not isinstance(default, RunConfig):
        raise RunError(f"verify-resume is for recipes; {recipe} is a pipeline")
    config, trial = _parse(
        f"verify-resume {recipe}", Trial(), resuming.shorter(default), arguments[1:]
    )
    return resuming.try_out(recipe, config, trial.threads, trial.keep)


def evaluate(arguments: Sequence[str]) -> int:
    """measure a finished GAN by a classifier, or rank the runs of a sweep"""
    from jobs.measuring import examination

    options = tyro.cli(Evaluate, args=arguments, prog=f"{_PROG} evaluate")
    published = options.find_published()
    judge = options.find_judge()
    return examination.plan(options.find(), judge, options.count, options.runs, published)()


def visualize(arguments: Sequence[str]) -> int:
    """draw what the networks of a finished run learned, with other layers or into a folder"""
    from jobs.drawing import viewing
    from jobs.views import Views

    options = tyro.cli(Visualize, args=arguments, prog=f"{_PROG} visualize")
    asked = Views(options.layers, options.before_activation)
    return viewing.plan(options.find(), asked, options.out)()


def sample(arguments: Sequence[str]) -> int:
    """generate images of a run, finished or not: HDF5 or a folder of PNG"""
    from jobs import generate

    print(generate.sample(tyro.cli(Sample, args=arguments, prog=f"{_PROG} sample")))
    return 0


def interpolate(arguments: Sequence[str]) -> int:
    """draw what a generator makes of the way from one noise vector, or class, to another"""
    from jobs import generate

    print(generate.interpolate(tyro.cli(Interpolate, args=arguments, prog=f"{_PROG} interpolate")))
    return 0


def export(arguments: Sequence[str]) -> int:
    """write a run's networks to a folder that needs nothing else: weights without pickle, config"""
    from jobs.export import export as write

    options = tyro.cli(Export, args=arguments, prog=f"{_PROG} export")
    for line in write(options.find(), options.target, options.step):
        print(line)
    return 0


def report(arguments: Sequence[str]) -> int:
    """write a run's report anew, finished or not; of several runs, one page that compares them"""
    from jobs.reporting.comparison import make

    options = tyro.cli(Report, args=arguments, prog=f"{_PROG} report")
    print(f"report: {make(options.names, options.runs, options.out)}")
    return 0


def data_sets(arguments: Sequence[str]) -> int:
    """pack a data set into one file, or draw it: data pack NAME DEST, data show NAME"""
    from jobs import data

    return data.run(arguments)


VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "list": list_recipes,
    "run": run_recipe,
    "status": show_status,
    "logs": logs,
    "resume": resume,
    "cancel": cancel,
    "verify": verify,
    "verify-resume": verify_resume,
    "evaluate": evaluate,
    "visualize": visualize,
    "report": report,
    "sample": sample,
    "interpolate": interpolate,
    "export": export,
    "data": data_sets,
    "doctor": doctor,
}


def _usage() -> str:
    verbs = "\n".join(f"  {name:<13} {verb.__doc__}" for name, verb in VERBS.items())
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
    return guarded(lambda: verb(given[1:]))


def guarded(action: Callable[[], int]) -> int:
    """The exit status of `action`; what it refuses or cannot do is told in words."""
    try:
        return action()
    except (RunError, ConfigError, DataError, CheckpointError, SchedulerError) as error:
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
