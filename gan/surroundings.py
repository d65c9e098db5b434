"""What the training loop is given beside its config: where its products go, and who listens."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from checkpoints import Store
from gan.samples import SampleStore


@dataclass(frozen=True)
class Progress:
    """Where training is, for whoever watches."""

    step: int
    total_steps: int
    epoch: int  # from 1
    epochs: int
    steps_per_second: float  # of this attempt; 0 while unknown
    phase: str  # "training", "evaluating", "sampling"


@dataclass(frozen=True)
class Outputs:
    """Where a run's products go."""

    checkpoints: Store
    samples: SampleStore
    scalars: Path  # folder of TensorBoard's event files
    figures: Path  # folder


@dataclass(frozen=True)
class Hooks:
    """How the loop and its surroundings talk to each other.

    `stop` is asked often, is told how many seconds a save may take, and answers with a reason once
    training must end. `report` hears of progress, `say` of events, in words.
    """

    stop: Callable[[float], str | None] = lambda save_s: None
    report: Callable[[Progress], None] = lambda progress: None
    say: Callable[[str], None] = print
