"""Running a pipeline on a Slurm cluster: every stage submitted at once, then left to itself.

Nothing here stays running. What was submitted is on the disk (`jobs/submissions.py`), so the same
command, given again after any crash of this one, submits what is missing and nothing twice.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jobs import records, status, submissions
from jobs.closing import RETRIES
from jobs.pipeline import Stage, stages, withdraw_damaged
from jobs.run import Run, RunError
from jobs.stage import TAKE_OVER
from jobs.train import GPUS_BOOKED
from slurm import chain, queue
from slurm.capabilities import Cluster
from slurm.errors import SchedulerError, SubmitLimit, Unreachable
from slurm.executors import Executor, Order
from slurm.queue import JobState
from slurm.resources import Profile, Resources

_PATIENCE_S = 120.0
_LOST_S = 120.0  # an unanswered submission younger than this may still be on its way


@dataclass(frozen=True)
class Options:
    """What the jobs book, and how; none of it changes a result."""

    profile: Profile = field(default_factory=Profile)
    flags: Resources = field(default_factory=Resources)
    max_running: int | None = None  # tasks of a sweep at the same time
    take_over: bool = False


@dataclass(frozen=True)
class _Group:
    """Stages that one sbatch call submits: one job, or an array with an index for each."""

    stages: tuple[Stage, ...]
    indices: tuple[int, ...] = ()  # empty: a job by itself
    dependency: str = ""


@dataclass
class ClusterLauncher:
    """Submits what a run or pipeline still needs."""

    run: Run
    runs: Path
    options: Options = field(default_factory=Options)
    say: Callable[[str], None] = print
    _states: dict[str, JobState] = field(default_factory=dict)
    _jobs: dict[int, str] = field(default_factory=dict)  # job of each stage, by the stage's id()

    def submit(self) -> int:
        """Submit every stage that is neither finished nor queued; returns the exit status.

        0: all is in the queue or finished; 1: the cluster takes no more jobs for now, and the same
        command goes on later. Raises SchedulerError or RunError; what was accepted before stays.
        """
        graph = stages(self.run)
        self._states = queue.jobs(patience_s=_PATIENCE_S, say=self.say)
        for run in {stage.run.path: stage.run for stage in graph}.values():
            run.cancel_file.unlink(missing_ok=True)
        withdraw_damaged(graph, self.say)
        missing = [stage for stage in graph if self._is_missing(stage)]
        is_sweep = self.run.is_sweep
        waves = _waves(missing) if is_sweep else [[stage] for stage in missing]
        for wave in waves:
            for group in self._groups(wave, is_sweep):
                try:
                    self._submit(group, last=group.stages[-1] is graph[-1])
                except SubmitLimit as limit:
                    self._tell_limit(limit, missing)
                    return 1
        self._tell(graph)
        return 0

    def _is_missing(self, stage: Stage) -> bool:
        """Whether a stage has to be submitted; notes the job of one that is in the queue."""
        if records.completion(stage.run, stage.name):
            return False
        job_id = self._queued_job(stage)
        if job_id:
            self._jobs[id(stage)] = job_id
            return False
        attempt = records.latest(stage.run, stage.name)
        if attempt and attempt.get("scheduler") != "slurm" and records.is_alive(attempt):
            raise RunError(
                f"{stage.name} of {stage.run.path} is running outside of Slurm (process "
                f"{attempt['pid']} on {attempt['host']}); cancel it, or wait for it"
            )
        return True

    def _queued_job(self, stage: Stage) -> str | None:
        """The waiting or running job of a stage, whoever submitted it."""
        record = submissions.latest(stage.run, stage.name)
        if record and "job_id" not in record and "refused" not in record:
            self._find_lost(stage, record)
        job_id = submissions.job_of(record, self._states)
        attempt = records.latest(stage.run, stage.name)
        candidates = [job_id, attempt and "cause" not in attempt and attempt.get("job_id")]
        for candidate in candidates:
            state = self._states.get(candidate or "")
            if state and state.is_live:
                return state.job_id
        return None

    def _find_lost(self, stage: Stage, record: dict[str, Any]) -> None:
        """A client died between submitting and writing the answer down: look for its job."""
        while not (job_id := submissions.job_of(record, self._states)):
            if records.is_alive(record):
                raise RunError(
                    f"{stage.name} of {stage.run.path} is being submitted by process "
                    f"{record['pid']} on {record['host']}"
                )
            if time.time() - record["intended"] > _LOST_S:
                submissions.refused(stage.run, record, "never arrived")
                return
            self.say(f"{stage.name}: an earlier submission got no answer; looking for its job")
            time.sleep(5)
            self._states = queue.jobs(patience_s=_PATIENCE_S, say=self.say)
        self.say(f"{stage.name}: found job {job_id}, submitted before")
        submissions.accepted(stage.run, record, chain.split_id(job_id)[0])

    def _groups(self, wave: list[Stage], is_sweep: bool) -> Iterable[_Group]:
        """Arrays whose tasks wait for the tasks of the same index; else one job for each stage."""
        if not is_sweep:
            return [_Group((stage,), (), chain.after(self._needs(stage))) for stage in wave]
        arrays: dict[tuple[str, ...], list[tuple[int | None, Stage]]] = {}
        single = []
        for stage in wave:
            needs = [chain.split_id(job_id) for job_id in self._needs(stage)]
            if len({index for _, index in needs}) > 1 or (needs and needs[0][1] is None):
                single.append(_Group((stage,), (), chain.after(self._needs(stage))))
                continue
            key = tuple(sorted({number for number, _ in needs}))
            arrays.setdefault(key, []).append((needs[0][1] if needs else None, stage))
        largest = Cluster(queue.settings()).largest_array if arrays else 0
        groups = []
        for key, members in arrays.items():
            for chunk in chain.chunks(members, largest):
                indices = tuple(place if i is None else i for place, (i, _) in enumerate(chunk))
                dependency = chain.after_corresponding(key)
                groups.append(_Group(tuple(stage for _, stage in chunk), indices, dependency))
        return groups + single

    def _needs(self, stage: Stage) -> list[str]:
        return [self._jobs[id(need)] for need in stage.after if id(need) in self._jobs]

    def _submit(self, group: _Group, last: bool) -> None:
        first, token = group.stages[0], submissions.new_token()
        order = self._order(group, token, last)
        facts = {
            "scheduler": "slurm",
            "profile": {"name": self.options.profile.name, "hash": self.options.profile.hash},
            "dependency": group.dependency,
        }
        indices = group.indices or (None,)
        intents = [
            submissions.intend(stage.run, stage.name, token, index, **facts)
            for stage, index in zip(group.stages, indices, strict=True)
        ]
        folder = self.run.logs.resolve() if group.indices else first.run.logs.resolve()
        try:
            executor = Executor(folder, order, self.say)
            number = executor.submit_all([stage.job for stage in group.stages])
        except SchedulerError as error:
            if not isinstance(error, Unreachable):
                for stage, intent in zip(group.stages, intents, strict=True):
                    submissions.refused(stage.run, intent, str(error))
            raise
        for stage, intent in zip(group.stages, intents, strict=True):
            self._jobs[id(stage)] = submissions.accepted(stage.run, intent, number)
        waits = f", after {', '.join(sorted(self._needs(first)))}" if self._needs(first) else ""
        count = f" ({len(group.stages)} tasks)" if group.indices else ""
        name = status.display_name(self.run if group.indices else first.run, self.runs)
        self.say(f"{name} {first.name}: job {number}{count}{'' if group.indices else waits}")

    def _order(self, group: _Group, token: str, last: bool) -> Order:
        first, options = group.stages[0], self.options
        wanted = options.profile.for_stage(first.name, options.flags)
        if wanted.cpus_per_task is None:
            threads = max(stage.run.threads for stage in group.stages)
            wanted = replace(wanted, cpus_per_task=threads)
        environment = {"GANYMEDE_TOKEN": token, RETRIES: str(options.profile.retries)}
        if wanted.gpus_per_node:
            environment[GPUS_BOOKED] = str(wanted.gpus_per_node)
        if options.take_over:
            environment[TAKE_OVER] = "1"
        owner = self.run if group.indices else first.run
        return Order(
            name=f"{owner.path.name}.{first.name}",
            token=token,
            resources=wanted,
            profile=options.profile,
            dependency=group.dependency,
            environment=environment,
            indices=group.indices,
            max_running=options.max_running,
            last=last,
        )

    def _tell_limit(self, limit: SubmitLimit, missing: list[Stage]) -> None:
        remaining = [stage for stage in missing if id(stage) not in self._jobs]
        self.say(f"the cluster takes no more jobs for now: {limit}")
        self.say(
            f"accepted: {len(missing) - len(remaining)} of {len(missing)}; remaining: "
            + ", ".join(f"{s.run.path.name} {s.name}" for s in remaining[:10])
            + (" ..." if len(remaining) > 10 else "")
            + "; the same command goes on later"
        )

    def _tell(self, graph: list[Stage]) -> None:
        finished = sum(1 for s in graph if records.completion(s.run, s.name))
        numbers = {chain.split_id(job_id)[0] for job_id in self._jobs.values()}
        name = status.display_name(self.run, self.runs)
        told = f"jobs {', '.join(sorted(numbers, key=int))}" if numbers else "nothing to submit"
        self.say(f"{name}: {told}; {finished} of {len(graph)} stages finished")


def _waves(missing: list[Stage]) -> list[list[Stage]]:
    """The stages of a sweep by name, in the order in which the names come."""
    waves: dict[str, list[Stage]] = {}
    for stage in missing:
        waves.setdefault(stage.name, []).append(stage)
    return list(waves.values())
