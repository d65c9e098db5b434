"""A whole run: `ganymede run` of a tiny GAN, with checkpoints, pruning, samples and its report.

What was committed is read off the operations: a checkpoint, or a stage's record, is when its folder
has been synced after the name was given.
"""

import contextlib
import io
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from benchmarks.crashes.operations import Operation, record
from benchmarks.kills.judge import contents, same
from checkpoints.errors import CheckpointError
from gan.samples import SamplesError
from jobs import cli, pipeline, records
from jobs.run import Run, RunError
from jobs.status import run_status
from jobs.verify import problems

_NAME = "run"
_FLAGS = (
    "gan-digits", "--data.image-size", "8", "--model.latent", "8",
    "--model.generator-hidden", "8", "--model.critic-hidden", "8",
    "--train.epochs", "3", "--train.passes-per-epoch", "1", "--train.batch-size", "256",
    "--train.log-every", "1",
    "--train.keep-checkpoints", "2", "--train.grid-rows", "1", "--train.final-samples", "8",
    "--threads", "1", "--here", "--name", _NAME,
)  # fmt: skip
_COMMITS = (
    (re.compile(rf"{_NAME}/checkpoints/step-(\d+)"), f"{_NAME}/checkpoints", "checkpoint"),
    (re.compile(rf"{_NAME}/stages/(\w+)\.json"), f"{_NAME}/stages", "stage"),
)
_REFUSED = (RunError, CheckpointError, SamplesError, OSError, ValueError, RuntimeError)


def play(folder: Path, log: Path) -> list[Operation]:
    """Run it in a folder, which is then that of a finished run; what was done, with its marks."""
    command = [sys.executable, "-m", "jobs.cli", "run", *_FLAGS, "--runs", str(folder)]
    return list(marked(record(command, folder, log)))


def marked(operations: Iterable[Operation]) -> Iterator[Operation]:
    """The operations, with a mark after each that makes a commit durable."""
    named: list[tuple[str, str]] = []
    for operation in operations:
        yield operation
        if operation.kind == "rename":
            for pattern, folder, kind in _COMMITS:
                if match := pattern.fullmatch(operation.other):
                    named.append((folder, f"{kind} {match[1].lstrip('0')}"))
        elif operation.kind == "sync":
            for folder, mark in list(named):
                if folder == operation.path:
                    named.remove((folder, mark))
                    yield Operation("mark", "", mark)


def problem(folder: Path, done: tuple[str, ...], reference: Run) -> str:
    """What is wrong with a folder that a crash has left; "" if nothing is. Goes on in it, too."""
    run = Run(folder / _NAME)
    try:
        return _lost(run, done) or _goes_on(run, done, reference)
    except _REFUSED as error:
        return f"{type(error).__name__}: {error}"
    except SystemExit as error:
        return f"the job ended with status {error.code}"


def _lost(run: Run, done: tuple[str, ...]) -> str:
    if not run.exists:
        return "the run is lost" if done else ""
    run_status(run, run.path.parent)
    steps = [int(mark.split()[1]) for mark in done if mark.startswith("checkpoint ")]
    committed = max(steps, default=0)
    checkpoint = run.store().latest()
    found = checkpoint.step if checkpoint else 0
    if found < committed:
        return f"the latest good checkpoint is {found}, committed was {committed}"
    for mark in done:
        if mark.startswith("stage "):
            records.require(run, mark.split()[1])
    return ""


def _goes_on(run: Run, done: tuple[str, ...], reference: Run) -> str:
    """Do what the same command does, in this process; the end must be that of the reference.

    The report, which takes longest, is made where its own job had been at work.
    """
    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        cli.prepare([*_FLAGS, "--runs", str(run.path.parent)])
        graph = pipeline.stages(run)
        pipeline.withdraw_damaged(graph, lambda line: None)
        for stage in graph:
            if stage.name != "report" or "stage sample" in done:
                stage.job()
    mine, theirs = contents(run), contents(reference)
    wrong = [key for key in {**mine, **theirs} if not _equal(mine.get(key), theirs.get(key))]
    if wrong:
        return f"ends in other bits: {', '.join(wrong[:3])}"
    found = problems(run)
    return found[0] if found else ""


def _equal(first: object, second: object) -> bool:
    return first is not None and second is not None and same(first, second)
