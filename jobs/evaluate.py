"""The job that measures a pipeline's GAN."""

from dataclasses import dataclass

from jobs import records, trained, views
from jobs.measuring import measure
from jobs.measuring.judge import Judge
from jobs.measuring.sampled import Sampled
from jobs.stage import Context, Result, StageJob


@dataclass(frozen=True)
class Evaluate(StageJob):
    """Accuracies, distances and what goes with them; the pipeline's classifier is the judge."""

    stage = "evaluate"

    def work(self, context: Context) -> Result:
        run, members = context.run, context.run.members()
        published = views.of(run).published
        if published:
            published.check()  # before minutes of work
        records.require(members["gan"], "sample")
        judge = Judge(trained.load(members["classifier"]), context.stop.reason)
        model = trained.load(members["gan"], judge.model.data)
        result = measure.measure(Sampled(model, judge, run, "gan", published=published))
        context.say(measure.summary(result.figures))
        return result
