"""What is remembered of every attempt and of every finished stage."""

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from checkpoints import files
from jobs.processes import is_alive, this_process
from jobs.run import Run, RunError

_NUMBERED = re.compile(r"(.+)-(\d{4,})\.json")
_BALLAST_BYTES = 64 * 1024


class Cause(StrEnum):
    """Why an attempt ended."""

    FINISHED = "finished"
    TERMINATED = "terminated"  # SIGTERM, saved
    INTERRUPTED = "interrupted"  # SIGINT, saved unless pressed twice
    PREEMPTED = "preempted"  # by a job that goes first, saved
    TIME_LIMIT = "time limit"  # its own clock, saved
    CANCELLED = "cancelled"
    NODE_LOST = "node lost"  # a node of the job went down, or stopped answering
    DISK_FULL = "disk full"
    OUT_OF_MEMORY = "out of memory"
    UNWRITABLE = "cannot write"  # a folder of the run
    SUPERSEDED = "superseded"  # a newer attempt took the run over
    REFUSED = "refused"  # its input cannot be used
    DIVERGED = "diverged"  # a loss, or a part of the state, is no longer finite
    CRASHED = "crashed"
    KILLED = "killed"  # no record of its end: SIGKILL, or the machine went down


# What a batch script does about them: for ever, and a few times as long as there is no progress.
GOES_ON = (
    Cause.PREEMPTED, Cause.TIME_LIMIT, Cause.NODE_LOST, Cause.TERMINATED, Cause.INTERRUPTED
)  # fmt: skip
TRIED_AGAIN = (Cause.CRASHED, Cause.KILLED, Cause.OUT_OF_MEMORY)


class AttemptAlive(RunError):
    """Another attempt of the same stage is running."""


class Superseded(RuntimeError):
    """A newer attempt has taken the run over: this one must not write any more."""


class Unfinished(RunError):
    """A stage that another one needs has no verified completion record."""


def numbers(run: Run, stage: str) -> list[int]:
    """The attempts' numbers, ascending."""
    return sorted(number for name, number in _numbered(run.attempts) if name == stage)


def latest(run: Run, stage: str) -> dict[str, Any] | None:
    """The record of the newest attempt."""
    number = newest(run.attempts).get(stage)
    return read(run.attempt_file(stage, number)) if number else None


def newest(folder: Path) -> dict[str, int]:
    """The highest number of each stage's records in a folder of numbered records."""
    found: dict[str, int] = {}
    for stage, number in _numbered(folder):
        found[stage] = max(number, found.get(stage, 0))
    return found


def _numbered(folder: Path) -> Iterator[tuple[str, int]]:
    """Stage and number of each record in a folder, in no order; none if there is no folder."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if match := _NUMBERED.fullmatch(entry.name):
                yield match[1], int(match[2])


def read(path: Path) -> dict[str, Any]:
    """A record. Raises RunError if it is damaged, FileNotFoundError if there is none."""
    try:
        return dict(files.read_json(path))
    except (ValueError, TypeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from None


def scheduler_of(record: dict[str, Any]) -> str | None:
    """The name of the scheduler that an attempt runs under; None: it is only a process."""
    name = record.get("scheduler")
    return None if name in (None, "local") else str(name)


def may_go_on(record: dict[str, Any]) -> bool:
    """Whether an attempt's job may still go on with its work, by itself."""
    cause = record.get("cause")
    return cause is None or cause in GOES_ON or record.get("next") == "requeue"


def line_of(record: dict[str, Any]) -> str | None:
    """The id under which an attempt's job, or the one that it goes on from, was first submitted."""
    line = record.get("line", record.get("job_id"))
    return None if line is None else str(line)


