"""submitit's local executor with private pickles; its jobs begin with `slurm.start`."""

import shlex
import uuid
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import DelayedSubmission

from slurm import pickles


class LocalExecutor(submitit.LocalExecutor):  # type: ignore[misc]
    """Starts jobs as processes of this machine; `folder` must be this user's (SchedulerError)."""

    def __init__(self, folder: Path) -> None:
        super().__init__(pickles.make_folder(folder))

    def _internal_process_submissions(
        self, delayed_submissions: list[DelayedSubmission]
    ) -> list["submitit.LocalJob[Any]"]:
        started = []
        for delayed in delayed_submissions:
            path = Path(self.folder) / f"{uuid.uuid4().hex}.pkl"
            delayed.set_timeout(self.parameters["timeout_min"], self.max_num_timeout)
            pickles.dump(delayed, path)
            job = self._submit_command(self._submitit_command_str)
            job.paths.move_temporary_file(path, "submitted_pickle")  # which the job waits for
            started.append(job)
        return started

    @property
    def _submitit_command_str(self) -> str:
        return f"{self.python} -u -m slurm.start {shlex.quote(str(self.folder))}"
