"""Networks applied to images, for the figures: what a discriminator, or a judge, sees of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from jobs.stage import Stopped
from jobs.trained import Trained

if TYPE_CHECKING:
    import numpy as np

    from gan.data.sources import ImageSource
    from gan.metrics import Judged

Stop = Callable[[], str | None]  # why to stop, or None


@contextmanager
def stoppable(stop: Stop) -> Iterator[None]:
    """Within it, what the library broke off because `stop` said so is told as Stopped."""
    from gan import evaluation

    try:
        yield
    except evaluation.Interrupted:
        raise Stopped(stop()) from None


@dataclass
class Applied:
    """A trained network that names classes, applied to arrays of images (N, C, S, S) uint8.

    Everything raises Stopped once `stop` gives a reason.
    """

    model: Trained
    stop: Stop

    def see(self, images: "ImageSource", labels: "np.ndarray | None" = None) -> "Judged":
        """Features, logits and the labels that go with them."""
        from gan import metrics

        look = metrics.look_of(self.model.variant)
        with stoppable(self.stop):
            return metrics.judged(look, images, labels, self.model.device, self.stop)

    @cached_property
    def held_out(self) -> "Judged":
        """All test images."""
        return self.see(self.model.data.test_images, self.model.data.test_labels)

    @cached_property
    def test_accuracy(self) -> float:
        from gan import evaluation

        return evaluation.accuracy(self.held_out.logits, self.model.data.test_labels)


@dataclass
class Judge(Applied):
    """A finished classifier. What it says of real images is found once for all GANs it judges."""

    @cached_property
    def training(self) -> "Judged":
        """All training images."""
        return self.see(self.model.data.train_images, self.model.data.train_labels)
