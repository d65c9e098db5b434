"""For `slurm/scripts/run.sbatch`: a run whose stages come one after the other in one job.

`python -m jobs.work NAME [overrides]` creates the run's folder, or finds it, writes a pickle for
each stage that is not finished, and prints the folder of these pickles. The script has exported the
job's place (see `jobs.ranks.here`), and its cores as GANYMEDE_CORES.
"""

import os
import sys
from pathlib import Path

from submitit.core.utils import DelayedSubmission

from jobs import cli, ranks, records
from jobs.pipeline import stages


def lay_out(arguments: list[str]) -> Path:
    """The folder that holds JOB.00-train.pkl and its followers, in their order."""
    place, cores = ranks.here(), os.environ.get("GANYMEDE_CORES", "1")
    run, _ = cli.prepare([*arguments, "--on", str(place.scheduler), "--cpus-per-task", cores])
    graph, folder = stages(run), run.logs.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for marked in {stage.run.path: stage.run for stage in graph}.values():
        if not place.goes_on:  # asked for anew, by a person
            marked.cancel_file.unlink(missing_ok=True)
    for number, stage in enumerate(graph):
        path = folder / f"{place.job_id}.{number:04d}-{stage.name}.pkl"
        path.unlink(missing_ok=True)
        if not records.completion(stage.run, stage.name):
            DelayedSubmission(stage.job).dump(path)
    return folder


def main() -> int:
    print(lay_out(sys.argv[1:]))
    return 0


if __name__ == "__main__":
    sys.exit(cli.guarded(main))
