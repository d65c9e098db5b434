"""FID and Inception score, on a file of the network that published figures stand on."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan.config import FEWEST_COMPARED, ConfigError
from gan.data.images import chosen
from jobs.measuring.judge import Stop, stoppable
from jobs.trained import Trained

if TYPE_CHECKING:
    import numpy as np

    from gan.metrics import Judged
    from gan.metrics.inception import InceptionFile

_ON_CPU = 1000  # images of each kind; a thousand take minutes on two cores


@dataclass(frozen=True)
class Published:
    """A file of the 1,008-class Inception network, and how many images it is to see."""

    weights: Path
    images: int = 0  # of each kind at most; 0: a thousand on a CPU, all on a GPU

    def __post_init__(self) -> None:
        if self.images != 0 and self.images < FEWEST_COMPARED:
            raise ConfigError(
                f"inception-images is {self.images}; allowed: {FEWEST_COMPARED} or more, or 0 for "
                "all on a GPU and a thousand on a CPU"
            )

    def check(self) -> "InceptionFile":
        """Make sure of the file before anything depends on it; loads torch. Raises ConfigError."""
        from gan.metrics import inception

        return inception.check(self.weights)

    def figures(self, model: Trained, fakes: "np.ndarray", stop: Stop) -> dict[str, Any]:
        """Generated images (N, C, S, S) uint8, and as many held-out ones, against training images.

        Raises ConfigError for a file that is missing or of another network, Stopped.
        """
        from gan import metrics
        from gan.metrics import inception

        file, data, device = self.check(), model.data, model.device
        network = inception.Inception(self.weights, device)
        most = self.images or (_ON_CPU if device.type == "cpu" else max(len(data.train_images), 1))

        def seen(images: Any, count: int) -> "Judged":
            some = images[chosen(len(images), count)]
            return metrics.judged(network, some, None, device, stop, inception.TOGETHER)

        count = min(most, len(fakes), len(data.test_images))
        with stoppable(stop):
            made = metrics.judged(network, fakes[:count], None, device, stop, inception.TOGETHER)
            reference = seen(data.train_images, most)
            pair = metrics.beside_floor(
                reference, seen(data.test_images, count), made, model.run.config().seed, stop
            )
        found = {"sha256": file.sha256, "published": file.published, "images": self.images}
        for key, part in (("generated", pair.generated), ("floor", pair.floor)):
            assert part.score is not None, "of all images together there is a score"
            found[key] = asdict(part.distances) | {"score": asdict(part.score)}
        return found


def wanted(weights: Path | None, images: int) -> Published | None:
    """What two options ask for. Raises ConfigError for a number without a file, or a wrong one."""
    if weights is None:
        if images:
            raise ConfigError("inception-images is given without --inception-weights")
        return None
    return Published(weights.resolve(), images)
