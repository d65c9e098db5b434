"""A network that is looked at, with the images it is shown, and what is drawn of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gan.data.images import chosen
from jobs.reporting import gallery
from jobs.stage import Stopped
from jobs.trained import Trained
from jobs.views import Views

if TYPE_CHECKING:
    import torch
    from torch import nn

    from gan.visual.layers import Layer
    from gan.visual.origin import Notes

SHOWN = 100  # images in a picture of images, as in S0
_PICTURE_CHANNELS = (1, 3)

Stop = Callable[[], str | None]


@dataclass(frozen=True)
class Subject:
    """The critic, classifier or encoder of a finished run; tensors are on its device."""

    model: Trained
    views: Views
    stop: Stop
    say: Callable[[str], None]

    @property
    def name(self) -> str:
        return self.model.run.path.name

    @property
    def seed(self) -> int:
        return self.model.run.config().seed

    @property
    def sees_pictures(self) -> bool:
        """Or else points, of which there is nothing to draw here."""
        return self.model.data.info.channels in _PICTURE_CHANNELS

    @property
    def classifies(self) -> bool:
        return self.model.variant.classifies

    @cached_property
    def network(self) -> "nn.Module":
        from gan.visual import layers

        return layers.observer(self.model.variant)

    @cached_property
    def images(self) -> "torch.Tensor":
        """All test images, (M, C, S, S) in [-1, 1]."""
        import torch

        from gan import batches

        return batches.to_unit(torch.from_numpy(self.model.data.test_images).to(self.model.device))

    @cached_property
    def labels(self) -> "torch.Tensor":
        """(M,) int64."""
        import torch

        return torch.from_numpy(self.model.data.test_labels).to(self.model.device)

    def some(self, wanted: int) -> "torch.Tensor":
        """Places of up to `wanted` test images, the same in every run."""
        import torch

        return torch.from_numpy(chosen(len(self.images), wanted)).to(self.model.device)

    @cached_property
    def mean(self) -> "torch.Tensor":
        """The mean (C, S, S) of the images that are shown: where all maximisation begins (S0)."""
        return self.images[self.some(SHOWN)].mean(0)

    @cached_property
    def layers(self) -> dict[str, "Layer"]:
        """The convolutions that its images pass, by the names that are shown."""
        from gan.visual import layers

        return layers.by_shown_name(self.network, self.mean)

    @contextmanager
    def heeding(self) -> Iterator[None]:
        """Around work of the library that is given `stop`. Raises Stopped."""
        from gan import evaluation

        if reason := self.stop():
            raise Stopped(reason)
        try:
            yield
        except evaluation.Interrupted:
            raise Stopped(self.stop()) from None

    def notes(self, title: str) -> "Notes":
        """What a picture says of itself in its file."""
        model = self.model.model
        known = {"recipe": model.settings["recipe"], "seed": self.seed, "step": model.step}
        return gallery.kind_of(title).origin.notes(known | {"weights_sha256": self.model.checksum})


@dataclass
class Drawn:
    """Pictures of one subject, as files by title and ending; and the figures that go with them."""

    files: dict[str, bytes] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def add_images(
        self, subject: Subject, title: str, images: "torch.Tensor", columns: int
    ) -> None:
        """A contact sheet of images (N, C, S, S) in [-1, 1]."""
        from gan import batches
        from gan.visual import grids

        pixels = batches.to_bytes(images)
        self.files[f"{title}.png"] = grids.contact_sheet(pixels, columns, subject.notes(title))

    def add_table(self, **table: Any) -> None:
        """For the report, in the form that `jobs.reporting.recorded` begins with."""
        self.facts.setdefault("tables", []).append(table)
