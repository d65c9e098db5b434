"""When a kill is to come: each moment is waited for, and then for some random time more."""

import signal
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.kills import tree
from benchmarks.kills.scene import Scene
from jobs import records
from jobs.train import Train

STARTING, TRAINING, SAVING, SAMPLING = "start-up", "training", "saving", "sampling"
HAND_OVER, BETWEEN = "hand-over", "between stages"
STAGES = ("sample", "evaluate", "visualize", "report")
PHASES = (STARTING, TRAINING, SAVING, SAMPLING, HAND_OVER, *STAGES, BETWEEN)

_SAVING_S = 0.02  # what a save takes, once its folder is there
_SAMPLING_S = 0.05
_STOPPING_S = 1.5  # from SIGTERM to the end of all processes, about


def while_starting(scene: Scene) -> bool:
    return scene.wait_for(scene.chance.uniform(0.05, scene.startup_s))


def while_training(scene: Scene) -> bool:
    return scene.wait_for_training() and scene.wait_for(scene.chance.uniform(0, scene.productive_s))


def while_saving(scene: Scene) -> bool:
    if not scene.wait_for_training():
        return False
    scene.wait_for(scene.chance.uniform(0, scene.productive_s / 2))
    before = scene.aside()  # what earlier kills have left
    found = scene.wait(lambda: bool(scene.aside() - before) or not scene.trains(), 0.001)
    return found and scene.wait_for(scene.chance.uniform(0, _SAVING_S))


def while_sampling(scene: Scene) -> bool:
    if not scene.wait_for_training():
        return False
    found = scene.wait(lambda: scene.sampling() or not scene.trains(), 0.002)
    return found and scene.wait_for(scene.chance.uniform(0, _SAMPLING_S))


def while_handing_over(scene: Scene) -> bool:
    """It is told to stop, as before a limit or a preemption, and saves: False if it is faster."""
    if not scene.wait_for_training():
        return False
    scene.wait_for(scene.chance.uniform(0, scene.productive_s / 2))
    scene.wounded = True
    if scene.scenario.ranks > 1:
        tree.tell_all(scene.mark, signal.SIGTERM)
    elif scene.process:
        scene.process.terminate()
    return scene.wait_for(scene.chance.uniform(0, _STOPPING_S))


def let_through(scene: Scene) -> bool:
    """No kill: a stage more comes to its end."""
    left = len(list(scene.unfinished()))
    scene.wait(lambda: len(list(scene.unfinished())) < left)
    return False


Moment = Callable[[Scene], bool]
DURING_TRAINING: dict[str, tuple[Moment, float]] = {  # with weights
    STARTING: (while_starting, 3),
    TRAINING: (while_training, 3),
    SAVING: (while_saving, 3),
    SAMPLING: (while_sampling, 2),
    HAND_OVER: (while_handing_over, 2),
}


@dataclass(frozen=True)
class WhileFollowing:
    """Within a stage that comes after training, whose attempts take `seconds`."""

    stage: str
    seconds: float

    def __call__(self, scene: Scene) -> bool:
        if not scene.wait(lambda: self._begun(scene) or self._done(scene)):
            return False
        end = scene.chance.uniform(0, self.seconds)
        return not self._done(scene) and scene.wait_for(end)

    def _begun(self, scene: Scene) -> bool:
        return any(stage.name == self.stage for stage, _ in scene.live())

    def _done(self, scene: Scene) -> bool:
        return all(stage.name != self.stage for stage in scene.unfinished())


def phase(scene: Scene, wanted: str) -> str:
    """What the run is doing right now; of several stages at once the `wanted` one."""
    if wanted == HAND_OVER:
        return HAND_OVER
    live = {stage.name for stage, _ in scene.live()}
    if Train.stage in live:
        if scene.sampling():
            return SAMPLING
        return TRAINING if scene.progresses() else STARTING
    if live:
        return wanted if wanted in live else sorted(live)[0]
    begun = any(records.completion(stage.run, stage.name) for stage in scene.graph)
    return BETWEEN if begun else STARTING
