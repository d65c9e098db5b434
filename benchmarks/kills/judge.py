"""What a finished run is, by name, and what of it another one does not share."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from checkpoints import CheckpointError, steps_in
from gan import samples, scalars
from jobs import pipeline, records
from jobs.pipeline import Stage
from jobs.run import Run, RunError
from jobs.train import Train

_OF_TIME = ("attempts", "seconds", "started", "ended", "finished", "minutes", "hours")
_OF_PLACE = ("judge",)  # the path of a run
# Pages and papers tell when and how long; their figures are compared as report.json has them.
_TELL_TIMES = ("report.html", "report.pdf", "report.json")
_LOOKS = 5


class Lost(Exception):
    """Something that was committed is gone, or a run does not go on."""


class Committed:
    """What a run has committed so far, which nothing may ever take back."""

    def __init__(self) -> None:
        self._steps: dict[Path, int] = {}
        self._stages: set[tuple[Path, str]] = set()

    def look(self, graph: Sequence[Stage]) -> None:
        """Take note of what is there. Cheap: for the moment before a kill."""
        for stage in graph:
            if stage.name == Train.stage:
                steps = steps_in(stage.run.checkpoints)
                self._steps[stage.run.path] = max([self._steps.get(stage.run.path, 0), *steps])
            if stage.run.stage_file(stage.name).exists():
                self._stages.add((stage.run.path, stage.name))

    def require(self, run: Run) -> dict[str, int]:
        """The step of each member's newest good checkpoint, 0 for none. Raises Lost."""
        if not run.exists:
            if self._steps:
                raise Lost(f"{run.path} is no run any more")
            return {}
        found = {}
        for name, member in run.members().items():
            least = self._steps.get(member.path, 0)
            found[name] = self._steps[member.path] = newest(member, least)
        for path, stage in sorted(self._stages):
            try:
                records.require(Run(path), stage)
            except RunError as error:
                raise Lost(f"{stage} was finished: {error}") from error
        return found


def newest(run: Run, least: int) -> int:
    """The step of the newest good checkpoint, 0 if there are none at all. Raises Lost if that is
    less than `least`, which was there before.
    """
    if not run.exists:
        return 0
    problem = ""
    for _ in range(_LOOKS):  # a process that lives on may remove an older one as it is being read
        try:
            checkpoint = run.store().latest()
        except CheckpointError as error:
            problem = str(error)
            continue
        step = checkpoint.step if checkpoint else 0
        if step >= least:
            return step
        problem = f"the newest good checkpoint is of step {step}, committed was {least}"
    raise Lost(f"{run.path}: {problem}")


def differences(run: Run, reference: Run) -> list[str]:
    """What differs between two finished runs, by name; of each alone, what has been trained."""
    return _different(contents(run), contents(reference))


def all_differences(run: Run, reference: Run) -> list[str]:
    """As `differences`, of all members of a pipeline and of all that follows training."""
    return _different(everything(run), everything(reference))


def _different(mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    missing = sorted(mine.keys() ^ theirs.keys())
    return missing + [
        key for key in mine.keys() & theirs.keys() if not same(mine[key], theirs[key])
    ]


def everything(run: Run) -> dict[str, Any]:
    """All that is compared of a finished run or pipeline, by name."""
    found: dict[str, Any] = {}
    for name, member in run.members().items():
        found |= {f"{name}:{key}" if name else key: v for key, v in contents(member).items()}
    return found | follow_ups(run)


def contents(run: Run) -> dict[str, Any]:
    """Every tensor, image and point of a finished training run, by name."""
    found = leaves(run.store().open(total(run)).load())
    if run.config().generates:
        for name in ("samples.h5", "generated.h5"):
            content = samples.read(run.path / name)
            found |= {f"{name}/images": content.images, f"{name}/steps": content.steps}
    for tag, (steps, values) in scalars.read(run.scalars).items():
        found |= {f"{tag}/steps": steps, f"{tag}/values": values}
    return found


def follow_ups(run: Run) -> dict[str, Any]:
    """What the stages left on record: their figures, the digests of their files, the report's
    table. What tells times is left out.
    """
    found: dict[str, Any] = {}
    for stage in pipeline.stages(run):
        record = records.require(stage.run, stage.name)
        path = f"{stage.run.path.relative_to(run.path)}/{stage.name}"
        found |= _plain(record["result"], f"{path}/result")
        for name, entry in record["outputs"].items():
            if name not in _TELL_TIMES:
                found[f"{path}/{name}"] = entry["sha256"]
    table = json.loads(run.report_file.with_suffix(".json").read_text())
    return (
        found
        | _plain(table["figures"], "report/figures")
        | _plain(table["tables"], "report/tables")
    )


def _plain(value: Any, path: str) -> dict[str, Any]:
    """The leaves of JSON, by their path; those that tell times and places are left out."""
    if isinstance(value, dict):
        kept = {key: sub for key, sub in value.items() if key not in _OF_TIME + _OF_PLACE}
    elif isinstance(value, list):
        kept = dict(enumerate(value))
    else:
        return {path: value}
    return {k: v for key, sub in kept.items() for k, v in _plain(sub, f"{path}/{key}").items()}


def total(run: Run) -> int:
    return int(run.settings()["total_steps"])


def leaves(tree: Any, path: str = "") -> dict[str, Any]:
    if isinstance(tree, dict):
        return {k: v for key, sub in tree.items() for k, v in leaves(sub, f"{path}/{key}").items()}
    return {path: tree}


def same(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    return np.array_equal(first, second)
