"""Any order of what a scheduler does to a run: no two that write, nothing lost, never stuck."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from events import World
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Part
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from rota import Job, kill_process

from gan.config import ACGANConfig
from jobs import records
from jobs.pipeline import prepare
from jobs.records import Attempt
from jobs.run import Run
from slurm.scheduler import Phase

EXAMPLES = int(os.environ.get("GANYMEDE_EVENTS", "60"))  # make events: thousands
_MOST_STARTS = 40
_ANY = st.integers(0, 7)
_WHILE = st.one_of(st.integers(1, 12), st.integers(1, 80), st.just(100_000))  # file operations


def _has(*phases: Phase) -> Callable[["Events"], bool]:
    """Whether there is a job that is so far."""
    return lambda machine: any(job.phase in phases for job in machine.world.rota.queue.values())


class Events(RuleBasedStateMachine):
    """Everything that happens is a rule; `kind` says which jobs or processes it may happen to."""

    template: Path
    number = 0

    def __init__(self) -> None:
        super().__init__()
        Events.number += 1
        self.folder = self.template.parent / f"example-{Events.number}"
        shutil.copytree(self.template, self.folder / "gan")
        self.patch = pytest.MonkeyPatch()
        self.world = World(Run(self.folder / "gan"), self.patch)

    @initialize(operations=_WHILE)
    def somebody_submits_it(self, operations: int) -> None:
        self.world.launch().advance(operations)

    @rule(operations=_WHILE)
    def launched_again(self, operations: int) -> None:
        self.world.launch().advance(operations)

    @precondition(lambda self: self.world.actors)
    @rule(which=_ANY, operations=_WHILE)
    def goes_on(self, which: int, operations: int) -> None:
        actors = self.world.actors
        actors[which % len(actors)].advance(operations)

    @precondition(lambda self: self.world.ready)
    @rule(which=_ANY, operations=_WHILE)
    def started(self, which: int, operations: int) -> None:
        ready = self.world.ready
        self.world.start(ready[which % len(ready)]).advance(operations)

    @precondition(_has(Phase.WAITING))
    @rule(which=_ANY, operations=_WHILE)
    def started_before_its_time(self, which: int, operations: int) -> None:
        self.world.start(self._job(which, Phase.WAITING)).advance(operations)

    @precondition(_has(Phase.RUNNING))
    @rule(which=_ANY, operations=_WHILE)
    def started_twice(self, which: int, operations: int) -> None:
        self.world.start(self._job(which, Phase.RUNNING), twin=True).advance(operations)

    @precondition(_has(Phase.RUNNING))
    @rule(which=_ANY, meaning=st.sampled_from(["preempted", "time limit", None]))
    def told_to_stop(self, which: int, meaning: str | None) -> None:
        self.world.rota.end_by(self._job(which, Phase.RUNNING), meaning)

    @precondition(lambda self: any(actor.pid for actor in self.world.actors))
    @rule(which=_ANY)
    def killed(self, which: int) -> None:
        """Out of memory, or by hand; of launchers too."""
        found = [actor for actor in self.world.actors if actor.pid]
        kill_process(found[which % len(found)])

    @precondition(_has(Phase.RUNNING))
    @rule(which=_ANY, queued_again=st.booleans(), dead=st.booleans())
    def node_lost(self, which: int, queued_again: bool, dead: bool) -> None:
        self.world.lose_node(self._job(which, Phase.RUNNING), queued_again, dead)

    @precondition(_has(*Phase))
    @rule(which=_ANY)
    def forgotten(self, which: int) -> None:
        self.world.forget(self._job(which, *Phase))

    @rule(operations=_WHILE)
    def cancelled(self, operations: int) -> None:
        self.world.cancel().advance(operations)

    @rule(seconds=st.sampled_from([-86400.0, -3600.0, -100.0, 30.0, 200.0, 3600.0, 86400.0]))
    def clock_jumps(self, seconds: float) -> None:
        self.world.clock += seconds

    @rule(silent=st.booleans(), loses_answers=st.booleans())
    def scheduler_suffers(self, silent: bool, loses_answers: bool) -> None:
        self.world.rota.is_silent, self.world.rota.loses_answers = silent, loses_answers

    @rule()
    def looked_at(self) -> None:
        self.world.check_status()

    @invariant()
    def nothing_is_wrong(self) -> None:
        self.world.check()

    def _job(self, which: int, *phases: Phase) -> Job:
        found = [job for job in self.world.rota.queue.values() if job.phase in phases]
        return found[which % len(found)]

    def teardown(self) -> None:
        try:
            self.world.finish(_MOST_STARTS)
        finally:
            self.world.close()
            self.patch.undo()
            shutil.rmtree(self.folder)


@pytest.fixture
def machine(
    tmp_path: Path, tiny_acgan: ACGANConfig, monkeypatch: pytest.MonkeyPatch
) -> type[Events]:
    for name in os.environ:
        if name.startswith(("SLURM", "SBATCH", "GANYMEDE", "SUBMITIT", "PBS")):
            monkeypatch.delenv(name)
    prepare("acgan-digits", tiny_acgan, tmp_path / "gan", threads=1)
    return type("Events", (Events,), {"template": tmp_path / "gan"})


def go_through(machine: type[Events], examples: int = EXAMPLES, *shrink: Part) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            phases=[Part.generate, *shrink],
            stateful_step_count=30,
            deadline=None,
            derandomize="GANYMEDE_EVENTS" not in os.environ,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_order_of_events_loses_a_run(machine: type[Events]) -> None:
    go_through(machine, EXAMPLES)


def test_without_the_fence_two_attempts_write(
    machine: type[Events], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Attempt, "guard", lambda attempt: None)
    with pytest.raises(AssertionError, match=r"may write|was taken over, and wrote"):
        go_through(machine, 200)


def test_without_their_look_at_what_they_need_follow_ups_begin_too_early(
    machine: type[Events], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "require", lambda run, stage: {})
    with pytest.raises(AssertionError, match="is not finished"):
        go_through(machine, 200)
