"""Networks trained to name the class: settings."""

from dataclasses import dataclass, field
from typing import ClassVar

from gan.config.base import RunConfig
from gan.config.gans import fits_dc_body, halved_to_four
from gan.config.settings import require


@dataclass(frozen=True)
class ClassifierModel:
    """The S0 discriminator trained without a generator."""

    prefix: ClassVar[str] = "model."
    width: int = 196
    """channels of every convolution"""

    def __post_init__(self) -> None:
        require(self, "width", self.width >= 1, "1 or more")


@dataclass(frozen=True)
class ClassifierConfig(RunConfig):
    """S0: the discriminator as a CIFAR-10 classifier."""

    variant: ClassVar[str] = "classifier"
    model: ClassifierModel = field(default_factory=ClassifierModel)

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = halved_to_four(self.data.image_size)
        self._require_size(fits, "4 times a power of two, from 8 on")


@dataclass(frozen=True)
class DCClassifierModel:
    """The body of the S4 convolutional discriminator."""

    prefix: ClassVar[str] = "model."
    width: int = 32
    """channels of the first convolution; the other layers grow with it"""

    def __post_init__(self) -> None:
        require(self, "width", self.width >= 1, "1 or more")


@dataclass(frozen=True)
class DCClassifierConfig(RunConfig):
    """S4: the discriminator's body with one output a class (above 99 % on MNIST)."""

    variant: ClassVar[str] = "dc_classifier"
    model: DCClassifierModel = field(default_factory=DCClassifierModel)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_size(fits_dc_body(self.data.image_size), "multiples of 4, from 16 on")