@dataclass(frozen=True)
class Attempt:
    """One process's try at a stage. Numbers only grow; the highest one may write."""

    run: Run
    stage: str
    number: int

    @classmethod
    def begin(
        cls,
        run: Run,
        stage: str,
        take_over: bool = False,
        alive: Callable[[dict[str, Any]], bool] = is_alive,
        **facts: Any,
    ) -> "Attempt":
        """Claim the next number. Raises AttemptAlive if another process is at it.

        `alive` tells of the record before whether its attempt still runs.
        """
        while True:
            record = latest(run, stage)
            if record and "cause" not in record and alive(record) and not take_over:
                raise AttemptAlive(
                    f"attempt {record['number']} of {stage} in {run.path} is running "
                    f"(process {record['pid']} on {record['host']})"
                )
            attempt = cls(run, stage, record["number"] + 1 if record else 1)
            new = {
                "stage": stage,
                "number": attempt.number,
                "started": time.time(),  # UTC seconds
                **this_process(),
                **facts,
            }
            try:
                files.create_bytes(run.attempt_file(stage, attempt.number), files.to_json(new))
            except FileExistsError:
                continue  # another process claimed the number in between
            with contextlib.suppress(OSError):
                files.write_bytes(attempt._ballast, os.urandom(_BALLAST_BYTES))
            attempt._tidy()
            return attempt

    def _tidy(self) -> None:
        """Remove what earlier attempts that were killed have left half-written."""
        for number in range(1, self.number):
            Attempt(self.run, self.stage, number)._ballast.unlink(missing_ok=True)
        for folder in (self.run.path, *(path for path in self.run.path.iterdir() if path.is_dir())):
            files.remove_leftovers(folder)

    @property
    def _ballast(self) -> Path:
        """Space held back, so that even on a full disk the end can be recorded."""
        return self.run.attempts / f".ballast-{self.stage}-{self.number:04d}"

    def guard(self) -> None:
        """Called right before every commit. Raises Superseded if a newer attempt exists, RunError
        if this one's record is gone: the folder was removed, or moved elsewhere.

        The folder is listed anew: a file server's client asks again when a folder is opened, while
        it may remember for a minute that a name was not there.
        """
        newest_number = newest(self.run.attempts).get(self.stage, 0)
        if newest_number > self.number:
            raise Superseded(f"attempt {self.number} of {self.stage} was taken over")
        if newest_number < self.number:
            raise RunError(
                f"{self.run.attempt_file(self.stage, self.number)} is gone: the run's folder was "
                "removed or moved; nothing more is written"
            )

    @property
    def started(self) -> float:
        """In UTC seconds."""
        return float(read(self.run.attempt_file(self.stage, self.number))["started"])

    def update(self, **facts: Any) -> None:
        """Add facts to the record."""
        path = self.run.attempt_file(self.stage, self.number)
        files.write_json(path, read(path) | facts)

    def note(self, rank: int, cause: Cause, error: str, traceback: str) -> None:
        """What went wrong on another rank than the first, for the first to record."""
        values = {"rank": rank, "cause": str(cause), "error": error, "traceback": traceback}
        files.write_json(self._note_file(rank), values)

    def noted_end(self) -> dict[str, Any] | None:
        """Cause, error and traceback of the first rank that noted more than the loss of another."""
        found = sorted(self._note_file(0).parent.glob(f"{self.stage}-{self.number:04d}.rank-*"))
        for note in map(read, found):
            if note["cause"] != Cause.KILLED:
                error = f"rank {note['rank']}: {note['error']}"
                return {"cause": note["cause"], "error": error, "traceback": note["traceback"]}
        return None

    def _note_file(self, rank: int) -> Path:
        # Not *.json: these are no attempts.
        return self.run.attempts / f"{self.stage}-{self.number:04d}.rank-{rank}"

    def end(self, cause: Cause, **facts: Any) -> None:
        """Record the end and its cause."""
        self._ballast.unlink(missing_ok=True)
        self.update(cause=str(cause), ended=time.time(), **facts)


def complete(run: Run, stage: str, outputs: list[Path], result: dict[str, Any]) -> None:
    """Write the completion record: what the stage made (size, SHA-256) and what it found.

    Its seconds are those of all attempts whose end is known, and of the present one.
    """
    attempts = [read(run.attempt_file(stage, number)) for number in numbers(run, stage)]
    now = time.time()
    ends = [attempt.get("ended") for attempt in attempts]
    if ends and ends[-1] is None:
        ends[-1] = now
    record = {
        "stage": stage,
        "finished": now,
        "attempts": len(attempts),
        "seconds": round(
            sum(end - a["started"] for a, end in zip(attempts, ends, strict=True) if end), 3
        ),
        "outputs": {str(path.relative_to(run.path)): _digest(path) for path in outputs},
        "result": result,
    }
    files.write_json(run.stage_file(stage), record)


def completion(run: Run, stage: str) -> dict[str, Any] | None:
    """The completion record, if the stage is finished."""
    try:
        return read(run.stage_file(stage))
    except FileNotFoundError:
        return None


def require(run: Run, stage: str) -> dict[str, Any]:
    """The completion record of a stage, its outputs verified. Raises Unfinished."""
    record = completion(run, stage)
    if record is None:
        raise Unfinished(f"stage {stage} of {run.path} is not finished")
    found = problems(run, record)
    if found:
        raise Unfinished(f"stage {stage} of {run.path} cannot be relied on: {found[0]}")
    return record


def reliable(run: Run, stage: str) -> dict[str, Any] | None:
    """The completion record of a stage whose files are as it left them."""
    try:
        return require(run, stage)
    except RunError:  # unfinished, or its record cannot be read
        return None


def withdraw(run: Run, stage: str) -> None:
    """Take a completion record back: the stage will be done again."""
    run.stage_file(stage).unlink(missing_ok=True)


def problems(run: Run, record: dict[str, Any]) -> list[str]:
    """Outputs of a finished stage that are not as they were written, a line each."""
    found = []
    for name, expected in record["outputs"].items():
        path = run.path / name
        if ".." in path.parts or Path(name).is_absolute():
            found.append(f"{run.stage_file(record['stage'])} names {name!r}, outside of the run")
            continue
        if not path.is_file():
            found.append(f"{path} is missing")
        elif _digest(path) != expected:
            found.append(f"{path} is not what stage {record['stage']} wrote")
    return found


def _digest(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": path.stat().st_size, "sha256": sha256}
