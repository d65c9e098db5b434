"""Representations learned without labels, and classifiers on top of them: settings."""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from gan.config.base import RunConfig
from gan.config.settings import ConfigError, operational, require, require_choices

_RESNET_WIDTH = 64


@dataclass(frozen=True)
class EncoderModel:
    """The network f from an image to its representation h."""

    prefix: ClassVar[str] = "model."
    encoder: Literal["resnet18", "small"] = "resnet18"
    """ResNet-18 with a stem for small images (h: 512 numbers) or four convolutions (8 widths)"""
    width: int = _RESNET_WIDTH
    """channels of the first convolution, of which a ResNet-18 has 64"""

    def __post_init__(self) -> None:
        require_choices(self)
        require(self, "width", self.width >= 1, "1 or more")
        if self.encoder == "resnet18" and self.width != _RESNET_WIDTH:
            raise ConfigError(
                f"model.width is {self.width}; allowed: {_RESNET_WIDTH} with model.encoder "
                "resnet18, any with small"
            )


@dataclass(frozen=True)
class SimCLRModel(EncoderModel):
    """The encoder, and the projection head g that is thrown away after training."""

    projection: int = 128
    """length of the vectors that are compared"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "projection", self.projection >= 1, "1 or more")


@dataclass(frozen=True)
class Contrast:
    """The contrastive loss, and the nearest neighbours that tell how training gets on."""

    prefix: ClassVar[str] = "contrast."
    temperature: float = 0.5
    """tau: the smaller, the more the most similar of the other images count"""
    neighbours: int = 20
    """training images that vote on the class of a held-out one, after every epoch"""
    bank: int = 10_000
    """most training images that may vote, taken evenly from all"""

    def __post_init__(self) -> None:
        require(self, "temperature", 0 < self.temperature < math.inf, "above 0, finite")
        require(self, "neighbours", self.neighbours >= 1, "1 or more")
        require(self, "bank", self.bank >= self.neighbours, "contrast.neighbours or more")


@dataclass(frozen=True)
class SimCLRConfig(RunConfig):
    """S4: representations that tell an image from all others, whatever was done to it."""

    variant: ClassVar[str] = "simclr"
    views: ClassVar[int] = 2
    model: SimCLRModel = field(default_factory=SimCLRModel)
    contrast: Contrast = field(default_factory=Contrast)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_size(self.data.image_size >= 8, "8 or more")

    @property
    def whole_batch(self) -> str | None:
        return "the contrastive loss"


@dataclass(frozen=True)
class Pretrained:
    """The encoder to begin with."""

    prefix: ClassVar[str] = "pretrained."
    run: str = operational("")
    """finished run, or exported one, whose encoder to take: name or folder; none: an untrained"""
    identity: str = ""
    """what that run computed; filled in from its folder"""


@dataclass(frozen=True)
class EncoderClassifierModel(EncoderModel):
    """The encoder with a linear layer on top."""

    frozen: bool = False
    """train the linear layer only (a linear probe), the encoder staying as it is"""


@dataclass(frozen=True)
class EncoderClassifierConfig(RunConfig):
    """S4: what representations are worth: a linear probe, fine-tuning, or training from scratch."""

    variant: ClassVar[str] = "encoder_classifier"
    model: EncoderClassifierModel = field(default_factory=EncoderClassifierModel)
    pretrained: Pretrained = field(default_factory=Pretrained)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_size(self.data.image_size >= 8, "8 or more")
