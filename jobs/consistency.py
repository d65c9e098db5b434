"""Records against each other: what no crash leaves behind, however each file looks by itself."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from checkpoints import CheckpointError, files
from checkpoints.manifest import Manifest
from checkpoints.store import STATE
from gan import config as configs
from gan import stored
from gan.data import steps_per_pass
from jobs import records
from jobs.pipeline import Stage
from jobs.records import Cause
from jobs.report import table
from jobs.run import Run, RunError

_CLOCKS_S = 300.0  # by how much the clocks of two machines may differ
_PROGRESS = ("step", "epoch")


def of_run(run: Run) -> list[str]:
    """The settings, progress, checkpoints and samples of one training run."""
    try:
        settings, config = run.settings(), run.config()
        info = stored.data_info(settings, run.path)
    except RunError as error:
        return [str(error)]
    epoch = steps_per_pass(config, info) * config.train.passes_per_epoch
    total, found = epoch * config.train.epochs, []
    for name, noted, own in (
        ("identity", settings.get("identity"), configs.identity(config)),
        ("total_steps", settings.get("total_steps"), total),
    ):
        if noted != own:
            found.append(f"{run.config_file}: {name} is {noted!r}, its config makes it {own!r}")
    found += _progress(run, total, config.train.epochs)
    beyond = [step for step in run.store().steps() if step > total]
    found += [f"{run.store().path(step)} is beyond the last step, {total}" for step in beyond]
    return found + (_samples(run, epoch, total) if config.generates else [])


def _progress(run: Run, total: int, epochs: int) -> list[str]:
    path = run.progress_file("train")
    try:
        noted = records.read(path)
    except (FileNotFoundError, RunError):
        return []  # not synced, and nobody relies on it
    limits = {"step": total, "epoch": epochs}
    wrong = [name for name in _PROGRESS if not 0 <= noted.get(name, 0) <= limits[name]]
    return [f"{path}: {name} is {noted[name]} of {limits[name]}" for name in wrong]


def _samples(run: Run, epoch: int, total: int) -> list[str]:
    """Both samples files against the schedule and the checkpoint that they are of."""
    from gan import samples

    found = []
    for path in (run.path / "samples.h5", run.generated_file):
        if not path.exists():
            continue
        try:
            content = samples.read(path)
        except samples.SamplesError as error:
            found.append(str(error))
            continue
        steps = content.steps.tolist()
        finished = records.completion(run, "sample")
        generated = path == run.generated_file
        last = total if finished else max(steps, default=0)
        allowed = [total] if generated else list(range(epoch, last + 1, epoch))
        if steps != allowed or last > total:
            found.append(f"{path} is of steps {_short(steps)}; by the schedule: {_short(allowed)}")
        wanted = run.settings()["identity"]
        if (identity := content.attributes.get("identity")) != wanted:
            found.append(f"{path} is of another config ({str(identity)[:12]})")
        found += _weights(run, path, content.attributes, steps)
    return found


def _weights(run: Run, path: Path, attributes: dict[str, Any], steps: list[int]) -> list[str]:
    noted = attributes.get("weights_sha256")
    if noted is None or not steps:
        return []
    try:
        own = Manifest.read(run.store().path(steps[-1])).files[STATE].sha256
    except (CheckpointError, KeyError):
        return []  # named among the checkpoints' problems, or by the stage that wrote it
    if noted == own:
        return []
    given = str(noted)[:12]
    return [f"{path} was made by other weights ({given}) than the checkpoint's ({own[:12]})"]


def _short(steps: list[int]) -> str:
    shown = ", ".join(map(str, steps[:8]))
    return f"{shown}, ... {steps[-1]}" if len(steps) > 8 else shown or "none"


def of_stage(stage: Stage) -> list[str]:
    """The attempts of a stage, and its completion against them and against what it needs."""
    run, name = stage.run, stage.name
    numbers = records.numbers(run, name)
    found = _numbering(run, name, numbers)
    attempts = [records.read(run.attempt_file(name, number)) for number in dict.fromkeys(numbers)]
    found += _order(run, name, attempts)
    record = records.completion(run, name)
    if record is None:
        return found
    return found + _finish(run, name, attempts, record) + _needs(stage, record)


def _numbering(run: Run, name: str, numbers: list[int]) -> list[str]:
    found = []
    for number in sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers)):
        found.append(f"{run.attempt_file(name, number)} is missing: a later attempt is there")
    for number in sorted({n for n in numbers if numbers.count(n) > 1}):
        found.append(f"{run.attempts}: attempt {number} of {name} is there twice")
    return found


def _order(run: Run, name: str, attempts: list[dict[str, Any]]) -> list[str]:
    """Each record is what its file's name says, and none begins before the one before it."""
    found = []
    for number, record in zip(sorted(set(records.numbers(run, name))), attempts, strict=True):
        path = run.attempt_file(name, number)
        if (record.get("stage"), record.get("number")) != (name, number):
            told = f"attempt {record.get('number')} of {record.get('stage')}"
            found.append(f"{path} is the record of {told}")
        if "cause" in record and record["cause"] not in set(Cause):
            found.append(f"{path}: cause is {record['cause']!r}; allowed: {', '.join(Cause)}")
        if record.get("ended", record["started"]) < record["started"] - _CLOCKS_S:
            found.append(f"{path} ended before it started")
    for first, second in pairwise(attempts):
        if second["started"] < first["started"] - _CLOCKS_S:
            path = run.attempt_file(name, second["number"])
            found.append(f"{path} started before attempt {first['number']}")
    return found


