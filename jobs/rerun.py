"""A training in a process of its own that is interrupted at a certain step, or noted down.

`python -m jobs.rerun RUN` trains to the end; with `--at STEP --signal NAME` the process gets that
signal right after that step; with `--trace FILE` it notes every operation of the first steps.
`jobs.resuming` starts these and compares what they leave.
"""

import argparse
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.run import Run
from jobs.train import Train

if TYPE_CHECKING:
    from gan.trainer import Trainer


@dataclass(frozen=True)
class Interrupted(Train):
    """Training whose process sends itself a signal after step `at`; 0: never."""

    at: int = 0
    number: int = signal.SIGTERM

    def make_loop(self, *parts: Any) -> "Trainer":
        from gan import trainer

        at, number = self.at, self.number

        class Interrupting(trainer.Trainer):
            def train_step(self) -> None:
                super().train_step()
                if self.step == at:
                    os.kill(os.getpid(), number)

        return Interrupting(*parts)


def generate(run: Run) -> None:
    """The final images, as the stage `sample` makes them, without its pictures."""
    import numpy as np

    from checkpoints import files
    from gan import samples
    from jobs import trained
    from jobs.sample import generate as final

    model = trained.load(run)
    images, labels = final(model, run.config().train.final_samples, lambda: None)
    content = samples.pack_bytes(images[None], labels, np.array([model.model.step]), {})
    files.write_bytes(run.generated_file, content)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--at", type=int, default=0)
    parser.add_argument("--signal", default="TERM")
    parser.add_argument("--trace", type=Path)
    parser.add_argument("--steps", type=int, default=1)
    given = parser.parse_args()
    run = Run(given.run)
    if given.trace:
        from jobs import operations

        operations.trace(run, given.trace, given.steps)
        return 0
    cause = Interrupted(given.run, at=given.at, number=signal.Signals[f"SIG{given.signal}"])()
    if cause == "finished" and run.config().generates:
        generate(run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
