"""A run's identity: what changes it, and what leaves runs that were made before alone."""

import hashlib
import json
from dataclasses import replace

from gan import config as configs
from gan.config import ClassifierConfig, DataConfig

LATER = {
    "data.channels", "data.train_share", "data.crop_ratio_max", "data.hue", "data.jitter_share",
    "data.grey", "data.blur",
}  # fmt: skip
OPERATIONAL = {
    "data.root", "data.download", "data.memory_gb", "data.copy_to", "train.log_every",
    "train.keep_checkpoints", "train.checkpoint_minutes", "train.energy_country",
    "train.on_nan", "train.most_rollbacks",
}  # fmt: skip


def test_settings_that_came_later_are_left_out_while_at_their_default() -> None:
    config = ClassifierConfig()
    earlier = {
        name: value
        for name, value in configs.flatten(config).items()
        if name not in LATER | OPERATIONAL | {"train.compile"}  # see test_gan_arithmetic.py
    }
    hashed = json.dumps(earlier | {"variant": "classifier"}, sort_keys=True)
    assert configs.identity(config) == hashlib.sha256(hashed.encode()).hexdigest()


def test_every_setting_that_came_later_counts_once_it_is_used() -> None:
    used = {
        "channels": "grey", "train_share": 0.5, "crop_ratio_max": 1.3, "hue": 0.1,
        "jitter_share": 0.8, "grey": 0.2, "blur": 0.5,
    }  # fmt: skip
    assert {f"data.{name}" for name in used} == LATER
    changed = [ClassifierConfig(data=DataConfig(**{name: v})) for name, v in used.items()]
    assert len({configs.identity(c) for c in [ClassifierConfig(), *changed]}) == 1 + len(used)
    told = [line for c in changed for line in configs.differences(c, ClassifierConfig())]
    assert told[1] == "data.train_share: the run has 1.0, given was 0.5"


def test_operational_settings_do_not_count() -> None:
    config = ClassifierConfig()
    elsewhere = replace(config, data=replace(config.data, root="other", memory_gb=0.0))
    assert configs.identity(elsewhere) == configs.identity(config)
    assert configs.differences(elsewhere, config) == []
