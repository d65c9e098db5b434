"""What is running, what is done, what went wrong: told from the run's own records."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from checkpoints import files
from jobs import records
from jobs.pipeline import Stage, stages
from jobs.run import Run


@dataclass(frozen=True)
class StageStatus:
    """One row of `ganymede status`."""

    run: str
    path: str
    recipe: str
    stage: str
    state: str  # waiting, running, finished, stopped, cancelled, failed
    step: int | None
    total_steps: int | None
    cause: str | None  # why the last attempt ended
    attempts: int
    job_id: str | None
    error: str | None
    seconds: float | None  # of all attempts of a finished stage

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


_STATES = {
    records.Cause.FINISHED: "waiting",  # its completion record was taken back: to be done again
    records.Cause.TERMINATED: "stopped",
    records.Cause.INTERRUPTED: "stopped",
    records.Cause.PREEMPTED: "stopped",
    records.Cause.TIME_LIMIT: "stopped",
    records.Cause.KILLED: "stopped",
    records.Cause.CANCELLED: "cancelled",
}


def stage_status(stage: Stage, name: str) -> StageStatus:
    """The state of one stage; `name` is what its run is called."""
    run, settings = stage.run, stage.run.settings()
    last, done = records.latest(run, stage.name), records.completion(run, stage.name)
    cause = last and last.get("cause")
    if done:
        state, cause = "finished", "finished"
    elif last is None:
        state = "cancelled" if run.cancel_file.exists() else "waiting"
    elif records.is_alive(last):
        state = "running"
    else:
        cause = cause or records.Cause.KILLED
        state = _STATES.get(records.Cause(cause), "failed")
        cause = None if state == "waiting" else cause
    return StageStatus(
        run=name,
        path=str(run.path),
        recipe=settings["recipe"],
        stage=stage.name,
        state=state,
        step=_step(stage, done),
        total_steps=settings.get("total_steps") if stage.name == "train" else None,
        cause=None if cause is None else str(cause),
        attempts=last["number"] if last else 0,
        job_id=last.get("job_id") if last else None,
        error=None if done or last is None else last.get("error"),
        seconds=done["seconds"] if done else None,
    )


def _step(stage: Stage, done: dict[str, Any] | None) -> int | None:
    if stage.name != "train":
        return None
    if done:
        return int(done["result"]["steps"])
    progress = read_progress(stage.run, stage.name)
    if progress:
        return int(progress["step"])
    return max(stage.run.store().steps(), default=0)


def read_progress(run: Run, stage: str) -> dict[str, Any] | None:
    """What the stage last said of its progress."""
    try:
        return dict(files.read_json(run.progress_file(stage)))
    except (OSError, ValueError):
        return None


def run_status(run: Run, runs: Path) -> list[StageStatus]:
    """All stages of a run or pipeline, in the order in which they come."""
    return [stage_status(stage, display_name(stage.run, runs)) for stage in stages(run)]


def display_name(run: Run, runs: Path) -> str:
    """The run's name below the runs folder, as the commands take it; else its path."""
    path, base = run.path.resolve(), runs.resolve()
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(run.path)
