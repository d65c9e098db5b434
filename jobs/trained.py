"""Finished networks, for the jobs that follow training."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs import records
from jobs.run import Run

if TYPE_CHECKING:
    import torch

    from checkpoints import Checkpoint
    from gan.data import ImageSet
    from gan.variants import Variant


@dataclass(frozen=True)
class Trained:
    """A run's networks as its last checkpoint has them, in eval mode, and its data."""

    run: Run
    variant: "Variant"
    data: "ImageSet"
    checkpoint: "Checkpoint"
    device: "torch.device"

    @property
    def checksum(self) -> str:
        """SHA-256 of the weights' file."""
        return self.checkpoint.manifest.files["state.pt"].sha256


def load(run: Run, images: "ImageSet | None" = None) -> Trained:
    """Load a run whose training is finished. Raises Unfinished or CheckpointError.

    `images` are the run's data, where they have been read already.
    """
    from gan import data, numerics, variants

    steps = records.require(run, "train")["result"]["steps"]
    config = run.config()
    device = numerics.configure(run.settings()["threads"])
    images = images or data.load(config.data)
    variant = variants.build(config, images.info, device)
    checkpoint = run.store().open(steps)
    variant.load_state(checkpoint.load()["variant"])
    for network in variant.networks.values():
        network.eval().requires_grad_(False)
    return Trained(run, variant, images, checkpoint, device)


def checksum(run: Run) -> str:
    """SHA-256 of a finished run's weights, from its record. Raises Unfinished."""
    record = records.require(run, "train")
    step = run.store().path(record["result"]["steps"])
    return str(record["outputs"][f"{step.relative_to(run.path)}/state.pt"]["sha256"])
