"""The job that packs the samples of training and generates the final ones."""

from dataclasses import dataclass

import numpy as np

from jobs import trained
from jobs.stage import Context, Result, StageJob, Stopped
from jobs.train import provenance


@dataclass(frozen=True)
class Sample(StageJob):
    stage = "sample"

    def work(self, context: Context) -> Result:
        from checkpoints import files
        from gan import evaluation, rng, samples

        run = context.run
        model = trained.load(run)
        assert model.variant.sampler is not None, "only runs with a generator have this stage"
        attributes = provenance(run)
        store = samples.SampleStore(run.path, attributes, context.attempt.guard)
        packed = store.pack()
        config = run.config()
        labels = model.variant.asked(config.train.final_samples)
        draws = rng.Draws(config.seed, 0, model.device)
        noise = model.variant.noise(labels, rng.Stream.SAMPLE, draws)
        try:
            images = evaluation.generate(model.variant.sampler, noise, context.stop.reason)
        except evaluation.Interrupted:
            raise Stopped(context.stop.reason()) from None
        step = np.array([model.checkpoint.step])
        attributes |= {"weights_sha256": model.checksum}
        content = samples.pack_bytes(images[None], labels.cpu().numpy(), step, attributes)
        files.write_bytes(run.generated_file, content)
        context.say(f"packed {len(packed.steps)} snapshots, generated {len(images)} images")
        figures = {"snapshots": len(packed.steps), "generated": len(images)}
        return Result([store.file, run.generated_file], figures)
