"""The job that packs the samples of training and generates the final ones."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan import stored
from jobs import trained
from jobs.stage import Context, Result, StageJob, Stopped

INTERPOLATION = "interpolation.png"  # among the run's figures
_STRIPS, _STEPS = 8, 10
_COLOURS = (1, 3)  # channels of a picture; points have two


@dataclass(frozen=True)
class Sample(StageJob):
    stage = "sample"

    def work(self, context: Context) -> Result:
        from checkpoints import files
        from gan import samples

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
        outputs = [store.file, run.generated_file]
        if images.shape[-1] in _COLOURS:
            outputs.append(_draw_strips(model, attributes | {"step": model.model.step}))
        return Result(outputs, {"snapshots": len(packed.steps), "generated": len(images)})


def _draw_strips(model: trained.Trained, notes: dict[str, str | int]) -> Path:
    """What lies between two noise vectors, a strip for each of several pairs."""
    from gan.visual import grids, origin
    from gan.visual.interpolation import Walk

    walk = Walk(_STRIPS, _STEPS, seed=model.run.config().seed)
    pictures = walk.pictures(model.variant)  # (rows, steps, H, W, C)
    path = model.run.figures / INTERPOLATION
    images = pictures.reshape(-1, *pictures.shape[2:])
    grids.save(path, images, _STEPS, origin.GENERATED.notes(notes))
    return path


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
