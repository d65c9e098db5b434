"""Pre-training without labels, and what comes of it: the runs of such a pipeline."""

from dataclasses import dataclass, replace
from typing import ClassVar

from gan import config as configs
from gan import simclr_recipes as recipes
from gan.config import (
    ConfigError,
    EncoderClassifierConfig,
    Pretrained,
    RunConfig,
    SimCLRConfig,
)
from gan.data import DataInfo
from jobs.pretrained import Source
from jobs.shared import Shared

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

    def check(self, infos: dict[str, DataInfo]) -> None:
        """Raise ConfigError if the encoder does not go with what is to be done with it."""
        source = Source(PRETRAIN, self.pretrain, infos[PRETRAIN].channels)
        for name, config in (("probe", self.probe), ("finetune", self.finetune)):
            source.check_fits(config, infos[name].channels, f"{name}.")

    def divide(self, member: str, threads: int) -> int:
        """Pre-training goes on beside two of the others, which then follow it in pairs."""
        return max(1, threads // (2 if member == PRETRAIN else 4))


def simclr() -> SelfSupervised:
    """S4: SimCLR on CIFAR-10, then linear layer, fine-tuning and scratch, in one report."""
    return _of(recipes.simclr_pretrain(), recipes.simclr_probe(), recipes.simclr_finetune())


def simclr_quick() -> SelfSupervised:
    """S4: the same with a small encoder, for two cores (36 minutes of a busy machine)."""
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
