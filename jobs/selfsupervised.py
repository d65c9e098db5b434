"""Pre-training without labels, and what comes of it: the runs, and where their encoder is from."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from gan import config as configs
from gan import simclr_recipes as recipes
from gan.config import (
    ConfigError,
    EncoderClassifierConfig,
    EncoderModel,
    Pretrained,
    RunConfig,
    SimCLRConfig,
)
from gan.data import DataInfo
from jobs import records
from jobs.run import Run, RunError, find
from jobs.shared import Config, Shared

PRETRAIN = "pretrain"
FROZEN = ("probe", "probe-untrained")
CLASSIFIERS = {  # what becomes of it, in words
    "probe": "linear layer on the frozen pre-trained encoder",
    "probe-untrained": "linear layer on the same encoder, untrained and frozen",
    "finetune": "classifier that began with the pre-trained encoder",
    "scratch": "the same classifier without pre-training",
}


@dataclass(frozen=True)
class SelfSupervised(Shared):
    """SimCLR, then its encoder under a linear layer and fine-tuned; each beside the same without
    pre-training."""

    kind: ClassVar[str] = "selfsupervised"
    pretrain: SimCLRConfig
    probe: EncoderClassifierConfig
    """linear layer on the frozen encoder, also on an untrained one"""
    finetune: EncoderClassifierConfig
    """classifier that begins with the encoder, and the same from scratch"""
    data: str | None = None
    """data set of all runs, in place of their own"""

    def __post_init__(self) -> None:
        for name, config, frozen in (
            ("probe", self.probe, True),
            ("finetune", self.finetune, False),
        ):
            if config.pretrained != Pretrained():
                raise ConfigError(
                    f"{name}.pretrained.run is {config.pretrained.run!r}; allowed: none, since the "
                    "encoder is the one that is pre-trained here"
                )
            if config.model.frozen is not frozen:
                raise ConfigError(
                    f"{name}.model.frozen is {config.model.frozen}; allowed: {frozen}"
                )

    def members(self) -> dict[str, RunConfig]:
        pretrain = self.apply(self.pretrain)
        source = Pretrained(f"../{PRETRAIN}", configs.identity(pretrain))
        probe, finetune = self.apply(self.probe), self.apply(self.finetune)
        return {
            PRETRAIN: pretrain,
            "probe": replace(probe, pretrained=source),
            "probe-untrained": probe,
            "finetune": replace(finetune, pretrained=source),
            "scratch": finetune,
        }

    def apply(self, config: Config) -> Config:
        config = super().apply(config)
        name = config.data.name if self.data is None else self.data
        return replace(config, data=replace(config.data, name=name))

    def check(self, infos: dict[str, DataInfo]) -> None:
        """Raise ConfigError if the encoder does not go with what is to be done with it."""
        source = _Source(PRETRAIN, self.pretrain, infos[PRETRAIN].channels)
        for name, config in (("probe", self.probe), ("finetune", self.finetune)):
            source.check_fits(config, infos[name].channels, f"{name}.")

    def divide(self, member: str, threads: int) -> int:
        """Pre-training goes on beside two of the others, which then follow it in pairs."""
        return max(1, threads // (2 if member == PRETRAIN else 4))


def simclr() -> SelfSupervised:
    """S4: SimCLR on CIFAR-10, then linear layer, fine-tuning and scratch, in one report."""
    return _of(recipes.simclr_pretrain(), recipes.simclr_probe(), recipes.simclr_finetune())


def simclr_quick() -> SelfSupervised:
    """S4: the same with a small encoder: some ten minutes on two cores."""
    return _of(
        recipes.simclr_pretrain_quick(),
        recipes.simclr_probe_quick(),
        recipes.simclr_finetune_quick(),
    )


def simclr_digits() -> SelfSupervised:
    """S4: the same with a small encoder on the embedded digits: minutes on two cores."""
    classifier = recipes.encoder_digits()
    few = replace(classifier.data, train_share=0.05)
    return SelfSupervised(
        recipes.simclr_pretrain_digits(),
        replace(classifier, model=replace(classifier.model, frozen=True)),
        replace(classifier, data=few, train=replace(classifier.train, passes_per_epoch=20)),
    )


def _of(
    pretrain: SimCLRConfig, probe: EncoderClassifierConfig, finetune: EncoderClassifierConfig
) -> SelfSupervised:
    """Recipes of runs by themselves, put together."""
    alone = Pretrained()
    return SelfSupervised(
        pretrain, replace(probe, pretrained=alone), replace(finetune, pretrained=alone)
    )


@dataclass(frozen=True)
class _Source:
    """Where an encoder comes from, and what images it takes."""

    name: str
    config: RunConfig
    channels: int

    def check_fits(self, config: EncoderClassifierConfig, channels: int, prefix: str = "") -> None:
        """Raise ConfigError unless it is the encoder, and are the images, of these settings."""
        theirs = getattr(self.config, "model", None)
        if not isinstance(theirs, EncoderModel):
            raise ConfigError(
                f"{prefix}pretrained.run is {self.name}, which is a run of {self.config.variant} "
                "and has no encoder; allowed: runs of simclr or encoder_classifier"
            )
        size, their_size = config.data.image_size, self.config.data.image_size
        compared = (
            ("model.encoder", config.model.encoder, theirs.encoder),
            ("model.width", config.model.width, theirs.width),
            ("data.image_size", size, their_size),
            ("data.channels come to", channels, self.channels),
        )
        for setting, ours, wanted in compared:
            if ours != wanted:
                raise ConfigError(
                    f"{prefix}{setting} is {ours!r}; allowed: {wanted!r}, as in {self.name}, "
                    "whose encoder is used"
                )


def settle(config: RunConfig, info: DataInfo, run: Run, runs: Path) -> RunConfig:
    """`config` with the place and the identity of its pre-trained encoder, if it begins with one.

    `pretrained.run` may be a run's name below `runs`, or a path; that run must be finished and fit.
    If it is gone, `run` goes on with what it began with. Raises ConfigError or RunError.
    """
    if not isinstance(config, EncoderClassifierConfig):
        return config
    given = config.pretrained
    if not given.run:
        if given.identity:
            raise ConfigError(
                f"pretrained.identity is {given.identity!r} without pretrained.run; allowed: none"
            )
        return config
    try:
        source = find(given.run, runs)
    except RunError as error:
        if begun := _as_begun(config, run, runs):
            return begun
        raise RunError(f'pretrained.run: {error}; "" is an untrained encoder') from None
    settings = source.settings()
    theirs = source.config(settings)
    _Source(given.run, theirs, settings["data"]["channels"]).check_fits(config, info.channels)
    records.require(source, "train")
    known = configs.identity(theirs)
    if given.identity not in ("", known):
        raise ConfigError(
            f"pretrained.identity is {given.identity!r}, {given.run} has {known!r}; allowed: the "
            "same, or none"
        )
    return replace(config, pretrained=Pretrained(str(source.path.resolve()), known))


def _as_begun(
    config: EncoderClassifierConfig, run: Run, runs: Path
) -> EncoderClassifierConfig | None:
    """With the encoder that `run` began with, if it is the one of the same place, now gone."""
    stored = run.config() if run.exists else None
    if not isinstance(stored, EncoderClassifierConfig):
        return None
    places = [(place / config.pretrained.run).resolve() for place in (runs, Path())]
    same = Path(stored.pretrained.run) in places
    return replace(config, pretrained=stored.pretrained) if same else None


def placed(config: RunConfig, run: Run) -> RunConfig:
    """With the folder of a pre-trained run of the same pipeline as an absolute path."""
    if not isinstance(config, EncoderClassifierConfig) or not config.pretrained.run:
        return config
    folder = (run.path / config.pretrained.run).resolve()  # an absolute one stays as it is
    return replace(config, pretrained=replace(config.pretrained, run=str(folder)))


def source_of(config: RunConfig) -> str | None:
    """Name of the member of the same pipeline whose encoder `config` begins with."""
    if isinstance(config, EncoderClassifierConfig):
        parent, _, name = config.pretrained.run.partition("/")
        return name if parent == ".." else None
    return None


def needs(config: RunConfig, path: Path) -> tuple[tuple[Path, str], ...]:
    """What must be finished before the run at `path` is trained, inside a pipeline or by itself."""
    source = source_of(config)
    return ((path.parent / source, "train"),) if source else ()
