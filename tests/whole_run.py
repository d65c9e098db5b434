"""A finished run of a tiny GAN, made once for each worker, to be copied and damaged."""

import functools
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs import cli, pipeline
from jobs.run import Run

FLAGS = (
    "gan-digits", "--data.image-size", "8", "--model.latent", "8",
    "--model.generator-hidden", "8", "--model.critic-hidden", "8",
    "--train.epochs", "3", "--train.passes-per-epoch", "1", "--train.batch-size", "256",
    "--train.log-every", "1", "--train.keep-checkpoints", "2", "--train.grid-rows", "1",
    "--train.final-samples", "8", "--threads", "1", "--here", "--name", "run",
)  # fmt: skip


@functools.cache
def _made() -> tuple["tempfile.TemporaryDirectory[str]", Path]:
    folder = tempfile.TemporaryDirectory()  # removed when the worker ends
    run, _ = cli.prepare([*FLAGS, "--runs", folder.name])
    for stage in pipeline.stages(run):
        stage.job()
    return folder, run.path


def copy(folder: Path) -> Run:
    """The run, in a folder of its own: checkpoints of steps 10 and 15, of 15 steps."""
    return Run(Path(shutil.copytree(_made()[1], folder / "run")))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Alter a JSON file in place."""
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
