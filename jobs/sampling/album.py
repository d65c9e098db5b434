"""What the job that samples leaves of one GAN: its pictures, figures, tables and warnings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints import files
from gan import stored
from jobs.reporting import gallery
from jobs.stage import Result
from jobs.trained import Trained

if TYPE_CHECKING:
    import numpy as np

    from gan.variants.adversarial import Adversarial
    from gan.visual.origin import Notes
    from gan.visual.readings import Caution

Stop = Callable[[], str | None]  # why to stop, or None


@dataclass
class Album:
    """Everything goes into the figures of the run whose networks are drawn."""

    model: Trained
    stop: Stop
    outputs: list[Path] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)  # by name, as captions use them too
    tables: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # why something was not drawn

    @property
    def result(self) -> Result:
        told = {"tables": self.tables, "warnings": self.warnings, "left_out": self.left_out}
        return Result(self.outputs, self.facts | told)

    @property
    def adversarial(self) -> "Adversarial":
        """The networks; all systems here that make images are of this kind."""
        from gan.variants.adversarial import Adversarial

        variant = self.model.variant
        assert isinstance(variant, Adversarial), "only systems with a generator make images"
        return variant

    @property
    def seed(self) -> int:
        return self.model.run.config().seed

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the data's classes by number."""
        return self.model.data.info.classes

    def notes(self, title: str, **more: str | int | float) -> "Notes":
        """What a picture says of itself in its file."""
        known = {
            **stored.provenance(self.model.run.settings()),
            "weights_sha256": self.model.checksum,
            "step": self.model.model.step,
        }
        return gallery.kind_of(title).origin.notes(known | more)

    def sheet(
        self, title: str, images: "np.ndarray", columns: int, **more: str | int | float
    ) -> None:
        """Images (N, H, W, C) in rows of `columns`, with `more` among the file's notes."""
        from gan.visual import grids

        self.keep(f"{title}.png", grids.contact_sheet(images, columns, self.notes(title, **more)))

    def captioned(
        self, title: str, images: "np.ndarray", captions: Sequence[str], columns: int
    ) -> None:
        """The same with words below each image, or below some."""
        from gan.visual import captions as drawing

        self.keep(f"{title}.png", drawing.sheet(images, captions, columns, self.notes(title)))

    def keep(self, name: str, content: bytes) -> None:
        """A file of this name among the figures."""
        path = self.model.run.figures / name
        files.write_bytes(path, content)
        self.outputs.append(path)

    def warn(self, caution: "Caution") -> None:
        self.warnings.append(vars(caution).copy())
