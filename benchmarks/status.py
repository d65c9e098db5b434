"""How long `ganymede status` takes over many runs, and how often it asks the scheduler.

    python -m benchmarks.status [--runs 1000] [--rounds 5] [--json]

Makes runs of two stages each, with the records that real ones leave: finished, running, queued,
queued again after a preemption, failed. A stand-in for squeue answers with all their jobs, and with
some of the user's other ones, and counts how often it is called. Timed is the whole command, from
its start to its exit. The first call is told apart: it writes down which jobs have left the queue.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import measuring
from checkpoints import files
from gan import recipes
from jobs import pipeline, records, submissions
from jobs.records import Attempt, Cause
from jobs.run import Run
from slurm.queue import MARK

_STAGES = ("train", "report")
_JOB = "91000000"  # a template's first job number; its copies get their own in its place
_TOKEN = "feedfeedfeed"
_FOREIGN_JOBS = 100
_SQUEUE = """#!/bin/sh
echo "$*" >> '{folder}/calls'
cat '{folder}/queue'
"""


@dataclass(frozen=True)
class Kind:
    """How some of the runs stand."""

    name: str
    share: float
    states: tuple[str, str]  # what squeue says of the two jobs: state|reason
    fill: Callable[[Run], None]


def begin(run: Run, number: int, restarts: int = 0) -> Attempt:
    """An attempt of training under Slurm, as its record is when it has begun."""
    place = {"job_id": _job(number), "restarts": restarts, "step_id": "0"}
    more = {"scheduler": "slurm", "ranks": 1, "nodes": "n[1-2]", "token": f"{_TOKEN}{number}"}
    return Attempt.begin(run, _STAGES[number], alive=lambda r: False, from_step=0, **place, **more)


def progress(run: Run, step: int) -> None:
    values = {"step": step, "total_steps": 660, "epoch": 3, "epochs": 5, "steps_per_second": 8.25}
    files.write_json(run.progress_file("train"), values | {"phase": "training"})
    for saved in range(step, 0, -100)[:3]:
        folder = run.path / "checkpoints" / f"step-{saved:08d}"
        files.write_bytes(folder / "manifest.json", b"{}")


def queued(run: Run) -> None:
    run.logs.mkdir(exist_ok=True)


def running(run: Run) -> None:
    begin(run, 0)
    progress(run, 330)


def preempted(run: Run) -> None:
    begin(run, 0).end(Cause.PREEMPTED, saved=time.time())
    progress(run, 230)


def failed(run: Run) -> None:
    trace = "Traceback (most recent call last):\n" + 20 * "  File ..., in update\n"
    begin(run, 0).end(Cause.CRASHED, error="train/loss is nan at step 42", traceback=trace)
    progress(run, 42)


def finished(run: Run) -> None:
    progress(run, 660)
    (run.path / "report.html").write_text("report")
    manifest = run.path / "checkpoints" / "step-00000660" / "manifest.json"
    for number, output in enumerate((manifest, run.report_file)):
        attempt = begin(run, number)
        records.complete(run, _STAGES[number], [output], {"steps": 660})
        attempt.end(Cause.FINISHED)


KINDS = (
    Kind("finished", 0.35, ("COMPLETED|None", "COMPLETED|None"), finished),
    Kind("running", 0.2, ("RUNNING|None", "PENDING|Dependency"), running),
    Kind("queued", 0.25, ("PENDING|Priority", "PENDING|Dependency"), queued),
    Kind("again", 0.1, ("PENDING|BeginTime", "PENDING|Dependency"), preempted),
    Kind("failed", 0.1, ("FAILED|NonZeroExitCode", "CANCELLED|Dependency"), failed),
)


def _job(number: int) -> str:
    return str(int(_JOB) + number)


def make_template(kind: Kind, folder: Path) -> Run:
    """One run of this kind, by the functions that write real ones."""
    run = pipeline.prepare("classifier-digits", recipes.classifier_digits(), folder, threads=1)
    facts = {"scheduler": "slurm", "profile": {"name": "big", "hash": 64 * "0"}}
    for number, stage in enumerate(_STAGES):
        after = f"afterok:{_job(0)}" if number else ""
        token = f"{_TOKEN}{number}"
        record = submissions.intend(run, stage, 0, token, None, dependency=after, **facts)
        submissions.accepted(run, record, _job(number))
    kind.fill(run)
    return run


class Copies:
    """The template as other runs, each with another seed and jobs of its own."""

    def __init__(self, template: Run) -> None:
        found = sorted(template.path.rglob("*"))
        self.folders = [path.relative_to(template.path) for path in found if path.is_dir()]
        self.files = {
            str(path.relative_to(template.path)): path.read_bytes()
            for path in found
            if path.is_file()
        }

    def make(self, target: Path, place: int) -> None:
        target.mkdir(parents=True)
        for folder in self.folders:
            (target / folder).mkdir()
        changes = {'"seed": 0': f'"seed": {place}'}
        for number in range(len(_STAGES)):
            changes[_job(number)] = str(_numbers(place)[number])
            changes[f'"{_TOKEN}{number}"'] = f'"{_token(place, number)}"'
        for name, content in self.files.items():
            for old, new in changes.items() if name.endswith(".json") else ():
                content = content.replace(old.encode(), new.encode())
            Path(f"{target}/{name}").write_bytes(content)


def _numbers(place: int) -> tuple[int, int]:
    return 1000 + 2 * place, 1001 + 2 * place


def _token(place: int, number: int) -> str:
    return f"{place:014d}{number:02d}"


def make_runs(runs: Path, count: int, templates: Path) -> Iterator[str]:
    """Make the runs; gives what squeue prints of their jobs, line by line."""
    place = 0
    for kind in KINDS:
        copies = Copies(make_template(kind, templates / kind.name))
        for _ in range(round(kind.share * count)):
            copies.make(runs / f"{kind.name}-{place:05d}", place)
            for number, job in enumerate(_numbers(place)):
                yield f"{job}|{kind.states[number]}|{MARK}{_token(place, number)}"
            place += 1
    yield from (f"{900_000 + n}|RUNNING|None|(null)" for n in range(_FOREIGN_JOBS))


@dataclass(frozen=True)
class Bench:
    folder: Path

    def make(self, count: int) -> None:
        (self.folder / "none").mkdir()
        lines = make_runs(self.folder / "runs", count, self.folder / "templates")
        (self.folder / "queue").write_text("".join(f"{line}\n" for line in lines))
        squeue = self.folder / "bin" / "squeue"
        squeue.parent.mkdir()
        squeue.write_text(_SQUEUE.format(folder=self.folder))
        squeue.chmod(0o755)

    def status(self, runs: str, *options: str) -> tuple[float, str]:
        """Seconds from the start to the exit of the command, and what it printed."""
        command = [sys.executable, "-m", "jobs.cli", "status", "--runs", str(self.folder / runs)]
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        started = time.perf_counter()
        done = subprocess.run(
            [*command, *options], env=os.environ | {"PATH": path}, capture_output=True, check=True
        )
        return time.perf_counter() - started, done.stdout.decode()

    def calls(self) -> int:
        """How often the scheduler has been asked."""
        path = self.folder / "calls"
        return len(path.read_text().splitlines()) if path.exists() else 0


def measure(count: int, rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        bench.make(count)
        first, _ = bench.status("runs")
        table, plain, idle = [], [], []
        for _ in range(rounds):
            table.append(bench.status("runs")[0])
            plain.append(bench.status("runs", "--json")[0])
            idle.append(bench.status("none")[0])
        rows = json.loads(bench.status("runs", "--json")[1])
        asked = 2 * rounds + 2
        states = [row["state"] for row in rows]
        return {
            "runs": count,
            "stages": len(rows),
            "states": {state: states.count(state) for state in sorted(set(states))},
            "jobs_in_queue": len((bench.folder / "queue").read_text().splitlines()),
            "scheduler_calls_per_status": bench.calls() / asked,
            "first_s": first,
            "median_s": statistics.median(table),
            "most_s": max(table),
            "json_median_s": statistics.median(plain),
            "start_up_s": statistics.median(idle),
            "start_up_share": statistics.median(idle) / statistics.median(table),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    measuring.tell(measure(options.runs, options.rounds), options.json)


if __name__ == "__main__":
    main()
