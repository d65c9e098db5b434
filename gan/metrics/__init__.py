"""Figures that compare sets of images, on what a judge sees of them.

The judge is a classifier of one's own, or the Inception network that published figures stand on
(`gan.metrics.inception`). Only with the latter are they called FID and IS: figures on other
features can be compared with figures on the same features alone.
"""

from gan.metrics.distance import Distances, distances
from gan.metrics.overlap import Support, support
from gan.metrics.score import Score, class_score

__all__ = ["Distances", "Score", "Support", "class_score", "distances", "support"]
