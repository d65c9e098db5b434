"""Starts a job from its pickle, as `submitit.core._submit` does, but only from the user's own.

`python -m slurm.start FOLDER` is what every job of a run begins with.
"""

import atexit
import gc
import sys

from submitit.core import submission, utils

from slurm import pickles
from slurm.errors import SchedulerError

_REFUSED = 2


def leave_at_once() -> None:
    """Have this process end, when it does, without a last search for garbage: it looks at all that
    torch has loaded, while what comes next waits (docs/performance.md).
    """
    atexit.register(_freeze)  # registered first, it runs last


def _freeze() -> None:
    if "triton" not in sys.modules:  # some versions then report leaks in every log
        gc.freeze()


def main() -> int:
    leave_at_once()
    for name, ours in (("pickle_load", pickles.load), ("cloudpickle_dump", pickles.dump)):
        if not hasattr(utils, name):
            print(f"this version of submitit is not known: it has no {name}", file=sys.stderr)
            return _REFUSED
        setattr(utils, name, ours)  # all that submitit reads and writes goes through these two
    try:
        submission.submitit_main()
    except SchedulerError as error:
        print(error, file=sys.stderr)
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
