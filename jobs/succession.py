"""After an attempt under PBS: record an end that nobody else could, and see that the run goes on.

`python -m jobs.succession PICKLE --status N` is the last thing that a job does, and its exit status
is the job's: 0 if its stage is finished, or goes on as another job. With any other one PBS deletes
what waits for the job.
"""

import os
import signal
import sys
from pathlib import Path

from jobs import followers
from jobs.closing import Given
from jobs.stage import EXIT_REQUEUE, say
from slurm import pbs_states, pickles, qsub, succession
from slurm.errors import SchedulerError
from slurm.orders import TOKEN

_TOLD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def conclude(wish: str, status: int) -> int:
    """The exit status of a job whose attempt has ended so."""
    if wish == "finished":
        if root := os.environ.get(followers.ROOT):
            followers.restore(root, say)
        return 0
    if wish == "requeue" and goes_on():
        return 0
    return status or 1


def goes_on() -> bool:
    """See that another job goes on; whether one does."""
    job_id, token = os.environ["PBS_JOBID"], os.environ[TOKEN]
    try:
        mine = qsub.details([job_id]).get(job_id, {})
        if pbs_states.is_rerun(mine):
            say("PBS itself queues this job again")
            return False  # and lets nothing go that waits for it
        live = qsub.jobs(ended=()).values()
        waiting = [state for state in live if state.token == token and state.is_waiting]
        if heirs := [state.job_id for state in waiting if not state.is_stuck]:
            say(f"job {heirs[0]} waits already, and goes on")
            return True
        qsub.cancel(state.job_id for state in waiting)  # of a chain that somebody has broken
        script = Path(os.environ[succession.SCRIPT])
        for path in (script, succession.options_file(script)):
            pickles.require_private(path)
        succession.hand_over(say)
        return True
    except SchedulerError as error:
        say(
            f"no job goes on by itself ({error}): give the same command again, or ganymede resume; "
            "where jobs may not submit jobs, with --chain"
        )
        return False


def main() -> int:
    for number in _TOLD:  # the time for this is short, and these have been understood
        signal.signal(number, signal.SIG_IGN)
    given = Given.parse(__doc__)
    # A job that wants to go on has recorded its end itself.
    wish = "requeue" if given.status == EXIT_REQUEUE else given.close()
    return conclude(wish, given.status)


if __name__ == "__main__":
    sys.exit(main())
