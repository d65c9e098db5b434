"""For `slurm/scripts/run.sbatch` and `run.pbs`: a run whose stages come one after the other in one
job.

`python -m jobs.work NAME [overrides]` creates the run's folder, or finds it, writes what the script
needs for each stage that is not finished, and prints the folder of that.
"""

import glob
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from submitit.core.utils import DelayedSubmission

from jobs import cli, ranks, records
from jobs.closing import RETRIES
from jobs.pipeline import Stage, stages
from jobs.train import GPUS_BOOKED, Train
from slurm import of_pbs, pickles, schedulers, succession
from slurm.orders import Order
from slurm.pbs_booking import Booking
from slurm.resources import DEFAULT_RETRIES

_SETTINGS = ("GANYMEDE_HOME", "GANYMEDE_PYTHON", "PYTHONPATH", RETRIES)  # of run.pbs
_STARTED = "GANYMEDE_STARTED"  # when the job of several attempts began, in UTC seconds


@dataclass(frozen=True)
class Work:
    """What is left to do of a run, in one job."""

    graph: list[Stage]
    folder: Path
    job_id: str

    @classmethod
    def of(cls, arguments: list[str], scheduler: str, cores: int, job_id: str) -> "Work":
        """Creates the run's folder, or finds it. Raises what `ganymede run` refuses."""
        run, _ = cli.prepare([*arguments, "--on", scheduler, "--cpus-per-task", str(cores)])
        folder = pickles.make_folder(run.logs.resolve())
        return cls(stages(run), folder, job_id)

    def uncancel(self) -> None:
        """It is asked for anew, by a person."""
        for marked in {stage.run.path: stage.run for stage in self.graph}.values():
            marked.cancel_file.unlink(missing_ok=True)

    def unfinished(self) -> Iterator[tuple[str, Stage]]:
        """The stages to do, each with a name that puts them in their order."""
        for number, stage in enumerate(self.graph):
            if not records.completion(stage.run, stage.name):
                yield f"{self.job_id}.{number:04d}-{stage.name}", stage


def lay_out_for_slurm(arguments: list[str]) -> Path:
    """The folder that holds JOB.00-train.pkl and its followers. The script has exported the job's
    place (see `jobs.ranks.here`), and its cores as GANYMEDE_CORES.
    """
    place, cores = ranks.here(), int(os.environ.get("GANYMEDE_CORES", "1"))
    work = Work.of(arguments, str(place.scheduler), cores, str(place.job_id))
    if not place.goes_on:
        work.uncancel()
    for path in work.folder.glob(f"{work.job_id}.*-*.pkl"):
        path.unlink()
    for name, stage in work.unfinished():
        pickles.dump(DelayedSubmission(stage.job), work.folder / f"{name}.pkl")
    return work.folder


def lay_out_for_pbs(arguments: list[str]) -> Path:
    """The folder that holds JOB.00-train.sh and its followers: wrappers as the launcher submits
    them, for what the job has booked; a successor starts the script with the same arguments.
    """
    booking, job_id = Booking.mine(), os.environ["PBS_JOBID"]
    wanted, home = booking.resources, Path(os.environ["GANYMEDE_HOME"])
    work = Work.of(arguments, "pbs", wanted.cpus_per_task or 1, job_id)
    earlier = list(work.folder.glob(f"{glob.escape(job_id)}.*-*.sh"))  # of this job, as it began
    if not earlier and "GANYMEDE_LINE" not in os.environ:
        work.uncancel()
    for path in earlier:
        path.unlink()
    environment = {RETRIES: os.environ.get(RETRIES, str(DEFAULT_RETRIES))}
    environment[_STARTED] = os.environ[_STARTED]
    if wanted.gpus_per_node:
        environment[GPUS_BOOKED] = str(wanted.gpus_per_node)
    settings = [f"{name}={os.environ[name]}" for name in _SETTINGS if name in os.environ]
    started = ("/bin/bash", str(home / "slurm/scripts/run.pbs"), *arguments)
    executable = ("/usr/bin/env", *settings, *started)
    for name, stage in work.unfinished():
        booked = wanted if stage.name == Train.stage else replace(wanted, nodes=1, tasks_per_node=1)
        order = Order("ganymede", name, booked, environment=environment)
        of_pbs.write(order, work.folder, [stage.job])
        options = booking.options(work.folder)
        succession.write_options(work.folder / f"{name}.sh", options, executable)
    return work.folder


def main() -> int:
    scheduler = schedulers.inside()
    lay_out = lay_out_for_pbs if scheduler and scheduler.name == "pbs" else lay_out_for_slurm
    print(lay_out(sys.argv[1:]))
    return 0


if __name__ == "__main__":
    sys.exit(cli.guarded(main))
