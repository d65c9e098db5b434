"""Training seen over time, and latent space, on models of every size and both kinds of picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from games import tiny

from gan import variants
from gan.config import DataConfig, Game, GANConfig
from gan.data import DataInfo, ImageSet
from gan.generation import Request
from gan.samples import Samples
from gan.variants.adversarial import Adversarial
from gan.visual import checkerboard, diversity, figures, latent, scores

CLASSES = 10
GP = Game(loss="wasserstein", regulariser="gradient-penalty", auxiliary=True)
MODELS = [
    ("dcgan", 1, 28),
    ("dcgan_lab", 1, 28),
    ("mlp_gan", 3, 28),
    ("acgan", 3, 32),
    ("dcgan_lab", 3, 32),
    ("progressive", 3, 32),
    ("cats", 3, 64),
    ("acgan", 1, 64),
]


def sized(name: str, size: int) -> GANConfig:
    game = GP if name in ("acgan", "progressive") else Game(auxiliary=True)
    return replace(tiny(name, game), data=DataConfig(image_size=size))


def made_images(channels: int, size: int) -> ImageSet:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (60, channels, size, size), np.uint8)
    info = DataInfo("made", 60, 60, channels, tuple("0123456789"), "")
    labels = np.arange(60) % CLASSES
    return ImageSet(info, images, labels, images, labels)


@pytest.mark.parametrize(("name", "channels", "size"), MODELS)
def test_a_model_is_seen_whatever_its_pictures(name: str, channels: int, size: int) -> None:
    images = made_images(channels, size)
    variant = variants.build(sized(name, size), images.info, torch.device("cpu"))
    assert isinstance(variant, Adversarial)
    shape = size, size, channels
    assert latent.class_by_noise(variant, 2).shape == (2, CLASSES, *shape)
    for kind in latent.PSIS:
        found = latent.Study(kind, (0.5, 1.0), count=20).run(variant, judge=variant)
        assert [one.shown.shape for one in found] == [(10, *shape)] * 2
        assert all(0 <= one.accuracy <= 1 for one in found)
        assert figures.truncation(found)
    made = Request(30).pictures(variant)
    judged = scores.scores_of(variant, images, np.moveaxis(made, 3, 1).copy())
    assert np.isfinite(judged.generated).all()
    assert figures.score_distributions(judged)
    parts = checkerboard.measure(np.moveaxis(images.test_images, 1, 3), made + made[::-1])
    assert [part.period for part in parts] == ([2, 4] if size == 28 else [2, 4, 8])
    snapshots = Samples(np.stack([made, made]), np.arange(30) % CLASSES, np.array([5, 9]), {})
    for judge in (None, variant):
        watched = diversity.watch(snapshots, images, judge)
        assert watched is not None
        assert watched.values.shape == (2, CLASSES)
        assert figures.diversity_over_time(watched)
