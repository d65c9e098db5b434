"""Is everything as it was written? Every file of a run against what was recorded of it."""

from gan.config import ACGANConfig
from jobs import records
from jobs.pipeline import stages
from jobs.run import Run


def problems(run: Run) -> list[str]:
    """What is wrong in a run or pipeline, a line each; empty if all is well."""
    found: list[str] = []
    for member in run.members().values():
        found += member.store().problems()
        if isinstance(member.config(), ACGANConfig):
            found += _sample_problems(member)
    for stage in stages(run):
        record = records.completion(stage.run, stage.name)
        if record:
            found += records.problems(stage.run, record)
    return list(dict.fromkeys(found))  # a damaged file may be named twice


def _sample_problems(run: Run) -> list[str]:
    from gan import samples

    found = []
    for path in (run.path / "samples.h5", run.generated_file):
        if path.exists():
            try:
                samples.read(path)
            except samples.SamplesError as error:
                found.append(str(error))
    return found
