"""One attempt of a training in this process, which tells when each of its parts was done.

    python -m benchmarks.attempt_job RUN TOLD [--once]

RUN is the folder of a run that was made ready, TOLD the file that gets the moments as JSON. With
`--once` the process tells itself to stop (SIGTERM) after its first step. It is the job that a
scheduler starts; what is added are looks at the clock.
"""

import time

BEGAN = time.time()  # UTC seconds, before anything else is loaded

import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

_MOMENTS = {"interpreter": BEGAN}
_PROCESSOR = {"interpreter": time.process_time()}  # seconds that this process had one
_STEPS: dict[str, int] = {}
_NEEDLESS = ("torch._dynamo", "sklearn")  # slow to load, and no training needs them


def mark(name: str, at: float | None = None) -> None:
    _MOMENTS[name], _PROCESSOR[name] = at or time.time(), time.process_time()


def watched(function: Callable[..., Any], before: str = "", after: str = "") -> Callable[..., Any]:
    """The function, with marks before and after each call."""

    def call(*given: Any, **named: Any) -> Any:
        if before:
            mark(before)
        result = function(*given, **named)
        if after:
            mark(after)
        return result

    return call


def job(run: Path, once: bool) -> Any:
    """The training as a job that tells its moments; loads what a job loads."""
    from jobs.train import Train

    mark("command")
    import torch  # noqa: F401 - to have its part apart

    mark("torch")
    from checkpoints import Store
    from gan import data, trainer, variants  # noqa: F401

    mark("libraries")

    class Watching(trainer.Trainer):
        def restore(self) -> None:
            mark("networks")
            super().restore()
            _STEPS["from"] = self.step
            mark("state")

        def train_step(self) -> None:
            super().train_step()
            _STEPS["last"] = self.step
            mark("last", self.last_step_at)
            if "first" not in _STEPS:
                _STEPS["first"] = self.step
                mark("step", self.first_step_at)
                if once:
                    os.kill(os.getpid(), signal.SIGTERM)

    class Watched(Train):
        def make_loop(self, *parts: Any) -> trainer.Trainer:
            return Watching(*parts)

    setattr(data, "load", watched(data.load, "claim", "data"))  # noqa: B010
    setattr(Store, "commit", watched(Store.commit, after="committed"))  # noqa: B010
    return Watched(run)


def main() -> None:
    from slurm.start import leave_at_once

    run, told, *options = sys.argv[1:]
    leave_at_once()
    cause = job(Path(run), "--once" in options)()
    from checkpoints import files

    needless = [name for name in _NEEDLESS if name in sys.modules]
    moments = {"moments": _MOMENTS, "processor": _PROCESSOR, "steps": _STEPS}
    files.write_json(Path(told), {"cause": cause, "needless": needless, **moments})


if __name__ == "__main__":
    main()
