"""A GAN whose resolution grows while it trains: settings."""

from dataclasses import dataclass, field
from typing import ClassVar

from gan.config.game import Game, GANConfig, GANModel
from gan.config.gans import halved_to_four
from gan.config.settings import ConfigError, require


@dataclass(frozen=True)
class ProgressiveModel(GANModel):
    """Generator and critic that begin with 4 x 4 pixels."""

    width: int = 128
    """channels of every layer up to 32 x 32 pixels; from there on halved with every doubling"""
    growing_share: float = 0.6
    """share of all steps in which the resolution grows; the others train at the full one"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "width", self.width >= 1, "1 or more")
        require(self, "growing_share", 0 < self.growing_share < 1, "above 0, below 1")


@dataclass(frozen=True)
class ProgressiveConfig(GANConfig):
    """Progressive growing (Karras et al., 2018) with the Wasserstein loss and its penalty."""

    variant: ClassVar[str] = "progressive"
    model: ProgressiveModel = field(default_factory=ProgressiveModel)
    game: Game = field(
        default_factory=lambda: Game(
            loss="wasserstein", regulariser="gradient-penalty", ema_decay=0.999
        )
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = halved_to_four(self.data.image_size)
        self._require_size(fits, "4 times a power of two, from 8 on")
        if self.train.compile == "on":
            raise ConfigError(
                "train.compile is 'on' with networks that grow, whose every level would be "
                "compiled anew; allowed: off, auto"
            )
