"""What all systems promise the loop. Updates of GANs: test_gan_variants_adversarial.py."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gan import data, variants
from gan.batches import Batches
from gan.config import ACGANConfig, ClassifierConfig, RunConfig
from gan.rng import Draws, Stream
from gan.variants import Variant

CPU = torch.device("cpu")


def build(config: RunConfig) -> tuple[Variant, Batches]:
    images = data.load(config.data)
    return variants.build(config, images.info, CPU), Batches(images, config, CPU)


def test_same_seed_same_networks(tiny_acgan: ACGANConfig) -> None:
    first, second = build(tiny_acgan)[0], build(tiny_acgan)[0]
    other = build(replace(tiny_acgan, seed=1))[0]
    weights = [v.critic.fc1.weight for v in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_classifier_update_is_cross_entropy_on_fc10(tiny_classifier: ClassifierConfig) -> None:
    variant, batches = build(tiny_classifier)
    images, labels = batches.at(0, Draws(0, 0))
    logits = variant.critic(images)[1].detach().double().numpy()
    log_sum = np.log(np.exp(logits).sum(1))
    expected = (log_sum - logits[np.arange(len(labels)), labels]).mean()
    fc1 = variant.critic.fc1.weight.detach().clone()
    loss, accuracy = variant.update(images, labels, Draws(0, 0)).tolist()
    assert loss == pytest.approx(expected, rel=1e-5)
    assert accuracy == pytest.approx((logits.argmax(1) == labels.numpy()).mean())
    assert torch.equal(variant.critic.fc1.weight, fc1)


def test_gradient_norms_are_those_of_each_players_latest_step(tiny_acgan: ACGANConfig) -> None:
    config = replace(tiny_acgan, game=replace(tiny_acgan.game, generator_every=2))
    variant, batches = build(config)
    assert variant.gradient_norms(variant.optimizers) == {}
    norms = []
    for step in range(2):
        variant.update(*batches.at(step, Draws(0, step)), Draws(0, step))
        norms.append(variant.gradient_norms(variant.optimizers))
        for player, norm in norms[-1].items():
            gradients = [p.grad.double() for p in variant.networks[player].parameters()]
            expected = sum(float((g * g).sum()) for g in gradients) ** 0.5
            assert norm.item() == pytest.approx(expected, rel=1e-5)
            assert not norm.requires_grad
    assert norms[0].keys() == {"generator", "discriminator"}
    assert norms[0]["generator"] == norms[1]["generator"]  # it has not moved again
    assert norms[0]["discriminator"] != norms[1]["discriminator"]


def test_noise_carries_the_label(tiny_acgan: ACGANConfig) -> None:
    variant, _ = build(tiny_acgan)
    labels = torch.tensor([3, 0])
    noise = variant.noise(labels, Stream.GRID, Draws(0, 0))
    assert noise.shape == (2, 100)
    assert torch.equal(noise[:, :10], F.one_hot(labels, 10).float())
    plain = Draws(0, 0).normal(Stream.GRID, 2, 100)
    assert torch.equal(noise[:, 10:], plain[:, 10:])


def test_sampler_is_the_average_if_there_is_one(tiny_acgan: ACGANConfig) -> None:
    averaged, _ = build(tiny_acgan)
    plain, _ = build(replace(tiny_acgan, game=replace(tiny_acgan.game, ema_decay=0.0)))
    assert averaged.sampler is averaged.ema.average
    assert plain.sampler is plain.generator


def test_classifier_makes_no_images(tiny_classifier: ClassifierConfig) -> None:
    variant, _ = build(tiny_classifier)
    assert variant.sampler is None
    with pytest.raises(NotImplementedError, match="Classifier generates no images"):
        variant.noise(torch.tensor([0]), Stream.GRID, Draws(0, 0))
