"""How jobs of the stand-in for PBS wait for each other."""

import time
from collections.abc import Callable

from fake_pbs_jobs import RUNNING, Job

BEFORE = {
    "after": "before",
    "afterok": "beforeok",
    "afternotok": "beforenotok",
    "afterany": "beforeany",
}


class Dependencies:
    """What a server knows of them; both sides carry them in `depend`."""

    jobs: dict[str, Job]  # by id, subjobs too

    def close(self, job: Job, substate: int) -> None:
        raise NotImplementedError

    def end(self, job: Job) -> None:
        raise NotImplementedError

    def register(self, job: Job, wanted: dict[str, list[str]]) -> None:
        """Have a job wait for others: {type: ids}; what it has of other types stays."""
        job.depend |= {kind: list(ids) for kind, ids in wanted.items()}
        for kind, ids in wanted.items():
            for parent_id in ids:
                parent = self.jobs.get(parent_id)
                if parent is None:
                    self.abort(job)
                    return
                # One that was deleted before it ran counts as one that went well.
                if parent.is_live and not (kind == "after" and parent.state in "RSEB"):
                    known = parent.depend.setdefault(BEFORE[kind], [])
                    known.extend([job.id] * (job.id not in known))
                elif kind == ("afterok" if parent.exit_status else "afternotok"):
                    self.abort(job)
                    return
                else:
                    job.depend[kind].remove(parent_id)
        self.hold(job)

    def hold(self, job: Job) -> None:
        """Its state, as its holds and dependencies have it."""
        job.depend = {kind: ids for kind, ids in job.depend.items() if ids}
        waits = any(kind in BEFORE for kind in job.depend)
        if waits:
            job.holds.add("s")
        elif job.substate == 22:
            job.holds.discard("s")
        if job.state in "QHW":
            later = job.begins > time.time()
            job.state = "H" if job.holds else "W" if later else "Q"
            job.substate = 22 if waits else 20 if job.holds else 30 if later else 10

    def abort(self, job: Job) -> None:
        """It can never start: it is over, and so is whatever waits for it."""
        if job.is_live:
            job.holds.add("s")
            self.close(job, 92)
            self.settle(job, lambda kind: False)

    def settle(self, job: Job, frees: Callable[[str], bool | None]) -> None:
        """Free those that wait for a job, if `frees` says so of their type, or abort them.

        Those that a job has once been told of are aborted even if they wait for another by now,
        and killed if they run.
        """
        for after, before in BEFORE.items():
            for child in map(self.jobs.get, list(job.depend.get(before, ()))):
                if child and child.is_live and frees(after):
                    self._free(job, child, after)
                elif child and child.state in RUNNING:
                    child.kill()
                    self.end(child)
                elif child:
                    self.abort(child)

    def settle_start(self, job: Job) -> None:
        for child in map(self.jobs.get, list(job.depend.get("before", ()))):
            if child:
                self._free(job, child, "after")
        job.depend.pop("before", None)

    def _free(self, job: Job, child: Job, kind: str) -> None:
        if job.id in child.depend.get(kind, ()):
            child.depend[kind].remove(job.id)
            self.hold(child)
