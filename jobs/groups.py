"""Which stages are submitted together, and what each group of them waits for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from jobs.pipeline import Stage
from slurm import chain
from slurm.scheduler import Scheduler


@dataclass(frozen=True)
class Group:
    """Stages of one submission: one job, or an array with an index for each."""

    stages: tuple[Stage, ...]
    indices: tuple[int, ...] = ()  # empty: a job by itself
    dependency: str = ""

    def halves(self) -> tuple["Group", "Group"]:
        half = len(self.stages) // 2
        return (
            replace(self, stages=self.stages[:half], indices=self.indices[:half]),
            replace(self, stages=self.stages[half:], indices=self.indices[half:]),
        )


def waves(graph: list[Stage], missing: list[Stage]) -> list[list[Stage]]:
    """The missing stages of a sweep by name, in the order of the whole graph: what waits for
    another stage comes after it, even if some runs miss only what comes last.
    """
    found: dict[str, list[Stage]] = {stage.name: [] for stage in graph}
    for stage in missing:
        found[stage.name].append(stage)
    return [wave for wave in found.values() if wave]


def singles(
    stages: Iterable[Stage], needs: Callable[[Stage], list[str]], scheduler: Scheduler
) -> list[Group]:
    """One job for each stage; `needs` are the ids of the jobs that it waits for."""
    return [Group((stage,), (), scheduler.after(needs(stage))) for stage in stages]


def arrays(
    wave: list[Stage], needs: Callable[[Stage], list[str]], scheduler: Scheduler
) -> list[Group]:
    """Arrays whose tasks wait for the tasks of the same index; else one job for each stage."""
    found: dict[tuple[str, ...], list[tuple[int | None, Stage]]] = {}
    single = []
    for stage in wave:
        before = [scheduler.split_id(job_id) for job_id in needs(stage)]
        if len({index for _, index in before}) > 1 or (before and before[0][1] is None):
            single.append(stage)
            continue
        key = tuple(sorted({number for number, _ in before}))
        found.setdefault(key, []).append((before[0][1] if before else None, stage))
    largest = scheduler.largest_array() if found else 0
    if not largest:  # this cluster takes no arrays
        return singles(wave, needs, scheduler)
    groups = []
    for key, members in found.items():
        for chunk in chain.chunks(members, largest):
            indices = tuple(place if i is None else i for place, (i, _) in enumerate(chunk))
            dependency = scheduler.after_corresponding(key)
            groups.append(Group(tuple(stage for _, stage in chunk), indices, dependency))
    return groups + singles(single, needs, scheduler)