def _finish(
    run: Run, name: str, attempts: list[dict[str, Any]], record: dict[str, Any]
) -> list[str]:
    """A stage is finished by its newest attempt, which may have been killed right afterwards."""
    path, found = run.stage_file(name), []
    if record.get("stage") != name:
        found.append(f"{path} is the record of stage {record.get('stage')}")
    if not attempts or attempts[-1].get("cause", Cause.FINISHED) != Cause.FINISHED:
        ends = attempts[-1]["cause"] if attempts else "none"
        found.append(f"{path} says finished; the newest attempt's end is: {ends}")
    if record["attempts"] > len(attempts):
        found.append(f"{path} counts {record['attempts']} attempts; there are {len(attempts)}")
    if attempts and record["finished"] < attempts[-1]["started"] - _CLOCKS_S:
        found.append(f"{path} was finished before its newest attempt started")
    if name == "train":
        total, steps = run.settings().get("total_steps"), record["result"].get("steps")
        if steps != total:
            found.append(f"{path} tells of {steps} steps; the config makes them {total}")
    return found


def _needs(stage: Stage, record: dict[str, Any]) -> list[str]:
    found = []
    for need in stage.after:
        needed = f"stage {need.name} of {need.run.path}"
        told = f"{stage.run.stage_file(stage.name)} says finished; {needed}"
        try:
            earlier = records.completion(need.run, need.name)
        except RunError:
            continue  # named with that stage
        if earlier is None:
            found.append(f"{told}, which it needs, is not")
        elif record["finished"] < earlier["finished"] - _CLOCKS_S:
            found.append(f"{told}, which it needs, was finished after it")
    return found


def of_report(run: Run) -> list[str]:
    """The report's figures against the records that they were read from."""
    from jobs.reporting import figures

    path = run.report_file.with_suffix(".json")
    try:
        if records.completion(run, "report") is None:
            return []
        told = {_key(row): row for row in files.read_json(path)["figures"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{path} cannot be read: {error}"]
    now = json.loads(table([row.as_json() for row in figures.rows(run)]))
    own = {_key(row): row for row in now}
    # Not the words, nor figures that are told by now alone: the version may be another one.
    differ = [key for key in told if key not in own or told[key]["value"] != own[key]["value"]]
    return [
        f"{path}: {'/'.join(key)} is {_value(told, key)}, the records say {_value(own, key)}"
        for key in differ
    ]


def _key(row: dict[str, Any]) -> tuple[str, str, str]:
    return str(row["run"]), str(row["stage"]), str(row["key"] or row["name"])


def _value(rows: dict[tuple[str, str, str], dict[str, Any]], key: tuple[str, str, str]) -> str:
    return str(rows[key]["value"]) if key in rows else "nothing"
