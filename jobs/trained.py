"""Finished networks, for the jobs that follow training."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs import records
from jobs.run import Run

if TYPE_CHECKING:
    import torch

    from gan.data import ImageSet
    from gan.loading import Model
    from gan.variants import Variant


@dataclass(frozen=True)
class Trained:
    """A run's networks as its last checkpoint has them, in eval mode, and its data."""

    run: Run
    model: "Model"
    data: "ImageSet"
    device: "torch.device"

    @property
    def variant(self) -> "Variant":
        return self.model.variant

    @property
    def checksum(self) -> str:
        """SHA-256 of the weights' file."""
        return self.model.checksum


def load(run: Run, images: "ImageSet | None" = None) -> Trained:
    """Load a run whose training is finished. Raises Unfinished or CheckpointError.

    `images` are the run's data, where they have been read already.
    """
    from gan import data, loading, numerics

    steps = records.require(run, "train")["result"]["steps"]
    device = numerics.configure(run.settings()["threads"])
    images = images or data.load(run.config().data)
    run.check_data(images.info)
    return Trained(run, loading.load(run.path, steps, device), images, device)


def checksum(run: Run) -> str:
    """SHA-256 of a finished run's weights, from its record. Raises Unfinished."""
    record = records.require(run, "train")
    step = run.store().path(record["result"]["steps"])
    return str(record["outputs"][f"{step.relative_to(run.path)}/state.pt"]["sha256"])
