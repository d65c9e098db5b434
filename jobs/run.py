"""A run: one folder that holds all of it, and every path in that folder."""

import functools
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from checkpoints import Store, files
from gan import config as configs
from gan import stored
from gan.config import RunConfig
from gan.data import DataInfo, steps_per_pass
from gan.stored import FORMAT, RunError

__all__ = ["Run", "RunError", "check_name", "find", "list_runs"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

_MEMBER = re.compile(r"[^./\x00][^/\x00]*")  # what a sweep's settings make may have any sign


def check_name(name: str) -> str:
    """`name` itself if it may name a run. Raises RunError: it becomes a folder and a job name."""
    if not _NAME.fullmatch(name):
        raise RunError(
            f"run name {name!r}; allowed: up to 100 of A-Z a-z 0-9 . _ -, a letter or digit first"
        )
    return name


@dataclass(frozen=True)
class Run:
    """The folder of one training run, or of a pipeline whose runs are folders in it."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / stored.CONFIG

    @property
    def chosen_file(self) -> Path:
        """What the first attempt chose where the config says `auto` (see `jobs.chosen`)."""
        return self.path / "chosen.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    @property
    def logs(self) -> Path:
        """Where this user's jobs of the run log, and have their pickles: nobody else's folder."""
        first, user = self.path / "logs", os.geteuid()
        try:
            return first if first.lstat().st_uid == user else self.path / f"logs-{user}"
        except FileNotFoundError:
            return first

    @property
    def scalars(self) -> Path:
        return self.path / "tensorboard"

    @property
    def generated_file(self) -> Path:
        return self.path / "generated.h5"

    @property
    def report_file(self) -> Path:
        return self.path / "report.html"

    @property
    def cancel_file(self) -> Path:
        """Its presence says that the user cancelled the run."""
        return self.path / "cancelled.json"

    @functools.cached_property
    def attempts(self) -> Path:
        return self.path / "attempts"

    def attempt_file(self, stage: str, number: int) -> Path:
        return self.attempts / f"{stage}-{number:04d}.json"

    def progress_file(self, stage: str) -> Path:
        return self.attempts / f"{stage}.progress.json"

    @functools.cached_property
    def submissions(self) -> Path:
        return self.path / "submissions"

    def submission_file(self, stage: str, number: int) -> Path:
        return self.submissions / f"{stage}-{number:04d}.json"

    def stage_file(self, stage: str) -> Path:
        return self.path / "stages" / f"{stage}.json"

    @property
    def exists(self) -> bool:
        return self.config_file.is_file() and not stored.is_export(self.path)

    def settings(self) -> dict[str, Any]:
        """The contents of config.json. Raises RunError if it is missing or unreadable."""
        return stored.read(self.path)

    def config(self, settings: dict[str, Any] | None = None) -> RunConfig:
        """The training config, from `settings` if they have been read already.

        Raises RunError, for a pipeline's folder too.
        """
        return stored.config(settings or self.settings(), self.path)

    def check_data(self, info: DataInfo) -> None:
        """Raise RunError if these are not the images that the run began with."""
        began = stored.data_info(self.settings(), self.path)
        for name in ("name", "train_count", "test_count", "channels", "classes", "fingerprint"):
            old, new = getattr(began, name), getattr(info, name)
            if old != new:
                raise RunError(
                    f"{self.path} was made with other images: {name} was {old!r}, now is {new!r}; "
                    "give the images that it was made with, or another --name"
                )

    def store(self, **options: Any) -> Store:
        """The run's checkpoints; `options` as for `Store`."""
        return Store(self.checkpoints, configs.identity(self.config()), **options)

    @property
    def is_sweep(self) -> bool:
        return self.settings().get("kind") == "sweep"

    @property
    def threads(self) -> int:
        """Threads of a training run; of a pipeline, the most that one of its runs has."""
        own = self.settings().get("threads")
        return int(own) if own else max(member.threads for member in self.members().values())

    def members(self, settings: dict[str, Any] | None = None) -> dict[str, "Run"]:
        """The training runs in here by name; a single run is its own, under the name ''.

        From `settings` if they have been read already.
        """
        names = (settings or self.settings()).get("members")
        if not names:
            return {"": self}
        for name in names:
            if not (isinstance(name, str) and _MEMBER.fullmatch(name)):
                raise RunError(f"{self.config_file}: member {name!r}; allowed: names of folders")
        return {name: Run(self.path / name) for name in names}

    def write(self, recipe: str, config: RunConfig, info: DataInfo, threads: int) -> None:
        """Create the folder, or bring the settings that do not change the result up to date."""
        epoch = steps_per_pass(config, info) * config.train.passes_per_epoch
        settings = {
            "format": FORMAT,
            "recipe": recipe,
            "variant": config.variant,
            "identity": configs.identity(config),
            "total_steps": epoch * config.train.epochs,
            "threads": threads,
            "config": msgspec.to_builtins(config),
            "data": msgspec.to_builtins(info),
        }
        if not self.exists or self.settings() != settings:
            files.write_json(self.config_file, settings)

    def write_pipeline(
        self, recipe: str, members: list[str], kind: str, more: dict[str, Any] | None = None
    ) -> None:
        """Settings of the whole; `more` is of its follow-up jobs, and may change while it lives."""
        settings = {"format": FORMAT, "recipe": recipe, "members": members, "kind": kind}
        stored = self.settings() if self.exists else settings
        if not self.exists or stored != stored | (more or {}):
            files.write_json(self.config_file, stored | (more or {}))


def find(name: str, runs: Path) -> Run:
    """The run that a user means: a name below `runs`, as `demo` or `demo/gan`, or a path.

    Raises RunError, naming the runs that exist.
    """
    for candidate in (Run(runs / name), Run(Path(name))):
        if candidate.exists:
            return candidate
    known = ", ".join(run.path.name for run in list_runs(runs)) or "none"
    raise RunError(f"no run {name!r}; the runs in {runs} are: {known}")


def list_runs(runs: Path) -> list[Run]:
    """All runs and pipelines in a folder, by name."""
    if not runs.is_dir():
        return []
    with os.scandir(runs) as entries:
        found = [Run(Path(entry.path)) for entry in entries if entry.is_dir()]
    return sorted((run for run in found if run.exists), key=lambda run: run.path.name)
