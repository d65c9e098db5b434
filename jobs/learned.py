"""What a classifier learns from a GAN's images: the classification accuracy score."""

from dataclasses import asdict
from typing import Any

from jobs.subject import Subject

_SMALL = 16  # pixels a side; a few passes over such images teach all there is
_STEPS, _STEPS_OF_SMALL = 600, 200


def teach(subject: Subject) -> dict[str, Any]:
    """Two small classifiers, of generated and of as many real images; nothing of a GAN without
    classes. Raises Interrupted.
    """
    from gan import metrics

    if not subject.classes:
        return {}
    fakes, asked = subject.images
    data, device, stop = subject.model.data, subject.model.device, subject.judge.stop
    small = data.test_images.shape[-1] <= _SMALL
    lesson = metrics.Lesson(steps=_STEPS_OF_SMALL if small else _STEPS)
    found = metrics.classification_score(
        metrics.Labelled(fakes, asked),
        metrics.Labelled(data.train_images, data.train_labels),
        metrics.Labelled(data.test_images, data.test_labels),
        subject.classes,
        metrics.School(device, lesson, subject.seed, stop),
    )
    return {"classification_score": asdict(found) | {"lesson": asdict(lesson)}}
