"""The processes of one job: who is who, and how they find each other."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psutil
import submitit

from jobs import records
from jobs.run import Run, RunError

if TYPE_CHECKING:
    import torch
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    from gan.distributed import World

_MEET_S = 300.0  # how long ranks wait for each other: one node may load Python much slower
_PART_S = 5.0
_OVER = "over"


@dataclass(frozen=True)
class Place:
    """This process's place in its job; `key` tells one start of the job from all others."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    job_id: str | None = None
    scheduler: str | None = None
    restarts: int = 0  # how often the scheduler has started this job again
    step_id: str = ""
    line: str | None = None  # the id under which the run of its stage was first submitted

    @property
    def goes_on(self) -> bool:
        """Whether an earlier start, or an earlier job, has been at it before."""
        return self.restarts > 0 or self.line != self.job_id

    @property
    def facts(self) -> dict[str, Any]:
        """What an attempt's record says of its place."""
        known = {
            "scheduler": self.scheduler,
            "ranks": self.size,
            "line": self.line,
            "nodes": os.environ.get("GANYMEDE_NODES"),
            "log": os.environ.get("SUBMITIT_FOLDER"),
            "token": os.environ.get("GANYMEDE_TOKEN"),
        }
        return self.key | {name: value for name, value in known.items() if value is not None}

    @property
    def key(self) -> dict[str, Any]:
        return {"job_id": self.job_id, "restarts": self.restarts, "step_id": self.step_id}


def here() -> Place:
    """The place that the environment tells, that of a process alone by default.

    A scheduler's batch script exports GANYMEDE_SCHEDULER, GANYMEDE_JOB (the job's id),
    GANYMEDE_LINE (see `Place.line`; the job's id if left out), GANYMEDE_RESTARTS, GANYMEDE_STEP and
    GANYMEDE_NODES (as `Scheduler.lost_node` takes them).
    """
    try:
        job = submitit.JobEnvironment()
    except RuntimeError:
        return Place()
    job_id = os.environ.get("GANYMEDE_JOB") or str(job.job_id)
    return Place(
        rank=job.global_rank,
        size=job.num_tasks,
        local_rank=job.local_rank,
        job_id=job_id,
        scheduler=os.environ.get("GANYMEDE_SCHEDULER", "local"),
        restarts=int(os.environ.get("GANYMEDE_RESTARTS") or 0),
        step_id=os.environ.get("GANYMEDE_STEP", ""),
        line=os.environ.get("GANYMEDE_LINE") or job_id,
    )


def find_attempt(run: Run, stage: str, place: Place) -> records.Attempt:
    """The attempt that rank 0 of this start has begun. Raises RunError if it never comes."""
    end = time.monotonic() + _MEET_S
    while time.monotonic() < end:
        record = records.latest(run, stage) or {}
        begun = "meeting_point" in record and "cause" not in record
        if begun and place.key.items() <= record.items():
            return records.Attempt(run, stage, record["number"])
        time.sleep(0.1)
    raise RunError(f"rank {place.rank} of {place.size}: rank 0 did not begin in {_MEET_S:.0f} s")


@dataclass(frozen=True)
class Meeting:
    """The store at which the ranks of one attempt meet, and part."""

    place: Place
    store: "TCPStore"

    def connect(self, device: "torch.device") -> "World":
        from gan import distributed

        return distributed.connect(self.place.rank, self.place.size, self.store, device)

    def part(self) -> None:
        """Leave together: nobody exits, and has the others killed, before rank 0 has recorded how
        it ended. A rank that does not come any more is not waited for.
        """
        if self.place.rank == 0:
            self.store.set(_OVER, "1")
            others = [f"bye-{rank}" for rank in range(1, self.place.size)]
            self._wait(others, _PART_S)
        else:
            self._wait([_OVER], _MEET_S)
            self.store.set(f"bye-{self.place.rank}", "1")

    def _wait(self, keys: list[str], seconds: float) -> None:
        from torch.distributed import DistError

        try:
            self.store.wait(keys, timedelta(seconds=seconds))
        except (DistError, RuntimeError):
            return


@contextmanager
def meeting(attempt: records.Attempt, place: Place) -> Iterator[Meeting]:
    """Bring the ranks of an attempt together: rank 0 binds a free port and publishes it in the
    attempt's record, so that no rank ever meets one of an earlier attempt.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    from gan import distributed

    timeout = timedelta(seconds=_MEET_S)
    if place.rank == 0:
        store = TCPStore("127.0.0.1", 0, place.size, True, timeout, wait_for_workers=False)
        attempt.update(meeting_point=[address(), store.port])
    else:
        record = records.read(attempt.run.attempt_file(attempt.stage, attempt.number))
        host, port = record["meeting_point"]
        store = TCPStore(host, port, place.size, False, timeout, wait_for_workers=False)
    try:
        yield Meeting(place, store)
    finally:
        distributed.disconnect()


def address() -> str:
    """Under which the other nodes reach this one: of the profile's interface, else the host's name.

    Raises RunError for an interface that is not there.
    """
    interface = os.environ.get("GANYMEDE_INTERFACE")
    if not interface:
        return socket.gethostname()
    known = psutil.net_if_addrs()
    for entry in known.get(interface, ()):
        if entry.family == socket.AF_INET:
            return str(entry.address)
    raise RunError(f"interface is {interface!r}; allowed on this node: {', '.join(known)}")
