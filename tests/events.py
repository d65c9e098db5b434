"""A run, all that can happen to it on a cluster, and what must hold whatever happened.

Its own code is the real one: launcher, attempts, takeovers, closing, cancelling, the store and its
fence. Given to it are the time, which processes live, and the scheduler's answers.
"""

import platform
import re
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import lockstep
import psutil
import pytest
from lockstep import Actor, Killed
from rota import Job, Process, Rota, Told

from checkpoints import Store, files
from jobs import cancel, processes, records, stage, status, submissions
from jobs.closing import Given
from jobs.cluster import ClusterLauncher
from jobs.pipeline import stages
from jobs.report import Report
from jobs.run import Run, RunError
from jobs.sample import Sample
from jobs.stage import EXIT_REQUEUE, Context, Result, Stopped
from jobs.status import StageStatus
from jobs.train import Train
from slurm.preemption import StopRequest
from slurm.scheduler import Phase
from slurm.schedulers import SCHEDULERS

STEPS = 3  # of the training
_KILLED = 137  # status of a process after SIGKILL
_LAUNCHER_HOST = "login"
_IDENTITY = "the same run"


def state_of(step: int) -> bytes:
    """What a checkpoint of a step holds, whoever trained up to there."""
    return f"state of step {step}".encode() * step


