"""Figures that compare sets of images, on what a judge sees of them.

The judge is a classifier of one's own, or the Inception network that published figures stand on
(`gan.metrics.inception`). Only with the latter are they called FID and IS: figures on other
features can be compared with figures on the same features alone.
"""

from gan.metrics.comparison import Beside, Comparison, beside_floor, by_class, compare
from gan.metrics.distance import Distances, distances
from gan.metrics.history import History, over_training, snapshots
from gan.metrics.judging import Judged, Look, judged, look_of
from gan.metrics.learning import (
    ClassificationScore,
    Labelled,
    Learned,
    Lesson,
    School,
    classification_score,
)
from gan.metrics.overlap import Support, support
from gan.metrics.score import Score, class_score

__all__ = [
    "Beside", "ClassificationScore", "Comparison", "Distances", "History", "Judged", "Labelled",
    "Learned", "Lesson", "Look", "School", "Score", "Support", "beside_floor", "by_class",
    "class_score", "classification_score", "compare", "distances", "judged", "look_of",
    "over_training", "snapshots", "support",
]  # fmt: skip
