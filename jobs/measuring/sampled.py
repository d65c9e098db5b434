"""A GAN that is to be measured: its images, what its judge sees of them, where its pictures go."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.measuring.judge import Judge, Stop
from jobs.measuring.published import Published
from jobs.run import Run
from jobs.sample import generate
from jobs.trained import Trained

if TYPE_CHECKING:
    import numpy as np

    from gan.metrics import Judged
    from gan.visual.origin import Notes, Origin


@dataclass(frozen=True)
class Sampled:
    """A sampled GAN and its judge. The figures become part of the `owner`'s record, of a pipeline
    under the name of its `member`.
    """

    model: Trained
    judge: Judge
    owner: Run
    member: str = ""
    count: int | None = None  # of generated images; as many as the run has if left out
    published: Published | None = None  # the network of FID, where a file of it is given

    @property
    def seed(self) -> int:
        return self.model.run.config().seed

    @property
    def classes(self) -> tuple[str, ...]:
        """Those that images were asked for; none of a GAN that knows none."""
        return self.model.data.info.classes if self.model.variant.conditions else ()

    @cached_property
    def images(self) -> tuple["np.ndarray", "np.ndarray"]:
        """The generated images (N, C, S, S) uint8, and the labels asked for (N,)."""
        return generated(self.model, self.count, self.judge.stop)

    @cached_property
    def seen(self) -> "Judged":
        """What the judge sees of the generated images."""
        return self.judge.see(*self.images)

    def picture(self, title: str) -> Path:
        """Where a picture goes; `title` has an ending."""
        return self.owner.figures / "-".join(filter(None, [self.member, title]))

    def notes(self, origin: "Origin") -> "Notes":
        """What a picture says of itself in its file."""
        known = {"recipe": self.model.model.settings["recipe"], "step": self.model.model.step}
        more = {"seed": self.seed, "judge_sha256": self.judge.model.checksum}
        return origin.notes(known | {"weights_sha256": self.model.checksum} | more)


def generated(model: Trained, count: int | None, stop: Stop) -> tuple["np.ndarray", "np.ndarray"]:
    """Images (N, C, S, S) and the labels asked for: the run's own, or more of the same kind."""
    from gan import samples

    stored = samples.read(model.run.generated_file)
    images, labels = stored.images[0], stored.labels
    if count is not None and count > len(labels):
        images, labels = generate(model, count, stop)
    return images[:count].transpose(0, 3, 1, 2), labels[:count]
