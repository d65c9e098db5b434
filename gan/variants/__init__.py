"""The systems, one file each: networks, optimisers, and one update that reads like its source."""

import importlib

import torch

from gan.config import RunConfig
from gan.data import DataInfo
from gan.variants.base import Variant

__all__ = ["Variant", "build"]


def build(config: RunConfig, info: DataInfo, device: torch.device) -> Variant:
    """The variant that `config` describes, freshly initialised from the run's seed."""
    module = importlib.import_module(f"gan.variants.{config.variant}")
    variant: Variant = module.build(config, info, device)
    return variant
