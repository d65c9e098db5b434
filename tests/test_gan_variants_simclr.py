"""SimCLR's step, its two views, and what is measured after an epoch."""

import copy
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_gan_contrastive import plain_nt_xent
from trainers import build_trainer

from gan import augment, data, neighbours, variants
from gan.batches import Batches
from gan.config import ConfigError, Contrast, SimCLRConfig
from gan.distributed import World
from gan.evaluation import Interrupted
from gan.rng import Draws
from gan.variants.simclr import SimCLR

CPU = torch.device("cpu")


def build(config: SimCLRConfig) -> tuple[SimCLR, Batches]:
    images = data.load(config.data)
    return variants.build(config, images.info, CPU), Batches(images, config, CPU)


def test_rows_k_and_k_plus_b_are_views_of_one_image(tiny_simclr: SimCLRConfig) -> None:
    batches = build(tiny_simclr)[1]
    images, labels = batches.at(3, Draws(0, 3))
    assert images.shape == (128, 1, 8, 8)
    assert labels.shape == (64,)
    plain = batches.images.take(batches.indices(3))
    for view, half in enumerate(images.chunk(2)):
        expected = augment.augment(plain, tiny_simclr.data, Draws(0, 3), view)
        assert torch.equal(half, expected)
    assert not torch.equal(*images.chunk(2))


def test_views_are_a_function_of_the_step(tiny_simclr: SimCLRConfig) -> None:
    first, again = build(tiny_simclr)[1], build(tiny_simclr)[1]
    for step in (0, 30, 5):
        assert torch.equal(first.at(step, Draws(0, step))[0], again.at(step, Draws(0, step))[0])
    other = replace(tiny_simclr, seed=1)
    assert not torch.equal(first.at(0, Draws(0, 0))[0], build(other)[1].at(0, Draws(1, 0))[0])


def test_without_augmentation_the_views_are_alike(tiny_simclr: SimCLRConfig) -> None:
    still = replace(tiny_simclr.data, crop_scale_min=1.0, crop_ratio_max=1.0, jitter=0.0)
    images, _ = build(replace(tiny_simclr, data=still))[1].at(0, Draws(0, 0))
    assert torch.equal(*images.chunk(2))


def test_update_is_one_adam_step_on_nt_xent(tiny_simclr: SimCLRConfig) -> None:
    variant, batches = build(tiny_simclr)
    images, labels = batches.at(0, Draws(0, 0))
    plain = copy.deepcopy(variant.model)
    adam = torch.optim.Adam(plain.parameters(), lr=tiny_simclr.optim.learning_rate)
    z = plain(images)
    similarity = torch.nn.functional.cosine_similarity(z, z.roll(64, 0))
    scores = torch.nn.functional.cosine_similarity(z[:, None], z[None], dim=2) / 0.5
    others = scores.exp().sum(1) - scores.diagonal().exp()
    (others.log() - similarity / 0.5).mean().backward()
    adam.step()
    loss, found = variant.update(images, labels, Draws(0, 0)).tolist()
    assert loss == pytest.approx(plain_nt_xent(z.detach().double().numpy(), 0.5), rel=1e-5)
    assert found == pytest.approx(similarity.mean().item(), rel=1e-5)
    for (name, ours), theirs in zip(
        variant.model.named_parameters(), plain.parameters(), strict=True
    ):
        # Adam's first step is lr * sign(g): a gradient of rounding size may differ in sign
        close = torch.isclose(ours, theirs, rtol=1e-4, atol=1e-5)
        assert close.float().mean() > 0.9, name


def test_labels_are_never_trained_on(tiny_simclr: SimCLRConfig) -> None:
    one, other = build(tiny_simclr)[0], build(tiny_simclr)[0]
    images, labels = build(tiny_simclr)[1].at(0, Draws(0, 0))
    assert torch.equal(
        one.update(images, labels, Draws(0, 0)), other.update(images, 9 - labels, Draws(0, 0))
    )


def test_loss_falls_below_that_of_a_collapse(tiny_simclr: SimCLRConfig) -> None:
    variant, batches = build(tiny_simclr)
    losses = [
        variant.update(*batches.at(step, Draws(0, step)), Draws(0, step))[0].item()
        for step in range(22)
    ]
    assert losses[-1] < losses[0]
    assert losses[-1] < math.log(2 * 64 - 1) - 0.1


def test_knn_accuracy_is_that_of_the_features(tiny_simclr: SimCLRConfig) -> None:
    few = replace(tiny_simclr, contrast=Contrast(neighbours=5, bank=100))
    variant, images = build(few)[0], data.load(few.data)
    measured = variant.measure(images, lambda: None)
    chosen = np.linspace(0, len(images.train_images) - 1, 100).round().astype(int)
    encoder = variant.model.encoder.eval()
    with torch.no_grad():
        bank, queries = (
            encoder(torch.from_numpy(x).float() / 127.5 - 1)
            for x in (images.train_images[chosen], images.test_images)
        )
    labels = torch.from_numpy(images.train_labels[chosen])
    votes = neighbours.vote(bank, labels, queries, 5, 10).argmax(1).numpy()
    assert measured == {"test/knn_accuracy": float((votes == images.test_labels).mean())}
    assert variant.model.encoder.training is False


def test_measuring_changes_nothing_and_can_be_stopped(tiny_simclr: SimCLRConfig) -> None:
    variant, batches = build(tiny_simclr)
    images = data.load(tiny_simclr.data)
    variant.update(*batches.at(0, Draws(0, 0)), Draws(0, 0))
    before = {k: v.clone() for k, v in variant.model.state_dict().items()}
    variant.measure(images, lambda: None)
    assert all(torch.equal(v, before[k]) for k, v in variant.model.state_dict().items())
    assert variant.model.training
    with pytest.raises(Interrupted):
        variant.measure(images, lambda: "terminated")


def test_images_without_classes_are_trained_on_and_not_measured(
    tiny_simclr: SimCLRConfig,
) -> None:
    images = data.load(tiny_simclr.data)
    unlabelled = replace(images, info=replace(images.info, classes=("image",)))
    variant = variants.build(tiny_simclr, unlabelled.info, CPU)
    assert variant.measure(unlabelled, lambda: None) == {}
    assert variant.sampler is None
    assert not variant.classifies


def test_more_than_one_rank_is_refused_by_name(tiny_simclr: SimCLRConfig, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"the contrastive loss needs the whole batch .* allowed: 1"
    ):
        build_trainer(tmp_path, tiny_simclr, world=World(rank=0, size=2))


def test_a_batch_of_one_image_is_refused(tiny_simclr: SimCLRConfig) -> None:
    lonely = replace(tiny_simclr, train=replace(tiny_simclr.train, batch_size=1))
    with pytest.raises(ConfigError, match="batch_size is 1; allowed: 2 to 1438"):
        data.check(lonely, data.inspect(lonely.data))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"temperature": 0.0}, "contrast.temperature is 0.0; allowed: above 0"),
        ({"neighbours": 0}, "contrast.neighbours is 0; allowed: 1 or more"),
        ({"bank": 10}, "contrast.bank is 10; allowed: contrast.neighbours or more"),
    ],
)
def test_wrong_settings_are_refused_by_name(settings: dict[str, float], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Contrast(**settings)
