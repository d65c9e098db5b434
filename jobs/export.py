"""`ganymede export`: a run's networks in a folder that needs nothing else.

Whole or not there: the folder is filled aside and renamed, and never takes another's place.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from checkpoints import files
from gan import exported, stored
from gan.config import portable
from jobs.run import Run, RunError
from jobs.version import version

if TYPE_CHECKING:
    from gan.loading import Model


def export(run: Run, target: Path, step: int | None = None) -> list[str]:
    """Write the networks of a run, or of all in a pipeline, to `target`; returns what was done.

    The latest good checkpoint of each, or that of `step`, which may be one of a run that is not
    finished. Raises RunError if `target` holds anything, or for a run without a checkpoint.
    """
    from gan import loading

    target = target.resolve()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise RunError(f"{target} is there already; give a folder that is not")
    done = []
    with files.new_folder(target) as folder:
        for name, member in run.members().items():
            model = loading.load(member.path, step, warn=tell)
            inner = folder / name
            inner.mkdir(exist_ok=True)
            exported.write(
                inner, _settings(model), model.networks, _use(model), name or target.name
            )
            files.sync_folder(inner)
            done.append(f"{target / name}: {_told(model)}")
    return done


def tell(message: str) -> None:
    """A warning for the person at the terminal."""
    print(f"ganymede: {message}", file=sys.stderr)


def _told(model: "Model") -> str:
    total = model.settings["total_steps"]
    unfinished = "; training is not finished" if model.step < total else ""
    return f"{', '.join(model.networks)} after step {model.step} of {total}{unfinished}"


def _use(model: "Model") -> str:
    if model.generator is not None:
        return "sample"
    return "classify" if model.variant.classifies else "encode"


def _settings(model: "Model") -> dict[str, Any]:
    """config.json of the exported folder: the run's, and what the weights are."""
    import safetensors
    import torch

    versions = {"torch": torch.__version__, "safetensors": safetensors.__version__}
    return model.settings | {
        "format": stored.FORMAT,
        "config": msgspec.to_builtins(portable(model.config)),  # without anybody's folders
        "step": model.step,
        "checkpoint_sha256": model.checksum,
        "versions": {"ganymede": version(), **versions},
    }
