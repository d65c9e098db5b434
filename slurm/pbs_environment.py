"""A submitit function inside a PBS job: its place, and what it does when a signal comes."""

import os
import signal
from collections.abc import Callable, Sequence
from types import FrameType
from typing import ClassVar

from submitit.core import job_environment, logger
from submitit.core.utils import DelayedSubmission, JobPaths

from slurm import qsub, succession
from slurm.errors import SchedulerError

Handler = Callable[[int, FrameType | None], None]  # of a signal


class PBSJobEnvironment(job_environment.JobEnvironment):  # type: ignore[misc]
    """A rank's place, as `slurm.launch` tells it."""

    _env: ClassVar[dict[str, str]] = {
        "job_id": "SUBMITIT_PBS_JOB_ID",
        "num_tasks": "SUBMITIT_PBS_NUM_TASKS",
        "num_nodes": "SUBMITIT_PBS_NUM_NODES",
        "node": "SUBMITIT_PBS_NODE",
        "global_rank": "SUBMITIT_PBS_GLOBAL_RANK",
        "local_rank": "SUBMITIT_PBS_LOCAL_RANK",
    }

    @property
    def hostnames(self) -> Sequence[str]:
        return (os.environ.get("SUBMITIT_PBS_HOSTS") or str(self.hostname)).split(",")

    def _handle_signals(self, paths: JobPaths, submission: DelayedSubmission) -> None:
        super()._handle_signals(paths, submission)
        handler = job_environment.SignalHandler(self, paths, submission)
        is_busy = False

        def once(handle: Handler) -> Handler:
            """A second signal would find the file that the first is writing, and call that an
            error; what ends the process in the end counts for both.
            """

            def told(number: int, frame: FrameType | None) -> None:
                nonlocal is_busy
                if is_busy:
                    handler.bypass(number, frame)
                    return
                is_busy = True
                handle(number, frame)
                is_busy = False

            return told

        def terminated(number: int, frame: FrameType | None) -> None:
            """PBS deletes the job, or queues it again by itself, under its id."""
            if not hasattr(submission.function, "checkpoint"):
                handler.bypass(number, frame)
            elif self.global_rank == 0 and _made_room():
                handler.checkpoint_and_try_requeue(number, frame)
            else:
                handler.checkpoint_and_exit(number, frame)

        signal.signal(signal.SIGTERM, once(terminated))
        signal.signal(self._usr_sig(), once(handler.checkpoint_and_try_requeue))

    def _requeue(self, countdown: int) -> None:
        """Submit the job that goes on in this one's place."""
        say = logger.get_logger().info
        if qsub.is_being_rerun(os.environ["PBS_JOBID"]):
            say("PBS itself queues this job again")
            return
        say(f"going on as another job ({countdown} remaining timeouts)")
        succession.hand_over(say=say)


def _made_room() -> bool:
    """Whether PBS has deleted this job for a more urgent one. Nobody else wants it gone."""
    try:
        return qsub.is_deleted_by_scheduler(os.environ["PBS_JOBID"])
    except SchedulerError as error:
        logger.get_logger().warning(f"{error}: taken for cancelled")
        return False
