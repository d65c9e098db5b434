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
from slurm.executors import Executor
from slurm.orders import Order
from slurm.resources import Profile, Resources
from slurm.scheduler import JobState

_PATIENCE_S = 120.0
_LOOK_AGAIN_S = 5.0
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

    def halves(self) -> tuple["_Group", "_Group"]:
        half = len(self.stages) // 2
        return (
            replace(self, stages=self.stages[:half], indices=self.indices[:half]),
            replace(self, stages=self.stages[half:], indices=self.indices[half:]),
        )


@dataclass
class ClusterLauncher:
    """Submits what a run or pipeline still needs."""

    run: Run
    runs: Path
    options: Options = field(default_factory=Options)
    say: Callable[[str], None] = print
    _seen: dict[int, dict[str, Any] | None] = field(default_factory=dict)  # newest submissions
    _states: dict[str, JobState] = field(default_factory=dict)
    _jobs: dict[int, str] = field(default_factory=dict)  # job of each stage, by the stage's id()

    def submit(self) -> int:
        """Submit every stage that is neither finished nor queued; returns the exit status.

        0: all is in the queue or finished; 1: the cluster takes no more jobs for now, and the same
        command goes on later. Raises SchedulerError or RunError; what was accepted before stays.
        """
        graph = stages(self.run)
        # In this order: what another client submits in between is noticed when ours is recorded.
        self._seen = {id(stage): submissions.latest(stage.run, stage.name) for stage in graph}
        self._states = queue.jobs(patience_s=_PATIENCE_S, say=self.say)
        self._wait_for_ends(graph)
        for run in {stage.run.path: stage.run for stage in graph}.values():
            run.cancel_file.unlink(missing_ok=True)
        withdraw_damaged(graph, self.say)
        missing = self._missing(graph)
        is_sweep = self.run.is_sweep
        waves = _waves(graph, missing) if is_sweep else [[stage] for stage in missing]
        try:
            for wave in waves:
                for group in self._groups(wave, is_sweep):
                    self._submit_what_fits(group, graph[-1])
        except SubmitLimit as limit:
            self._tell_limit(limit, missing)
            return 1
        self._tell(graph)
        return 0

    def _wait_for_ends(self, graph: list[Stage]) -> None:
        """A job that is just ending may come back, or be gone: wait until it is one of the two."""
        attempts = (records.latest(stage.run, stage.name) or {} for stage in graph)
        known = {attempt.get("job_id") for attempt in attempts}
        known |= {(seen or {}).get("job_id") for seen in self._seen.values()}
        end = time.monotonic() + _PATIENCE_S
        while ending := [s for s in self._states.values() if s.is_ending and s.job_id in known]:
            if time.monotonic() > end:
                raise RunError(f"job {ending[0].job_id} does not end; try again later")
            self.say(f"job {ending[0].job_id} is ending; waiting for it")
            time.sleep(_LOOK_AGAIN_S)
            self._states = queue.jobs(patience_s=_PATIENCE_S, say=self.say)

    def _missing(self, graph: list[Stage]) -> list[Stage]:
        """The stages to be submitted. A job that was to follow one of them follows one that failed:
        it is removed, since Slurm would do so only somewhat later, or has let it go already.
        """
        missing: dict[int, Stage] = {}
        doomed = []
        for stage in graph:
            if self._is_missing(stage):
                missing[id(stage)] = stage
                continue
            job_id = self._jobs.get(id(stage))
            in_vain = any(id(need) in missing for need in stage.after)
            if job_id and in_vain:
                doomed.append(self._jobs.pop(id(stage)))
                missing[id(stage)] = stage
        queue.cancel(reversed(doomed))
        return list(missing.values())

    def _is_missing(self, stage: Stage) -> bool:
        """Whether a stage has to be submitted; notes the job of one that is in the queue."""
        if records.completion(stage.run, stage.name):
            return False
        job_id = self._queued_job(stage)
        if job_id:
            self._jobs[id(stage)] = job_id
            return False
        attempt = records.latest(stage.run, stage.name)
        outside = attempt is not None and attempt.get("scheduler") != "slurm"
        if attempt and outside and records.is_alive(attempt) and not self.options.take_over:
            raise RunError(
                f"{stage.name} of {stage.run.path} is running outside of Slurm (process "
                f"{attempt['pid']} on {attempt['host']}); cancel it, or wait for it"
            )
        return True

    def _queued_job(self, stage: Stage) -> str | None:
        """The waiting or running job of a stage, whoever submitted it."""
        record = self._seen[id(stage)]
        if record and "job_id" not in record and "refused" not in record:
            self._find_lost(stage, record)
        job_id = submissions.job_of(record, self._states)
        attempt = records.latest(stage.run, stage.name)
        state = self._states.get(job_id or "")
        if state and state.is_live:
            return state.job_id
        state = self._states.get((attempt or {}).get("job_id") or "")
        if attempt and state and (state.is_waiting or ("cause" not in attempt and state.is_live)):
            return state.job_id
        return None

    def _find_lost(self, stage: Stage, record: dict[str, Any]) -> None:
        """A client died between submitting and writing the answer down: look for its job."""
        while not (job_id := submissions.job_of(record, self._states)):
            if submissions.is_under_way(record):
                raise RunError(
                    f"{stage.name} of {stage.run.path} is being submitted by process "
                    f"{record['pid']} on {record['host']}"
                )
            if time.time() - record["intended"] > _LOST_S:
                submissions.refused(stage.run, record, "never arrived")
                return
            self.say(f"{stage.name}: an earlier submission got no answer; looking for its job")
            time.sleep(_LOOK_AGAIN_S)
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
        if not largest:  # this cluster takes no arrays
            single = [_Group((stage,), (), chain.after(self._needs(stage))) for stage in wave]
        for key, members in arrays.items() if largest else ():
            for chunk in chain.chunks(members, largest):
                indices = tuple(place if i is None else i for place, (i, _) in enumerate(chunk))
                dependency = chain.after_corresponding(key)
                groups.append(_Group(tuple(stage for _, stage in chunk), indices, dependency))
        return groups + single

    def _needs(self, stage: Stage) -> list[str]:
        return [self._jobs[id(need)] for need in stage.after if id(need) in self._jobs]

    def _submit_what_fits(self, group: _Group, last: Stage) -> None:
        """As much of an array as the cluster takes now. Raises SubmitLimit if that is not all."""
        try:
            self._submit(group, last=group.stages[-1] is last)
        except SubmitLimit:
            if len(group.stages) == 1:
                raise
            for half in group.halves():
                self._submit_what_fits(half, last)

    def _submit(self, group: _Group, last: bool) -> None:
        first, token = group.stages[0], submissions.new_token()
        order = self._order(group, token, last)
        facts = {
            "scheduler": "slurm",
            "profile": {"name": self.options.profile.name, "hash": self.options.profile.hash},
            "dependency": group.dependency,
        }
        intents = self._intend(group, token, facts)
        folder = self.run.logs.resolve() if group.indices else first.run.logs.resolve()
        try:
            executor = Executor(folder, order, self.say)
            number = executor.submit_all([stage.job for stage in group.stages])
        except SchedulerError as error:
            lost = isinstance(error, Unreachable)
            for stage, intent in zip(group.stages, intents, strict=True):
                end = submissions.unanswered if lost else submissions.refused
                end(stage.run, intent, str(error))
            if not lost:
                for path in folder.glob(f"{token}*"):
                    path.unlink(missing_ok=True)
            raise
        for stage, intent in zip(group.stages, intents, strict=True):
            self._jobs[id(stage)] = submissions.accepted(stage.run, intent, number)
        waits = f", after {', '.join(sorted(self._needs(first)))}" if self._needs(first) else ""
        count = f" ({len(group.stages)} tasks)" if group.indices else ""
        name = status.display_name(self.run if group.indices else first.run, self.runs)
        self.say(f"{name} {first.name}: job {number}{count}{'' if group.indices else waits}")

    def _intend(self, group: _Group, token: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
        intents: list[dict[str, Any]] = []
        try:
            for stage, index in zip(group.stages, group.indices or (None,), strict=True):
                seen = (self._seen[id(stage)] or {}).get("number", 0)
                intent = submissions.intend(stage.run, stage.name, seen, token, index, **facts)
                self._seen[id(stage)] = intent
                intents.append(intent)
        except RunError as error:
            for stage, intent in zip(group.stages, intents, strict=False):
                submissions.refused(stage.run, intent, str(error))
            raise
        return intents

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


def _waves(graph: list[Stage], missing: list[Stage]) -> list[list[Stage]]:
    """The missing stages of a sweep by name, in the order of the whole graph: what waits for
    another stage comes after it, even if some runs miss only what comes last.
    """
    waves: dict[str, list[Stage]] = {stage.name: [] for stage in graph}
    for stage in missing:
        waves[stage.name].append(stage)
    return [wave for wave in waves.values() if wave]
