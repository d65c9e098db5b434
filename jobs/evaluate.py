"""The job that measures a pipeline's GAN."""

from dataclasses import dataclass

from jobs import records, trained
from jobs.measuring import measure
from jobs.stage import Context, Result, StageJob


@dataclass(frozen=True)
class Evaluate(StageJob):
    """Accuracies and distances of the GAN; the pipeline's classifier is the judge."""

    stage = "evaluate"

    def work(self, context: Context) -> Result:
        members = context.run.members()
        records.require(members["gan"], "sample")
        judge = measure.Judge(trained.load(members["classifier"]), context.stop.reason)
        model = trained.load(members["gan"], judge.model.data)
        figures = measure.measure(model, judge)
        context.say(measure.summary(figures))
        return Result(figures=figures)
