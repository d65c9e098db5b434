"""Everything that says what a run computes: typed, frozen, checked when made.

Nothing here imports torch: a submission is checked in well under a second, on a login node.
Settings that cannot change the result (where the data lie, how often to log) are marked
`identity=False`; a run's identity is the hash of all the others.
"""

import hashlib
import json
import math
from dataclasses import Field, dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, Literal, TypeVar

Config = TypeVar("Config", bound="RunConfig")


class ConfigError(ValueError):
    """A setting that cannot be; the message names the field, what was given and what is allowed."""


def _operational(default: Any) -> Any:
    return field(default=default, metadata={"identity": False})


def _require(owner: Any, name: str, holds: bool, allowed: str) -> None:
    if not holds:
        raise ConfigError(f"{owner.prefix}{name} is {getattr(owner, name)!r}; allowed: {allowed}")


@dataclass(frozen=True)
class DataConfig:
    """Which images, at what size, altered how during training."""

    prefix: ClassVar[str] = "data."
    name: str = "digits"
    """data set: digits (inside scikit-learn), cifar10, or folder (any folder of images)"""
    root: str = _operational("data")
    """folder that holds the files (cifar10, folder)"""
    download: bool = _operational(False)
    """fetch the files first if they are missing (cifar10), on this machine"""
    image_size: int = 32
    """side in pixels; images of another size are resized"""
    test_fraction: float = 0.2
    """share held out for testing where the set has no test part of its own"""
    crop_scale_min: float = 1.0
    """smallest area of a random square crop, as a share of the image; 1 switches it off"""
    flip: bool = False
    """mirror half of the training images"""
    jitter: float = 0.0
    """strength of random brightness, contrast, saturation and hue changes; 0 switches it off"""

    def __post_init__(self) -> None:
        sizes = "4 times a power of two, from 8 to 256"
        halved = self.image_size // 4
        power = halved & (halved - 1) == 0 and halved * 4 == self.image_size
        _require(self, "image_size", 8 <= self.image_size <= 256 and power, sizes)
        _require(self, "test_fraction", 0 < self.test_fraction < 1, "between 0 and 1")
        _require(self, "crop_scale_min", 0 < self.crop_scale_min <= 1, "above 0, up to 1")
        _require(self, "jitter", 0 <= self.jitter <= 0.5, "0 to 0.5")


@dataclass(frozen=True)
class TrainConfig:
    """How long, in what portions, and how often the outside hears of it."""

    prefix: ClassVar[str] = "train."
    epochs: int = 100
    """epochs to train"""
    batch_size: int = 128
    """images in one step, over all processes together; a short last batch is dropped"""
    passes_per_epoch: int = 1
    """passes over the data that make up one epoch (more than 1 for tiny sets)"""
    grid_rows: int = 10
    """rows of the fixed grid of samples after each epoch; its columns are the classes"""
    final_samples: int = 1000
    """images that are generated when training has ended"""
    log_every: int = _operational(50)
    """steps between two entries of the running means"""
    keep_checkpoints: int = _operational(3)
    """how many good checkpoints stay on the disk"""
    checkpoint_minutes: float = _operational(10.0)
    """save at least this often; an epoch's end is saved in any case"""

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.type is int:
                _require(self, item.name, getattr(self, item.name) >= 1, "1 or more")
        _require(self, "checkpoint_minutes", self.checkpoint_minutes > 0, "above 0")


FEWEST_COMPARED = 4  # images on either side of a distance (see `gan.metrics`)
LARGEST_STEP = 1 << 24  # a float32 counter cannot count beyond it


def saturation_step(beta: float) -> int:
    """The first step count from which 1 - beta ** step equals 1 in float64 (see `gan.optim`)."""
    return 1 if beta == 0 else math.ceil(54 * math.log(2) / -math.log(beta))