class World:
    """One run on one cluster, and everything that happens to it."""

    def __init__(self, run: Run, patch: pytest.MonkeyPatch) -> None:
        self.run, self.graph = run, stages(run)
        self.rota = Rota()
        self.clock, self.uptime = 1.8e9, 1e6
        self.processes: dict[int, Process] = {}
        self.clients: list[Process] = []  # launchers, and who cancels
        self.ghosts: list[Process] = []  # at work still, where the scheduler thinks they are not
        self.wrong: list[str] = []  # what must never happen, and did
        self.log: list[str] = []
        self.committed = 0  # the newest step that ever was
        self.pids = 100
        self.starts = 0
        self._install(patch)

    def _install(self, patch: pytest.MonkeyPatch) -> None:
        lockstep.install(patch, self._changed)
        patch.setitem(SCHEDULERS, "slurm", self.rota)
        patch.setattr(time, "time", self._time)
        patch.setattr(time, "monotonic", self._monotonic)
        patch.setattr(time, "sleep", self._sleep)
        patch.setattr(platform, "node", lambda: getattr(lockstep.current(), "host", _LAUNCHER_HOST))
        patch.setattr(psutil, "Process", self._process)
        patch.setattr(processes, "boot_id", lambda: "the only one")
        patch.setattr(processes, "_ticks", lambda pid: pid)
        patch.setattr(stage, "StopRequest", self._listen)
        patch.setattr(stage, "say", self.log.append)
        patch.setattr("builtins.print", lambda *words, **options: self.log.append(" ".join(words)))
        patch.setattr(Train, "work", lambda job, context: self._train(context))
        patch.setattr(Sample, "work", lambda job, context: self._follow(context, "train"))
        patch.setattr(Report, "work", lambda job, context: self._follow(context, "train", "sample"))

    # What is given to the code: time and processes.

    def _time(self) -> float:
        self.clock += 0.001
        return self.clock

    def _monotonic(self) -> float:
        self.uptime += 1.0  # so that every look is due
        return self.uptime

    def _sleep(self, seconds: float) -> None:
        self.clock += seconds
        self.uptime += seconds
        lockstep.stand_still()

    def _process(self, pid: int | None = None) -> SimpleNamespace:
        if pid is None:
            pid = getattr(lockstep.current(), "pid", 1)
        elif pid not in self.processes:
            raise psutil.NoSuchProcess(pid)
        return SimpleNamespace(pid=pid, status=lambda: "running", create_time=lambda: float(pid))

    def _listen(self, deadline: float | None = None) -> StopRequest:
        request = Told(deadline)
        actor = lockstep.current()
        assert isinstance(actor, Process)
        actor.request = request
        return request

    # What the processes do.

    def _in_process(self, work: Callable[[], Any]) -> int:
        """The exit status of a process that does `work`, begun by the actor that is at it."""
        actor = lockstep.current()
        assert isinstance(actor, Process)
        self.pids += 1
        actor.pid = self.pids
        self.processes[actor.pid] = actor
        try:
            work()
            return 0
        except Killed:
            if not actor.spared:  # the whole machine
                raise
            actor.spared = actor.killed = False
            return _KILLED
        except SystemExit as left:
            return int(left.code or 0)
        except Exception as error:
            self.log.append(f"{type(error).__name__}: {error}")
            return 1
        finally:
            del self.processes[actor.pid]
            actor.pid, actor.request = 0, None

    def _script(self, job: Job, work: Callable[[], int]) -> None:
        """As slurm/scripts/attempt.sh, with what the scheduler makes of its end."""
        actor = lockstep.current()
        assert isinstance(actor, Process)
        status = work()
        wish = "requeue"
        if status != EXIT_REQUEUE:
            told: list[str] = []
            given = Given(job.work, status, "0", "")
            self._in_process(lambda: told.append(given.close()))
            wish = told[0] if told else "failed"
        if actor in job.actors:
            job.actors.remove(actor)
            self._over(job, wish)

    def _over(self, job: Job, wish: str) -> None:
        if job.actors or job.phase == Phase.OVER:
            return  # the other start of the same job goes on
        if wish == "requeue" and not job.cancelled:
            job.phase, job.restarts, job.meaning = Phase.WAITING, job.restarts + 1, None
        else:
            job.phase, job.succeeded = Phase.OVER, wish == "finished"

    def _train(self, context: Context) -> Result:
        self._begun(context)
        store = self.store(context.attempt.guard)
        latest = store.latest()
        step = latest.step if latest else 0
        while step < STEPS:
            lockstep.stand_still()
            if reason := context.stop.reason():
                raise Stopped(reason)
            step += 1
            store.commit(step, state_of(step))
            context.attempt.guard()
            stage.save_progress(context.run, "train", {"step": step})
        final = store.path(step)
        return Result([final / "state.pt", final / "manifest.json"], {"steps": step})

    def _follow(self, context: Context, *needs: str) -> Result:
        self._begun(context)
        name = context.attempt.stage
        for need in needs:
            done = records.completion(self.run, need)
            if done is None or records.problems(self.run, done):
                self.wrong.append(f"{name} began, and {need} is not finished")
        if reason := context.stop.reason():
            raise Stopped(reason)
        context.attempt.guard()
        made = self.run.path / f"{name}.made"
        files.write_bytes(made, f"by {name}".encode())
        return Result([made])

    def _begun(self, context: Context) -> None:
        actor = lockstep.current()
        assert isinstance(actor, Process)
        actor.attempt = context.attempt

    def store(self, guard: Callable[[], None] = lambda: None) -> Store:
        return Store(self.run.checkpoints, _IDENTITY, keep=2, guard=guard)

    # What happens.

    def start(self, job: Job, twin: bool = False) -> Process:
        """The scheduler starts a job; `twin`: that is running already, and it has forgotten so."""
        job.phase = Phase.RUNNING
        self.starts += 1
        environment = {
            "SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": job.job_id, "SLURM_NTASKS": "1",
            "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0",
            "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_NODELIST": "n1",
            "GANYMEDE_SCHEDULER": "slurm", "GANYMEDE_JOB": job.job_id, "GANYMEDE_LINE": job.job_id,
            "GANYMEDE_RESTARTS": str(job.restarts), "GANYMEDE_STEP": "0", "GANYMEDE_NODES": "n1",
            **job.order.variables,
        }  # fmt: skip
        host = f"n{self.starts}" if twin else "n1"
        actor = Process(
            host, environment, lambda: self._script(job, lambda: self._in_process(job.work))
        )
        job.actors.append(actor)
        return actor

    def launch(self) -> Process:
        """Somebody gives `ganymede run` or `resume`."""

        def submit() -> None:
            ClusterLauncher(self.run, self.run.path.parent, say=self.log.append).submit()

        return self._client(submit)

    def cancel(self) -> Process:
        return self._client(lambda: cancel.cancel(self.run))

    def _client(self, work: Callable[[], Any]) -> Process:
        client = Process(_LAUNCHER_HOST, {}, lambda: self._in_process(work))
        self.clients.append(client)
        return client

    def lose_node(self, job: Job, queued_again: bool, dead: bool) -> None:
        """The node does not answer: it is dead, or its network is."""
        for actor in job.actors:
            if dead:
                actor.kill()
                self.processes = {p: a for p, a in self.processes.items() if a is not actor}
            else:
                self.ghosts.append(actor)
        job.actors = []
        self._over(job, "requeue" if queued_again else "failed")

    def forget(self, job: Job) -> None:
        """The scheduler has lost a job, or purged it; what runs of it goes on unseen."""
        self.ghosts += job.actors
        job.actors = []
        del self.rota.queue[job.job_id]

    @property
    def actors(self) -> list[Process]:
        """All that can go on, those that the scheduler knows first."""
        known = [actor for job in self.rota.queue.values() for actor in job.actors]
        found = [*known, *self.ghosts, *self.clients]
        return [actor for actor in found if not actor.dead]

    @property
    def ready(self) -> list[Job]:
        """The jobs that the scheduler may start."""
        return [job for job in self.rota.queue.values() if self.rota.may_start(job)]

    # What must hold.

    def _changed(self, actor: Actor, path: str) -> None:
        """An actor has given something its name: was it still allowed to?"""
        assert isinstance(actor, Process)
        attempt = actor.attempt
        is_commit = re.search(r"/checkpoints/step-\d+$|/stages/[a-z]+\.json$|\.made$", path)
        if attempt is None or not is_commit or not actor.request:
            return
        if records.newest(self.run.attempts).get(attempt.stage, 0) > attempt.number:
            actor.commits_too_late += 1
            if actor.commits_too_late > 1:  # one may have been under way when it was taken over
                self.wrong.append(
                    f"attempt {attempt.number} of {attempt.stage} was taken over, and wrote {path}"
                )

    def check(self) -> None:
        """Whatever just happened."""
        assert not self.wrong, self.wrong
        good = [step for step in self.store().steps() if self.store().has(step)]
        for step in good:
            checkpoint = self.store().open(step)
            assert checkpoint.manifest.read_file(checkpoint.folder, "state.pt") == state_of(step)
        newest = max(good, default=0)
        assert newest >= self.committed, f"step {self.committed} was committed, and is lost"
        self.committed = newest
        for name in ("train", "sample", "report"):
            may = sum(self._may_write(actor, name) for actor in self.actors)
            assert may <= 1, f"{may} attempts of {name} may write"

        for actor in (actor for job in self.rota.queue.values() for actor in job.actors):
            if actor.attempt and actor.request:
                record = records.read(
                    self.run.attempt_file(actor.attempt.stage, actor.attempt.number)
                )
                told = record.get("error", "")
                assert "left no record" not in told, f"it lives, and its record says: {told}"

    def _may_write(self, actor: Process, name: str) -> bool:
        if actor.attempt is None or actor.attempt.stage != name or not actor.request:
            return False
        try:
            actor.attempt.guard()
        except (records.Superseded, RunError):
            return False
        return True

    def rows(self) -> list[StageStatus]:
        return status.run_status(self.run, self.run.path.parent)

    def check_status(self) -> None:
        """What is shown is what the records and the scheduler say."""
        for stage_, row in zip(self.graph, self.rows(), strict=True):
            jobs = [job for job in self.rota.queue.values() if job.work.stage == stage_.name]
            phases = {job.phase for job in jobs if not self.rota.is_stuck(job)}
            told = f"{row}; the scheduler has {[(job.job_id, job.phase) for job in jobs]}"
            if records.completion(self.run, stage_.name):
                assert row.state == "finished", told
            elif self.rota.is_silent:
                assert row.state != "finished", told
            elif any(job.cancelled and job.phase == Phase.RUNNING for job in jobs):
                continue  # it is on its way out, and another one may be on its way in
            elif Phase.RUNNING in phases:
                assert row.state == "running", told
            elif Phase.WAITING in phases:
                assert row.state == "queued", told
            elif row.queue != "PENDING (just submitted)":
                assert row.state in ("waiting", "stopped", "cancelled", "failed"), told
            else:  # by a clock that is back by less than clocks may differ
                submitted = submissions.latest(self.run, stage_.name)["submitted"]
                assert 0 < submitted - self.clock <= 61, told

    # To the end.

    def finish(self, most: int) -> None:
        """From wherever it is: started often enough, it comes to its end."""
        self.rota.is_silent = self.rota.loses_answers = False
        ghosts, self.ghosts = self.ghosts, []
        for _ in range(most):
            while actors := self.actors:
                for actor in actors:
                    actor.advance(100_000)
                self.check()
            if not self._unfinished():
                break
            if ready := self.ready:
                self.start(ready[0])
            else:
                self.launch()
        left = self._unfinished()
        assert not left, f"stuck before {left}\n" + "\n".join(self.log[-30:])
        self.ghosts = ghosts
        while actors := self.actors:  # those that wake last
            for actor in actors:
                actor.advance(100_000)
            self.check()
        self.check_status()
        assert not self._unfinished()
        assert self.committed == STEPS

    def _unfinished(self) -> list[str]:
        records_ = {stage_.name: records.completion(self.run, stage_.name) for stage_ in self.graph}
        return [n for n, done in records_.items() if not done or records.problems(self.run, done)]

    def close(self) -> None:
        for actor in [*self.actors, *self.ghosts]:
            actor.kill()
