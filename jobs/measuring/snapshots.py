"""The figures of a run's snapshots: whether it still got better, and when it was best."""

from typing import Any

from jobs.measuring.judge import Judge
from jobs.measuring.sampled import Sampled
from jobs.stage import Result

_MOST = 20  # snapshots, the first and the last among them
HISTORY = "history.svg"


def follow(sampled: Sampled) -> Result:
    """The curves, as numbers and as a picture; nothing of fewer than two snapshots, or of some too
    small to be compared. Raises Interrupted.
    """
    from checkpoints import files
    from gan import metrics, samples
    from gan.config import FEWEST_COMPARED
    from gan.metrics.history import PANELS
    from gan.visual import curves

    stored = samples.read(samples.SampleStore(sampled.model.run.path, {}).file)
    if len(stored.steps) < 2 or len(stored.labels) < FEWEST_COMPARED:
        return Result()
    judge: Judge = sampled.judge
    seen = (
        (step, judge.see(images, labels))
        for step, images, labels in metrics.snapshots(stored, _MOST)
    )
    found = metrics.over_training(seen, judge.training, judge.held_out, judge.stop)
    path = sampled.picture(HISTORY)
    files.write_bytes(path, curves.draw(found.curves(), PANELS))
    values: dict[str, Any] = {name: list(map(float, y)) for name, (_, y) in found.curves().items()}
    facts = {"steps": list(found.steps), "images": found.count} | values
    return Result([path], {"history": facts, "snapshot_images": found.count})
