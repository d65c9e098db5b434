"""At the end of a batch script: record what nobody else could, and say what comes next.

`python -m jobs.closing PICKLE --status N` prints one word: finished, requeue or failed.
"""

import argparse
import os
import re
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jobs import liveness, ranks, records, sharing
from jobs.ranks import Place
from jobs.records import GOES_ON, TRIED_AGAIN, Attempt, Cause
from jobs.run import Run, RunError
from jobs.stage import EXIT_STATUS, StageJob
from slurm import pickles, schedulers
from slurm.errors import SchedulerError
from slurm.resources import DEFAULT_RETRIES

RETRIES = "GANYMEDE_RETRIES"
_LOGS = "GANYMEDE_LOGS"
_LOG_END_BYTES = 20_000
_OOM = re.compile("oom.kill|out of memory", re.IGNORECASE)  # slurmstepd, srun


def close(job: StageJob, status: int, error: str, place: Place) -> str:
    """What the batch script is to do, once the record says how the attempt ended."""
    run = Run(job.path)
    if records.completion(run, job.stage):
        return "finished"
    record = records.latest(run, job.stage)
    is_its_own = record is not None and place.key.items() <= record.items()
    is_told = record is not None and is_its_own and "cause" in record
    if status == EXIT_STATUS[Cause.REFUSED] and not error and not is_told:
        # It did not begin, and has said why. A record without an end is another's then: of a job
        # that was started twice that of the first start, which goes on.
        return "failed"
    if record is None or not is_its_own:
        record = _begin(job, run, place)
    if "cause" not in record:
        attempt = Attempt(run, job.stage, record["number"])
        attempt.end(**_end(attempt, status, error, place))
        record = records.read(run.attempt_file(job.stage, record["number"]))
    wish = decide(run, job, record)
    Attempt(run, job.stage, record["number"]).update(next=wish)
    return wish


def _begin(job: StageJob, run: Run, place: Place) -> dict[str, Any]:
    """The record of an attempt that did not come to writing one. Raises RunError if another job
    is at the stage, which must not be taken for superseded.
    """
    log = os.environ.get(_LOGS, str(run.logs))
    facts: dict[str, Any] = {"from_step": job.saved_step(run), "log": log, **place.facts}
    begun = Attempt.begin(
        run, job.stage, alive=lambda other: liveness.is_alive(other, place), **facts
    )
    return records.read(run.attempt_file(job.stage, begun.number))


def _end(attempt: Attempt, status: int, error: str, place: Place) -> dict[str, Any]:
    """Cause and error, and the traceback if there is one."""
    if error:  # a set-up line
        return {"cause": Cause.REFUSED, "error": error}
    told = f"the job ended with status {status} and left no record of it; see its log"
    scheduler = schedulers.of(str(place.scheduler))
    try:
        signalled = status - 128 in (signal.SIGTERM, signal.SIGUSR2)
        meant = scheduler.why_stopped(str(place.job_id), place.restarts, signalled)
    except SchedulerError:
        meant = None
    if meant:
        return {"cause": Cause(meant), "error": told}
    if noted := attempt.noted_end():  # rank 0 may have been killed before it could read this
        return noted
    if any(_OOM.search(line) for line in _end_of_log(place) if line.startswith(scheduler.marks)):
        return {"cause": Cause.OUT_OF_MEMORY, "error": told}
    return {"cause": Cause.KILLED if status > 128 else Cause.CRASHED, "error": told}


def _end_of_log(place: Place) -> list[str]:
    """The last lines of the log, of those written since this start of the job began."""
    path = Path(os.environ.get(_LOGS) or os.devnull) / f"{place.job_id}_0_log.out"
    if not path.is_file():
        return []
    began = int(os.environ.get("GANYMEDE_LOG_SIZE") or 0)
    with path.open("rb") as log:
        log.seek(max(path.stat().st_size - _LOG_END_BYTES, began))
        return log.read().decode(errors="replace").splitlines()


def decide(run: Run, job: StageJob, record: dict[str, Any]) -> str:
    """Preemptions and time limits go on for ever; failures stop after a few without progress."""
    cause = Cause(record["cause"])
    if cause in GOES_ON:
        return "requeue"
    if cause not in TRIED_AGAIN:
        return "failed"
    allowed = int(os.environ.get(RETRIES, DEFAULT_RETRIES))
    failures = failures_without_progress(run, job, records.line_of(record))
    tell = f"{job.stage} failed {failures} of {allowed + 1} times without progress ({cause})"
    print(tell, file=sys.stderr)
    return "requeue" if failures <= allowed else "failed"


def failures_without_progress(run: Run, job: StageJob, line: str | None) -> int:
    """How many of the attempts of this job, and of those it goes on from, have failed since the
    work last got on.
    """
    saved, count = job.saved_step(run), 0
    for number in reversed(records.numbers(run, job.stage)):
        record = records.read(run.attempt_file(job.stage, number))
        if records.line_of(record) != line or record.get("from_step", 0) < saved:
            break
        count += record.get("cause") in TRIED_AGAIN
    return count


def _place(step_id: str | None) -> Place:
    """Of the attempt that has just ended: this process is no step of the job itself."""
    return replace(ranks.here(), rank=0, local_rank=0, step_id=step_id or "0")


@dataclass(frozen=True)
class Given:
    """What a batch script knows of an attempt that has ended."""

    job: StageJob
    status: int
    step: str | None
    error: str

    @classmethod
    def parse(cls, description: str | None) -> "Given":
        """From the command line, which names the job's pickle."""
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("pickle", type=Path)
        parser.add_argument("--status", type=int, required=True, help="status of its processes")
        parser.add_argument("--step", help="number of the job's step that has ended")
        parser.add_argument("--error", default="", help="why there was no step at all")
        given = parser.parse_args()
        try:
            job = pickles.load(given.pickle).function
        except SchedulerError as error:
            parser.error(str(error))
        return cls(job, given.status, given.step, given.error)

    def close(self) -> str:
        """One word: finished, requeue or failed."""
        sharing.adopt(Run(self.job.path))
        try:
            return close(self.job, self.status, self.error, _place(self.step))
        except (RunError, SchedulerError) as error:
            print(f"the end of {self.job.stage} could not be recorded: {error}", file=sys.stderr)
            return "failed"


def main() -> None:
    print(Given.parse(__doc__).close())


if __name__ == "__main__":
    main()
