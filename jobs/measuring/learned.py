"""What a classifier learns from a GAN's images: the classification accuracy score."""

from dataclasses import asdict
from typing import Any

from jobs.measuring.sampled import Sampled

_SMALL = 16  # pixels a side; a few passes over such images teach all there is
_STEPS, _STEPS_OF_SMALL = 600, 200


def teach(sampled: Sampled) -> dict[str, Any]:
    """Two small classifiers, of generated and of as many real images; nothing of a GAN without
    classes. Raises Interrupted.
    """
    from gan import metrics

    if not sampled.classes:
        return {}
    fakes, asked = sampled.images
    data, device, stop = sampled.model.data, sampled.model.device, sampled.judge.stop
    small = data.test_images.shape[-1] <= _SMALL
    lesson = metrics.Lesson(steps=_STEPS_OF_SMALL if small else _STEPS)
    found = metrics.classification_score(
        metrics.Labelled(fakes, asked),
        metrics.Labelled(data.train_images, data.train_labels),
        metrics.Labelled(data.test_images, data.test_labels),
        sampled.classes,
        metrics.School(device, lesson, sampled.seed, stop),
    )
    return {"classification_score": asdict(found) | {"lesson": asdict(lesson)}}
