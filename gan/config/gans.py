"""The GANs of the source documents: settings of their networks."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from gan.config.game import Game, GANConfig, GANModel
from gan.config.settings import require


def halved_to_four(size: int) -> bool:
    """Whether `size` is 4 times a power of two, as the S0 networks need it."""
    return size >= 8 and size % 4 == 0 and (size // 4) & (size // 4 - 1) == 0


@dataclass(frozen=True)
class ACGANModel(GANModel):
    """The S0 generator and discriminator."""

    width: int = 196
    """channels of every convolution, in both networks"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "width", self.width >= 1, "1 or more")


@dataclass(frozen=True)
class ACGANConfig(GANConfig):
    """S0: an auxiliary classifier GAN with the Wasserstein loss and its gradient penalty."""

    variant: ClassVar[str] = "acgan"
    model: ACGANModel = field(default_factory=ACGANModel)
    game: Game = field(
        default_factory=lambda: Game(
            loss="wasserstein", regulariser="gradient-penalty", auxiliary=True
        )
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = halved_to_four(self.data.image_size)
        self._require_size(fits, "4 times a power of two, from 8 on")


@dataclass(frozen=True)
class DCGANLabModel(GANModel):
    """The S1 networks: critic blocks of 1, 2 and 3 times `width` channels, generator 8, 4 and 2."""

    width: int = 32
    """channels of the critic's first block"""
    dropout: float = 0.3
    """share of the critic's features dropped in training, after every block"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "width", self.width >= 1, "1 or more")


@dataclass(frozen=True)
class DCGANLabConfig(GANConfig):
    """S1: the DCGAN lab."""

    variant: ClassVar[str] = "dcgan_lab"
    batch_statistics: ClassVar[bool] = True
    model: DCGANLabModel = field(default_factory=DCGANLabModel)
    game: Game = field(default_factory=lambda: Game(critic_scale=0.5, critic_first=True))

    def __post_init__(self) -> None:
        super().__post_init__()
        size = self.data.image_size
        self._require_size(size >= 8 and size % 4 == 0, "multiples of 4, from 8 on")


@dataclass(frozen=True)
class CatsModel(GANModel):
    """The S2 networks."""

    latent: int = 32
    """length of the noise vector"""
    depth: int = 2
    """how often the resolution is halved, and doubled"""
    width: int = 32
    """channels next to the image, in both networks; they double with every halving"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "depth", self.depth >= 1, "1 or more")
        require(self, "width", self.width >= 1, "1 or more")


@dataclass(frozen=True)
class CatsConfig(GANConfig):
    """S2: cats that do not exist."""

    variant: ClassVar[str] = "cats"
    batch_statistics: ClassVar[bool] = True
    model: CatsModel = field(default_factory=CatsModel)

    def __post_init__(self) -> None:
        super().__post_init__()
        factor = 2**self.model.depth
        self._require_size(self.data.image_size % factor == 0, f"multiples of {factor} (2**depth)")


@dataclass(frozen=True)
class MLPGANModel(GANModel):
    """The S4 fully connected networks: two hidden layers each."""

    latent: int = 96
    """length of the noise vector"""
    noise: Literal["normal", "uniform"] = "uniform"
    critic_hidden: int = 256
    """units of the critic's hidden layers"""
    generator_hidden: int = 1024
    """units of the generator's hidden layers"""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("critic_hidden", "generator_hidden"):
            require(self, name, getattr(self, name) >= 1, "1 or more")


@dataclass(frozen=True)
class MLPGANConfig(GANConfig):
    """S4: the fully connected GAN; works for images of any size, and for points."""

    variant: ClassVar[str] = "mlp_gan"
    model: MLPGANModel = field(default_factory=MLPGANModel)


@dataclass(frozen=True)
class DCGANModel(GANModel):
    """The S4 convolutional networks (generator: InfoGAN, appendix C.1)."""

    latent: int = 96
    """length of the noise vector"""
    noise: Literal["normal", "uniform"] = "uniform"
    width: int = 32
    """channels of the critic's first convolution; all other layers grow with it"""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, "width", self.width >= 1, "1 or more")


def fits_dc_body(size: int) -> bool:
    """Whether S4's body takes this side: two 5 x 5 convolutions, each followed by a halving."""
    return size % 4 == 0 and size >= 16


@dataclass(frozen=True)
class DCGANConfig(GANConfig):
    """S4: the deeply convolutional GAN on MNIST."""

    variant: ClassVar[str] = "dcgan"
    model: DCGANModel = field(default_factory=DCGANModel)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_size(fits_dc_body(self.data.image_size), "multiples of 4, from 16 on")