@dataclass(frozen=True)
class AdamConfig:
    """Adam, and what is done about its step counter (see `gan.optim`)."""

    prefix: ClassVar[str] = "optim."
    learning_rate: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.999
    step_fix: Literal["safe", "off", "legacy"] = "safe"
    """overflow of the step counter: safe (bit-identical cure), off, legacy (as in the course)"""
    drop_epochs: tuple[int, ...] = ()
    """epochs (from 0) at whose start the learning rate is divided by 10"""

    def __post_init__(self) -> None:
        _require(self, "learning_rate", 0 < self.learning_rate < math.inf, "above 0, finite")
        for name in ("beta1", "beta2"):
            beta = getattr(self, name)
            _require(self, name, 0 <= beta < 1, "0 up to but not 1")
            countable = self.step_fix != "safe" or saturation_step(beta) < LARGEST_STEP
            _require(self, name, countable, "a little less, or --optim.step-fix off")
        _require(self, "drop_epochs", all(e > 0 for e in self.drop_epochs), "epochs above 0")


@dataclass(frozen=True)
class ClassifierModel:
    """The S0 discriminator trained without a generator."""

    prefix: ClassVar[str] = "model."
    width: int = 196
    """channels of every convolution"""

    def __post_init__(self) -> None:
        _require(self, "width", self.width >= 1, "1 or more")


@dataclass(frozen=True)
class ACGANModel:
    """The S0 generator and discriminator: an AC-GAN with the Wasserstein loss and its penalty."""

    prefix: ClassVar[str] = "model."
    width: int = 196
    """channels of every convolution, in both networks"""
    latent: int = 100
    """length of the noise vector, the class's one-hot part included"""
    penalty_weight: float = 10.0
    """lambda of the gradient penalty"""
    generator_every: int = 1
    """train the generator in every n-th step only"""
    ema_decay: float = 0.0
    """average the generator's weights with this decay, and sample from the average; 0: off"""

    def __post_init__(self) -> None:
        for name in ("width", "latent", "generator_every"):
            _require(self, name, getattr(self, name) >= 1, "1 or more")
        _require(self, "penalty_weight", 0 <= self.penalty_weight < math.inf, "0 or more, finite")
        _require(self, "ema_decay", 0 <= self.ema_decay < 1, "0 up to but not 1")


@dataclass(frozen=True)
class RunConfig:
    """What one training run computes. Each variant has a subclass with its own `model`."""

    prefix: ClassVar[str] = ""
    variant: ClassVar[str] = ""
    generates: ClassVar[bool] = False  # whether it has a network that makes images
    seed: int = 0
    """all randomness derives from it"""
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    optim: AdamConfig = field(default_factory=AdamConfig)

    def __post_init__(self) -> None:
        _require(self, "seed", 0 <= self.seed < 1 << 63, "0 to 2**63 - 1")


@dataclass(frozen=True)
class ClassifierConfig(RunConfig):
    variant: ClassVar[str] = "classifier"
    model: ClassifierModel = field(default_factory=ClassifierModel)


@dataclass(frozen=True)
class ACGANConfig(RunConfig):
    variant: ClassVar[str] = "acgan"
    generates: ClassVar[bool] = True
    model: ACGANModel = field(default_factory=ACGANModel)


VARIANTS: dict[str, type[RunConfig]] = {
    config.variant: config for config in (ClassifierConfig, ACGANConfig)
}


def flatten(config: Any, identity_only: bool = False, prefix: str = "") -> dict[str, Any]:
    """Every setting under its dotted name, as on the command line."""
    flat: dict[str, Any] = {}
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            flat |= flatten(value, identity_only, f"{prefix}{item.name}.")
        elif not identity_only or _is_identity(item):
            flat[f"{prefix}{item.name}"] = list(value) if isinstance(value, tuple) else value
    return flat


def _is_identity(item: Field[Any]) -> bool:
    return bool(item.metadata.get("identity", True))


def identity(config: RunConfig) -> str:
    """SHA-256 (hexadecimal) of the variant and of all settings that change its result."""
    settings = flatten(config, identity_only=True) | {"variant": config.variant}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def differences(given: RunConfig, stored: RunConfig) -> list[str]:
    """The settings in which two configs compute different things, a line each."""
    if given.variant != stored.variant:
        return [f"variant: the run has {stored.variant!r}, given was {given.variant!r}"]
    new, old = flatten(given, identity_only=True), flatten(stored, identity_only=True)
    return [
        f"{name}: the run has {old[name]!r}, given was {new[name]!r}"
        for name in new
        if new[name] != old[name]
    ]
