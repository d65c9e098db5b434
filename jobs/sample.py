"""The job that packs the samples of training, generates the final ones, and draws from both."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gan import stored
from jobs import trained
from jobs.sampling import latent, over_time
from jobs.sampling.album import Album
from jobs.stage import Context, Result, StageJob, Stopped

_COLOURS = (1, 3)  # channels of a picture; points have two


@dataclass(frozen=True)
class Sample(StageJob):
    stage = "sample"

    def work(self, context: Context) -> Result:
        from checkpoints import files
        from gan import evaluation, samples

        run = context.run
        model = trained.load(run)
        attributes = stored.provenance(run.settings())
        store = samples.SampleStore(run.path, attributes, context.attempt.guard)
        packed = store.pack()
        count = run.config().train.final_samples
        images, labels = generate(model, count, context.stop.reason)
        step = np.array([model.model.step])
        attributes |= {"weights_sha256": model.checksum}
        content = samples.pack_bytes(images[None], labels, step, attributes)
        files.write_bytes(run.generated_file, content)
        context.say(f"packed {len(packed.steps)} snapshots, generated {len(images)} images")
        album = Album(model, context.stop.reason)
        try:
            over_time.draw(album, packed, images)
            if images.shape[-1] in _COLOURS:
                latent.draw(album)
        except evaluation.Interrupted:
            raise Stopped(context.stop.reason()) from None
        for line in album.left_out:
            context.say(f"left out: {line}")
        made, counts = album.result, {"snapshots": len(packed.steps), "generated": len(images)}
        outputs = [store.file, run.generated_file, *made.outputs]
        return replace(made, outputs=outputs, figures=counts | made.figures)


def generate(
    model: trained.Trained, count: int, stop: Callable[[], str | None]
) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` images (count, H, W, C) uint8 of a finished run, and the labels asked for.

    A function of the run's seed: more of them begin with the same ones. Raises Stopped.
    """
    from gan import evaluation

    wanted = model.model.request(count, seed=model.run.config().seed)
    try:
        images = wanted.pictures(model.variant, stop)
    except evaluation.Interrupted:
        raise Stopped(stop()) from None
    return images, wanted.labels(model.variant).numpy()
