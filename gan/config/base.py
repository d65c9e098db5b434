"""What every config is made of: checks, training, Adam, and a run's identity."""

import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar, Literal, TypeVar

from gan.config.data import DataConfig
from gan.config.settings import ConfigError, added, operational, require, require_choices


@dataclass(frozen=True)
class TrainConfig:
    """How long, in what portions, and how often the outside hears of it."""

    prefix: ClassVar[str] = "train."
    epochs: int = 100
    """epochs to train"""
    batch_size: int = 128
    """images in one step, over all processes together; a short last batch is dropped"""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """arithmetic of convolutions and linear layers in training; losses stay in float32; auto: by
    the machine that begins the run, for good"""
    compile: Literal["off", "on", "auto"] = added("off")
    """compile the networks' passes and what is done to the images in training, which takes minutes
    once and wins on few machines; auto: as precision"""
    channels_last: bool = False
    """keep the channels innermost in memory: faster convolutions on many CPUs and GPUs"""
    passes_per_epoch: int = 1
    """passes over the data that make up one epoch (more than 1 for tiny sets)"""
    grid_rows: int = 10
    """rows of the fixed grid of samples after each epoch; its columns are the classes"""
    final_samples: int = 1000
    """images that are generated when training has ended"""
    log_every: int = operational(50)
    """steps between two entries of the running means"""
    keep_checkpoints: int = operational(3)
    """how many good checkpoints stay on the disk"""
    checkpoint_minutes: float = operational(10.0)
    """save this often, or as often as the disk can; an epoch's end is saved in any case"""
    on_nan: Literal["stop", "roll-back"] = operational("stop")
    """what to do about a loss that is no number: stop, or roll-back to the last epoch's end and go
    on with other random numbers"""
    most_rollbacks: int = operational(3)
    """how often a run may roll back before it stops all the same"""
    energy_country: str = operational("")
    """estimate the energy of every attempt, with this country's electricity (as FRA); empty: off"""

    def __post_init__(self) -> None:
        require_choices(self)
        for item in fields(self):
            if item.type is int:
                require(self, item.name, getattr(self, item.name) >= 1, "1 or more")
        require(self, "checkpoint_minutes", self.checkpoint_minutes > 0, "above 0")
        is_code = re.fullmatch(r"([A-Z]{3})?", self.energy_country) is not None
        require(self, "energy_country", is_code, "three capital letters (ISO 3166), as FRA")


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
        require_choices(self)
        require(self, "learning_rate", 0 < self.learning_rate < math.inf, "above 0, finite")
        for name in ("beta1", "beta2"):
            beta = getattr(self, name)
            require(self, name, 0 <= beta < 1, "0 up to but not 1")
            countable = self.step_fix != "safe" or saturation_step(beta) < LARGEST_STEP
            require(self, name, countable, "a little less, or --optim.step-fix off")
        require(self, "drop_epochs", all(e > 0 for e in self.drop_epochs), "epochs above 0")


@dataclass(frozen=True)
class RunConfig:
    """What one training run computes. Each variant has a subclass with its own `model`."""

    prefix: ClassVar[str] = ""
    variant: ClassVar[str] = ""
    generates: ClassVar[bool] = False  # whether it has a network that makes images
    views: ClassVar[int] = 1  # augmented copies of each image in a batch
    seed: int = 0
    """all randomness derives from it"""
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    optim: AdamConfig = field(default_factory=AdamConfig)

    def __post_init__(self) -> None:
        require(self, "seed", 0 <= self.seed < 1 << 63, "0 to 2**63 - 1")

    @property
    def mixes_samples(self) -> str | None:
        """The part of the judging network by which one image's score depends on others, or None."""
        return None

    @property
    def whole_batch(self) -> str | None:
        """What must see the whole global batch, so that only one rank can train it, or None."""
        return None

    def _require_size(self, holds: bool, allowed: str) -> None:
        if not holds:
            size = self.data.image_size
            raise ConfigError(f"data.image_size is {size}; {self.variant} allows: {allowed}")


Config = TypeVar("Config")


def _all(item: Field[Any], value: Any) -> bool:
    return True


def flatten(
    config: Any, wanted: Callable[[Field[Any], Any], bool] = _all, prefix: str = ""
) -> dict[str, Any]:
    """Every setting that is `wanted`, by its field and value, under its dotted name."""
    flat: dict[str, Any] = {}
    for item in fields(config):
        value = getattr(config, item.name)
        if is_dataclass(value):
            flat |= flatten(value, wanted, f"{prefix}{item.name}.")
        elif wanted(item, value):
            flat[f"{prefix}{item.name}"] = list(value) if isinstance(value, tuple) else value
    return flat


def _changes_result(item: Field[Any], value: Any) -> bool:
    return bool(item.metadata.get("identity", True))


def portable(config: Config) -> Config:
    """The same computation, with all that belongs to one machine as it is by default."""
    kept: dict[str, Any] = {}
    for item in fields(config):  # type: ignore[arg-type]
        value = getattr(config, item.name)
        if is_dataclass(value) and not isinstance(value, type):
            kept[item.name] = portable(value)
        else:
            kept[item.name] = value if _changes_result(item, value) else item.default
    return replace(config, **kept)  # type: ignore[type-var]


def _identifies(item: Field[Any], value: Any) -> bool:
    unused = item.metadata.get("added") and value == item.default
    return _changes_result(item, value) and not unused


def identity(config: RunConfig) -> str:
    """SHA-256 (hexadecimal) of the variant and of all settings that change its result."""
    settings = flatten(config, _identifies) | {"variant": config.variant}
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def differences(given: RunConfig, stored: RunConfig) -> list[str]:
    """The settings in which two configs compute different things, a line each."""
    if given.variant != stored.variant:
        return [f"variant: the run has {stored.variant!r}, given was {given.variant!r}"]
    new, old = flatten(given, _changes_result), flatten(stored, _changes_result)
    return [
        f"{name}: the run has {old[name]!r}, given was {new[name]!r}"
        for name in new
        if new[name] != old[name]
    ]
