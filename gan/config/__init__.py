"""Everything that says what a run computes: typed, frozen, checked when made.

Nothing here imports torch: a submission is checked in well under a second, on a login node.
Settings that cannot change the result (where the data lie, how often to log) are marked
`identity=False`; a run's identity is the hash of all the others.
"""

from gan.config.base import (
    FEWEST_COMPARED,
    LARGEST_STEP,
    AdamConfig,
    RunConfig,
    TrainConfig,
    differences,
    flatten,
    identity,
    portable,
    saturation_step,
)
from gan.config.classifiers import (
    ClassifierConfig,
    ClassifierModel,
    DCClassifierConfig,
    DCClassifierModel,
)
from gan.config.contrastive import (
    Contrast,
    EncoderClassifierConfig,
    EncoderClassifierModel,
    EncoderModel,
    Pretrained,
    SimCLRConfig,
    SimCLRModel,
)
from gan.config.data import DataConfig
from gan.config.game import Game, GANConfig, GANModel
from gan.config.gans import (
    ACGANConfig,
    ACGANModel,
    CatsConfig,
    CatsModel,
    DCGANConfig,
    DCGANLabConfig,
    DCGANLabModel,
    DCGANModel,
    MLPGANConfig,
    MLPGANModel,
)
from gan.config.progressive import ProgressiveConfig, ProgressiveModel
from gan.config.settings import ConfigError

__all__ = [
    "FEWEST_COMPARED", "LARGEST_STEP", "VARIANTS", "ACGANConfig", "ACGANModel", "AdamConfig",
    "CatsConfig", "CatsModel", "ClassifierConfig", "ClassifierModel", "ConfigError", "Contrast",
    "DCClassifierConfig", "DCClassifierModel", "DCGANConfig", "DCGANLabConfig", "DCGANLabModel",
    "DCGANModel", "DataConfig", "EncoderClassifierConfig", "EncoderClassifierModel", "EncoderModel",
    "GANConfig", "GANModel", "Game", "MLPGANConfig", "MLPGANModel", "Pretrained",
    "ProgressiveConfig", "ProgressiveModel", "RunConfig", "SimCLRConfig", "SimCLRModel",
    "TrainConfig", "differences", "flatten", "identity", "portable", "saturation_step",
]  # fmt: skip

VARIANTS: dict[str, type[RunConfig]] = {
    config.variant: config
    for config in (
        ClassifierConfig,
        ACGANConfig,
        DCClassifierConfig,
        DCGANLabConfig,
        CatsConfig,
        MLPGANConfig,
        DCGANConfig,
        ProgressiveConfig,
        SimCLRConfig,
        EncoderClassifierConfig,
    )
}
