"""The game of two players: which loss, which regulariser, with the class or without."""

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from gan.config.base import RunConfig
from gan.config.settings import ConfigError, require, require_choices


@dataclass(frozen=True)
class Game:
    """What generator and critic play for (see `gan.losses`)."""

    prefix: ClassVar[str] = "game."
    loss: Literal["non-saturating", "saturating", "least-squares", "wasserstein"] = "non-saturating"
    """of real against generated"""
    regulariser: Literal["none", "clipping", "gradient-penalty"] = "none"
    """what bounds the critic's slope; the Wasserstein loss needs one"""
    auxiliary: bool = False
    """the generator is told a class, and the critic names the class too (AC-GAN)"""
    critic_scale: float = 1.0
    """factor of the critic's loss of real against generated (0.5: their mean instead of the sum)"""
    penalty_weight: float = 10.0
    """lambda of the gradient penalty"""
    clip: float = 0.01
    """bound of every weight of the critic, with clipping"""
    critic_first: bool = False
    """train the critic before the generator in each step"""
    generator_every: int = 1
    """train the generator in every n-th step only"""
    ema_decay: float = 0.0
    """average the generator's weights with this decay, and sample from the average; 0: off"""

    def __post_init__(self) -> None:
        require_choices(self)
        for name in ("critic_scale", "clip"):
            require(self, name, 0 < getattr(self, name) < math.inf, "above 0, finite")
        require(self, "penalty_weight", 0 <= self.penalty_weight < math.inf, "0 or more, finite")
        require(self, "generator_every", self.generator_every >= 1, "1 or more")
        require(self, "ema_decay", 0 <= self.ema_decay < 1, "0 up to but not 1")
        if self.loss == "wasserstein" and self.regulariser == "none":
            raise ConfigError(
                "game.regulariser is 'none' with the Wasserstein loss, whose critic then has no "
                "bound; allowed: gradient-penalty or clipping"
            )


@dataclass(frozen=True)
class GANModel:
    """What the networks of every GAN have."""

    prefix: ClassVar[str] = "model."
    latent: int = 100
    """length of the noise vector, the class's one-hot part included"""
    noise: Literal["normal", "uniform"] = "normal"
    """distribution of the noise: standard normal, or uniform from -1 to 1"""
    dropout: float = 0.0
    """share of the critic's features dropped in training"""
    minibatch_kernels: int = 0
    """features by which the critic compares the images of a batch; 0: it does not compare them"""

    def __post_init__(self) -> None:
        require_choices(self)
        require(self, "latent", self.latent >= 1, "1 or more")
        require(self, "dropout", 0 <= self.dropout < 1, "0 up to but not 1")
        require(self, "minibatch_kernels", self.minibatch_kernels >= 0, "0 or more")


@dataclass(frozen=True)
class GANConfig(RunConfig):
    """A generator and a critic. Each system has a subclass with networks of its own."""

    generates: ClassVar[bool] = True
    batch_statistics: ClassVar[bool] = False  # whether its critic has BatchNorm
    model: GANModel = field(default_factory=GANModel)
    game: Game = field(default_factory=Game)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.game.regulariser == "gradient-penalty" and self.mixes_samples:
            raise ConfigError(
                f"game.regulariser is 'gradient-penalty' with a critic that has "
                f"{self.mixes_samples}: the penalty needs a score that depends on one image alone; "
                "allowed: none or clipping, or another critic"
            )

    @property
    def mixes_samples(self) -> str | None:
        if self.model.minibatch_kernels:
            return "minibatch discrimination"
        return "BatchNorm" if self.batch_statistics else None

    @property
    def whole_batch(self) -> str | None:
        return "minibatch discrimination" if self.model.minibatch_kernels else None
