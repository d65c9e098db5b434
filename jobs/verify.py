"""Is everything as it was written? Every file of a run against what was recorded of it."""

from jobs import records
from jobs.pipeline import Stage, stages
from jobs.run import Run, RunError


def problems(run: Run) -> list[str]:
    """What is wrong in a run or pipeline, a line each; empty if all is well."""
    found: list[str] = []
    for member in run.members().values():
        found += member.store().problems()
        if member.config().generates:
            found += _sample_problems(member)
    for stage in stages(run):
        found += record_problems(stage)
    return list(dict.fromkeys(found))  # a damaged file may be named twice


def record_problems(stage: Stage) -> list[str]:
    """Records of one stage that cannot be read, and files that are not as it left them."""
    try:
        for number in records.numbers(stage.run, stage.name):
            records.read(stage.run.attempt_file(stage.name, number))
        record = records.completion(stage.run, stage.name)
        return records.problems(stage.run, record) if record else []
    except RunError as error:
        return [str(error)]


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
