"""The jobs' logs: their ends, and what is added to them."""

import contextlib
import os
import time
from pathlib import Path

from jobs import records
from jobs.answers import Queue
from jobs.pipeline import Stage, stages
from jobs.run import Run
from jobs.status import run_status

_POLL_S = 1.0
_OVER = ("finished", "cancelled", "failed", "stopped")


def log_file(stage: Stage) -> Path | None:
    """The log of a stage's latest attempt."""
    record = records.latest(stage.run, stage.name)
    if record is None or not record.get("job_id"):
        return None
    return Path(record.get("log", stage.run.logs)) / f"{record['job_id']}_0_log.out"


def show(run: Run, lines: int) -> None:
    """The last lines of each stage's log."""
    for stage in stages(run):
        path = log_file(stage)
        if path and _is_private(path):
            print(f"==> {path} <==\n(private: of whoever started this job)")
        elif path and path.is_file():
            print(f"==> {path} <==")
            print("\n".join(path.read_text(errors="replace").splitlines()[-lines:]))


def follow(run: Run, runs: Path) -> None:
    """Print what is added to the logs, each line with its stage, until all stages are over."""
    graph = stages(run)
    read: dict[Path, int] = {path: path.stat().st_size for path in _files(graph)}
    queued, look = Queue(max_age_s=10), 0
    while True:
        over = look % 5 == 0 and all(row.state in _OVER for row in run_status(run, runs, queued))
        for stage in graph:
            path = log_file(stage)
            if path is not None:
                _print_new(path, read, f"{stage.run.path.name} {stage.name}")
        if over:
            return
        look += 1
        time.sleep(_POLL_S)


def _files(graph: list[Stage]) -> list[Path]:
    known = [path for path in map(log_file, graph) if path]
    return [path for path in known if not _is_private(path) and path.is_file()]


def _is_private(log: Path) -> bool:
    """Whether it is in the folder of another user, with whom the run is shared."""
    return log.parent.is_dir() and not os.access(log.parent, os.X_OK)


def _print_new(path: Path, read: dict[Path, int], name: str) -> None:
    with contextlib.suppress(FileNotFoundError, PermissionError), path.open("rb") as file:
        file.seek(read.get(path, 0))
        whole = file.read().rpartition(b"\n")[0]
        if whole:
            read[path] = read.get(path, 0) + len(whole) + 1
            for line in whole.decode(errors="replace").splitlines():
                print(f"{name} | {line}", flush=True)
