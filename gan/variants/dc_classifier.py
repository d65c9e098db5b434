"""S4's convolutional discriminator as a classifier: its body with one output a class."""

import torch

from gan.blocks import HeadOptions
from gan.config import DCClassifierConfig
from gan.data import DataInfo
from gan.variants.classifier import Classifier
from gan.variants.dcgan import DCCritic


def build(config: DCClassifierConfig, info: DataInfo, device: torch.device) -> Classifier:
    options = HeadOptions(classes=len(info.classes), scores=False)
    size, width = config.data.image_size, config.model.width
    return Classifier(config, info, device, lambda: DCCritic(size, info.channels, width, options))
