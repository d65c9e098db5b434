"""Running a pipeline on a cluster: every stage submitted at once, then left to itself.

Nothing here stays running. What was submitted is on the disk (`jobs/submissions.py`), so the same
command, given again after any crash of this one, submits what is missing and nothing twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from jobs import followers, groups, records, status, submissions, together
from jobs.closing import RETRIES
from jobs.elsewhere import Elsewhere
from jobs.groups import Group
from jobs.pipeline import Stage, stages, withdraw_damaged
from jobs.queued import PATIENCE_S, Queued
from jobs.run import Run, RunError
from jobs.stage import TAKE_OVER
from jobs.train import GPUS_BOOKED, Train
from slurm import schedulers
from slurm.errors import SchedulerError, SubmitLimit, Unreachable
from slurm.orders import TOKEN, Order
from slurm.resources import Profile, Resources
from slurm.scheduler import Scheduler


@dataclass(frozen=True)
class Options:
    """What the jobs book, and how; none of it changes a result."""

    profile: Profile = field(default_factory=Profile)
    flags: Resources = field(default_factory=Resources)
    max_running: int | None = None  # tasks of a sweep at the same time
    take_over: bool = False
    scheduler: str = "slurm"
    chain: int = 0  # jobs that go on with a training, submitted beforehand


@dataclass
class ClusterLauncher:
    """Submits what a run or pipeline still needs."""

    run: Run
    runs: Path
    options: Options = field(default_factory=Options)
    say: Callable[[str], None] = print
    _seen: dict[int, dict[str, Any] | None] = field(default_factory=dict)  # newest submissions
    _jobs: dict[int, str] = field(default_factory=dict)  # job of each stage, by the stage's id()
    _lane: list[str] = field(default_factory=list)  # jobs of a sweep that wait for no stage

    @property
    def _scheduler(self) -> Scheduler:
        return schedulers.of(self.options.scheduler)

    @cached_property
    def _queued(self) -> Queued:
        return Queued(self._scheduler, self.say)

    def submit(self) -> int:
        """Submit every stage that is neither finished nor queued; returns the exit status.

        0: all is in the queue or finished; 1: the cluster takes no more jobs for now, and the same
        command goes on later. Raises SchedulerError or RunError; what was accepted before stays.
        """
        graph = stages(self.run)
        # In this order: what another client submits in between is noticed when ours is recorded.
        self._seen = {id(stage): submissions.latest(stage.run, stage.name) for stage in graph}
        self._queued.ask()
        known = [
            *map(self._queued.attempt, graph),
            *map(self._queued.submission, self._seen.values()),
        ]
        self._queued.wait_for_ends(known)
        for run in {stage.run.path: stage.run for stage in graph}.values():
            run.cancel_file.unlink(missing_ok=True)
        withdraw_damaged(graph, self.say)
        missing = self._missing(graph)
        is_sweep = self.run.is_sweep
        waves = groups.waves(graph, missing) if is_sweep else [[stage] for stage in missing]
        divide = groups.arrays if is_sweep else groups.singles
        try:
            for wave in waves:
                for group in divide(wave, self._needs, self._scheduler):
                    self._submit_what_fits(group, graph[-1])
        except SubmitLimit as limit:
            self._tell_limit(limit, missing)
            return 1
        self._tell(graph)
        return 0

    def _missing(self, graph: list[Stage]) -> list[Stage]:
        """The stages to be submitted. A job that was to follow one of them follows one that failed:
        it is removed, since its scheduler would do so somewhat later, or has let it go already.
        """
        missing: dict[int, Stage] = {}
        elsewhere = Elsewhere(self._scheduler, PATIENCE_S)
        doomed = []
        for stage in graph:
            if self._is_missing(stage, elsewhere):
                missing[id(stage)] = stage
                continue
            job_id = self._jobs.get(id(stage))
            in_vain = any(id(need) in missing for need in stage.after)
            if job_id and in_vain:
                doomed.append(self._jobs.pop(id(stage)))
                missing[id(stage)] = stage
            elif job_id and not self._needs(stage):
                self._lane.append(job_id)
        self._scheduler.cancel(reversed(doomed))
        return list(missing.values())

    def _is_missing(self, stage: Stage, elsewhere: Elsewhere) -> bool:
        """Whether a stage has to be submitted; notes the job of one that is in the queue."""
        if records.completion(stage.run, stage.name):
            return False
        job_id = self._queued.job(stage, self._seen[id(stage)])
        if job_id:
            self._jobs[id(stage)] = job_id
            return False
        if not self.options.take_over:
            attempt = records.latest(stage.run, stage.name)
            elsewhere.refuse(stage, self._seen[id(stage)], attempt)
        return True

    def _needs(self, stage: Stage) -> list[str]:
        return [self._jobs[id(need)] for need in stage.after if id(need) in self._jobs]

    def _submit_what_fits(self, group: Group, last: Stage) -> None:
        """As much of an array as the cluster takes now. Raises SubmitLimit if that is not all."""
        try:
            self._submit(group, last=group.stages[-1] is last)
        except SubmitLimit:
            if len(group.stages) == 1:
                raise
            for half in group.halves():
                self._submit_what_fits(half, last)

    def _submit(self, group: Group, last: bool) -> None:
        first, token = group.stages[0], submissions.new_token()
        needs = sorted(self._needs(first))
        group = self._in_lane(group)
        order = self._order(group, token, last)
        facts = {
            "scheduler": self.options.scheduler,
            "profile": {"name": self.options.profile.name, "hash": self.options.profile.hash},
            "dependency": group.dependency,
        }
        intended = list(zip(group.stages, self._intend(group, token, facts), strict=True))
        folder = self.run.logs.resolve() if group.indices else first.run.logs.resolve()
        try:
            work = [stage.job for stage in group.stages]
            number = self._scheduler.submit(folder, order, work, self.say)
        except SchedulerError as error:
            lost = isinstance(error, Unreachable)
            end, why = submissions.unanswered if lost else submissions.refused, str(error)
            together.each(lambda pair: end(pair[0].run, pair[1], why), intended)
            if not lost:
                for path in folder.glob(f"{token}*"):
                    path.unlink(missing_ok=True)
            raise
        ids = together.each(
            lambda pair: submissions.accepted(pair[0].run, pair[1], number), intended
        )
        self._jobs |= {id(s): job_id for s, job_id in zip(group.stages, ids, strict=True)}
        waits = f", after {', '.join(needs)}" if needs else ""
        count = f" ({len(group.stages)} tasks)" if group.indices else ""
        name = status.display_name(self.run if group.indices else first.run, self.runs)
        self.say(f"{name} {first.name}: job {number}{count}{'' if group.indices else waits}")
        self._go_on(group, folder, token)
        if not group.indices and not needs:
            self._lane.append(self._jobs[id(first)])

    def _in_lane(self, group: Group) -> Group:
        """Of a sweep whose runs are jobs of their own, no more than `max_running` at a time: what
        waits for no stage waits for the job so many places before it, however that ends.
        """
        at_once, single = self.options.max_running, self.run.is_sweep and not group.indices
        if not single or not at_once or group.dependency or len(self._lane) < at_once:
            return group
        return replace(group, dependency=self._scheduler.after_any([self._lane[-at_once]]))

    def _go_on(self, group: Group, folder: Path, token: str) -> None:
        """Submit the chain of a training, whose last job is the one that others wait for."""
        stage = group.stages[0]
        if self.options.chain and stage.name == Train.stage:
            job_id, count = self._jobs[id(stage)], self.options.chain
            if chain := self._scheduler.go_on_with(folder, token, job_id, count, self.say):
                self._jobs[id(stage)] = chain[-1]
                self.say(f"{stage.name}: {', '.join(chain)} go on in turn")

    def _intend(self, group: Group, token: str, facts: dict[str, Any]) -> list[dict[str, Any]]:
        """Record that the stages are about to be submitted; the first one before all others, so
        that of two clients at it one goes on.
        """
        made: dict[int, dict[str, Any]] = {}  # by the stage's place in the group

        def intend(place: int) -> None:
            stage, index = group.stages[place], (group.indices or (None,))[place]
            seen = (self._seen[id(stage)] or {}).get("number", 0)
            made[place] = submissions.intend(stage.run, stage.name, seen, token, index, **facts)

        places = range(len(group.stages))
        try:
            intend(0)
            together.each(intend, places[1:])
        except RunError as error:
            for place, intent in made.items():
                submissions.refused(group.stages[place].run, intent, str(error))
            raise
        self._seen |= {id(group.stages[place]): made[place] for place in places}
        return [made[place] for place in places]

    def _order(self, group: Group, token: str, last: bool) -> Order:
        first, options = group.stages[0], self.options
        wanted = options.profile.for_stage(first.name, options.flags)
        if wanted.cpus_per_task is None:
            threads = max(stage.run.threads for stage in group.stages)
            wanted = replace(wanted, cpus_per_task=threads)
        environment = {TOKEN: token, RETRIES: str(options.profile.retries)}
        if self._scheduler.renumbers:
            environment[followers.ROOT] = str(self.run.path.resolve())
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
        numbers = {self._scheduler.split_id(job_id)[0] for job_id in self._jobs.values()}
        name = status.display_name(self.run, self.runs)
        ordered = ", ".join(sorted(numbers, key=lambda number: (len(number), number)))
        told = f"jobs {ordered}" if numbers else "nothing to submit"
        self.say(f"{name}: {told}; {finished} of {len(graph)} stages finished")
