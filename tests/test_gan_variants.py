"""One update of each system against the plainest reading of its document."""

import copy
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


def plain_update(variant: Variant, real: torch.Tensor, labels: torch.Tensor, draws: Draws) -> dict:
    """S0's iteration as its document writes it: separate batches, a frozen critic, torch's Adam."""
    critic, generator = copy.deepcopy(variant.critic), copy.deepcopy(variant.generator)
    adam_g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.0, 0.9))
    adam_d = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.9))
    count = len(real)

    def noise(stream: Stream, fake_labels: torch.Tensor) -> torch.Tensor:
        z = draws.normal(stream, count, 100)
        z[:, :10] = 0
        z[torch.arange(count), fake_labels] = 1
        return z

    generator.train()
    critic.requires_grad_(False)
    asked = draws.labels(Stream.GENERATOR_LABELS, count, 10)
    source, classes = critic(generator(noise(Stream.GENERATOR_NOISE, asked)))
    (-source.mean() + F.cross_entropy(classes, asked)).backward()
    adam_g.step()
    critic.requires_grad_(True)
    asked = draws.labels(Stream.CRITIC_LABELS, count, 10)
    with torch.no_grad():
        fake = generator(noise(Stream.CRITIC_NOISE, asked))
    fake_source, fake_class = critic(fake)
    real_source, real_class = critic(real)
    alpha = draws.uniform(Stream.PENALTY, count, 1, 1, 1)
    mixed = (alpha * real + (1 - alpha) * fake).requires_grad_()
    slope = torch.autograd.grad(critic(mixed)[0].sum(), mixed, create_graph=True)[0]
    terms = {
        "gradient_penalty": 10 * ((slope.flatten(1).norm(2, dim=1) - 1) ** 2).mean(),
        "fake_source": fake_source.mean(),
        "real_source": real_source.mean(),
        "real_class": F.cross_entropy(real_class, labels),
        "fake_class": F.cross_entropy(fake_class, asked),
    }
    signs = {"real_source": -1}
    sum(signs.get(name, 1) * term for name, term in terms.items()).backward()
    adam_d.step()
    terms["accuracy"] = (real_class.argmax(1) == labels).float().mean()
    return {"terms": terms, "critic": critic, "generator": generator}


def test_acgan_update_is_the_documents(tiny_acgan: ACGANConfig) -> None:
    variant, batches = build(tiny_acgan)
    draws = Draws(0, 0)
    images, labels = batches.at(0, draws)
    expected = plain_update(variant, images, labels, draws)
    terms = variant.update(images, labels, draws)
    named = dict(zip(variant.terms, terms, strict=True))
    for name, value in expected["terms"].items():
        torch.testing.assert_close(named[name], value, rtol=1e-4, atol=1e-5)
    for name in ("critic", "generator"):
        updated = dict(getattr(variant, name).named_parameters())
        for key, parameter in expected[name].named_parameters():
            # Adam's first step is lr * sign(g): a gradient of rounding size may differ in sign
            close = torch.isclose(updated[key], parameter, rtol=1e-4, atol=1e-5)
            assert close.float().mean() > 0.97, (name, key)


def test_generator_trains_every_nth_step_only(tiny_acgan: ACGANConfig) -> None:
    game = replace(tiny_acgan.game, generator_every=5)
    variant, batches = build(replace(tiny_acgan, game=game))
    weight = variant.generator.conv8.weight
    changed = []
    for step in range(11):
        before = weight.detach().clone()
        variant.update(*batches.at(step, Draws(0, step)), Draws(0, step))
        changed.append(not torch.equal(before, weight))
    assert [step for step, change in enumerate(changed) if change] == [0, 5, 10]


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
