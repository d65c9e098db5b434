"""A share of the training images, for learning with few labels."""

import numpy as np
from numpy.typing import NDArray

# As with the split: the same images in every run, whatever its seed.
_SHARE_SEED = 352


def count(total: int, classes: int, share: float) -> int:
    """How many of `total` training images the share has: at least one for each class."""
    return min(total, max(classes, round(share * total)))


def rows(labels: NDArray[np.int64], kept: int) -> NDArray[np.intp]:
    """Which `kept` of the images (N,) stay, ascending: as many of each class as it has of all.

    There is one order of the images, of which every share is a beginning, so that the smaller of
    two shares is a part of the larger. It deals out the classes evenly: an image's place is how far
    it comes in its own (shuffled) class, from 0 to 1. The first of all classes lead.
    """
    shuffled = np.random.Generator(np.random.Philox(key=_SHARE_SEED)).permutation(len(labels))
    places = np.empty(len(labels))
    for label in np.unique(labels):
        mine = shuffled[labels[shuffled] == label]
        places[mine] = np.arange(len(mine)) / len(mine)
    return np.sort(np.lexsort((labels, places))[:kept])
