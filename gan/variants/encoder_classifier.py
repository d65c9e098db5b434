"""What follows SimCLR: a linear probe, fine-tuning, and the same classifier from scratch.

S4 trains a classifier on top of a pre-trained encoder and beside it one without pre-training. With
`model.frozen` only the linear layer trains: the encoder then stays in eval mode, so that not even
BatchNorm's statistics move. Of an untrained encoder that is the reference for a linear probe.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from checkpoints import CheckpointError
from gan import pretrained, rng
from gan.config import EncoderClassifierConfig
from gan.data import DataInfo
from gan.encoders import EncoderClassifier, make_encoder
from gan.variants.base import Variant, make_adam


class Downstream(Variant):
    """One player: the linear layer, and the encoder unless it is frozen."""

    terms = ("loss", "accuracy")
    classifies = True

    def __init__(
        self, config: EncoderClassifierConfig, info: DataInfo, device: torch.device
    ) -> None:
        self.source, self.frozen = config.pretrained, config.model.frozen
        self.encoder_sha256 = ""  # of the encoder that it began with, pre-trained or not
        rng.seed_torch(config.seed, rng.Stream.INIT)
        encoder = make_encoder(config.model, info.channels)
        self.model = EncoderClassifier(encoder, len(info.classes))
        encoder.requires_grad_(not self.frozen)
        self.networks: dict[str, nn.Module] = {"classifier": self.model}
        self.place(config, device)
        trained = self.model.head if self.frozen else self.model
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "classifier": make_adam(config.optim, trained)
        }

    def begin(self, anew: bool) -> None:
        """Take over the pre-trained encoder. Raises CheckpointError if it cannot be used.

        When going on, the encoder comes from the run's own checkpoint, and the run that it was
        trained in may be gone; if it is there, it must hold the same encoder.
        """
        folder = Path(self.source.run) if self.source.run else None
        if anew:
            if folder:
                self._take_over(folder)
            self.encoder_sha256 = pretrained.checksum(self.model.encoder.state_dict())
        elif folder and folder.exists():
            found = pretrained.checksum(pretrained.read(folder, self.source.identity))
            if found != self.encoder_sha256:
                raise CheckpointError(
                    f"this run began with encoder {self.encoder_sha256[:12]}, {folder} now holds "
                    f"{found[:12]}; give another --name to begin with that one"
                )

    def _take_over(self, folder: Path) -> None:
        weights = pretrained.read(folder, self.source.identity)
        try:
            self.model.encoder.load_state_dict(weights)
        except RuntimeError as error:
            difference = str(error).splitlines()[-1].strip()
            raise CheckpointError(f"{folder} holds another encoder: {difference}") from error

    def update(self, images: Tensor, labels: Tensor, draws: rng.Draws) -> Tensor:
        self.model.train()
        if self.frozen:
            self.model.encoder.eval()
        with self.mixed():
            logits = self.called["classifier"](images, self.frozen)
        logits = logits.float()
        loss = F.cross_entropy(logits, labels)
        accuracy = (logits.detach().argmax(1) == labels).float().mean()
        return self.descend("classifier", loss, torch.stack([loss.detach(), accuracy]))

    def classify(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images)
        return logits

    def features(self, images: Tensor) -> Tensor:
        normalise, _ = self.model.head
        seen: Tensor = normalise(self.model.encoder(images))
        return seen

    def see(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(images)
        return features, self.model.head[1](features)

    def facts(self) -> dict[str, str]:
        return {"encoder_sha256": self.encoder_sha256}

    def _buffers(self) -> list[Tensor]:
        """A frozen encoder's are left out: even a mean of equals may differ in its last bit."""
        moving = self.model.head if self.frozen else self.model
        return [b for b in moving.buffers() if b.is_floating_point()]

    def state(self) -> dict[str, Any]:
        return super().state() | {"encoder_sha256": self.encoder_sha256}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        self.encoder_sha256 = str(state["encoder_sha256"])


def build(config: EncoderClassifierConfig, info: DataInfo, device: torch.device) -> Downstream:
    return Downstream(config, info, device)
