"""Classes against noise, and truncation: noise by hand, images of every kind of generator."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from games import build, tiny
from scipy import stats

from gan import batches, evaluation, variants
from gan import data as data_sets
from gan.config import ClassifierConfig, Game
from gan.evaluation import Interrupted
from gan.generation import Request
from gan.rng import Draws, Stream
from gan.variants.adversarial import Adversarial
from gan.visual import diversity, latent
from gan.visual.latent import Study, class_by_noise, truncate

CLASSES = Game(auxiliary=True)
GP = Game(loss="wasserstein", regulariser="gradient-penalty", auxiliary=True)
SYSTEMS = {
    "acgan": tiny("acgan", GP),
    "dcgan_lab": tiny("dcgan_lab", CLASSES),
    "dcgan": tiny("dcgan", CLASSES),  # on batch statistics, uniform noise
    "cats": tiny("cats", CLASSES),
    "mlp_gan": tiny("mlp_gan", Game()),
    "progressive": tiny("progressive", replace(GP, auxiliary=False)),
}
ALIKE_AT_ANY_LENGTH = "progressive"  # which divides its noise by its length


def built(name: str) -> Adversarial:
    """Fresh networks whose running statistics are those of their noise: the images then differ."""
    variant, _ = build(SYSTEMS[name])
    with torch.no_grad():
        for step in range(30):
            variant.sampler(variant.noise(variant.asked(64), Stream.GRID, Draws(9, step)))
    return variant


@pytest.mark.parametrize("name", ["acgan", "dcgan_lab", "dcgan", "cats"])
def test_a_row_is_one_noise_and_a_column_one_class(name: str) -> None:
    variant = built(name)
    images = class_by_noise(variant, rows=3, seed=5)
    assert images.shape == (3, 10, 16, 16, 1)
    plain = Draws(5, 0).normal(Stream.SAMPLE, 3, 14)
    if SYSTEMS[name].model.noise == "uniform":
        plain = Draws(5, 0).uniform(Stream.SAMPLE, 3, 14) * 2 - 1
    noise = torch.cat([torch.eye(10).repeat(3, 1), plain[:, 10:].repeat_interleave(10, 0)], 1)
    if name == "dcgan":  # 30 of them, and 98 others
        labels = Request(128).labels(variant)
        others = variant.noise(labels, Stream.SAMPLE, Draws(5, 2))
        noise = torch.cat([noise, others[30:]])
    with torch.no_grad():
        expected = batches.to_bytes(variant.generator.eval()(noise)[:30])
    apart = images.reshape(30, 16, 16, 1).astype(int) - expected
    assert abs(apart).max() <= 1  # another size of batch, other rounding
    more = class_by_noise(variant, rows=4, seed=5)
    if name != "dcgan":
        assert np.array_equal(more[:3], images)
        own = Request(4, seed=5).pictures(variant)
        assert all(np.array_equal(more[row, row], own[row]) for row in range(4))
    assert not np.array_equal(class_by_noise(variant, 3, seed=6), images)


def test_rows_need_classes_and_a_batch() -> None:
    with pytest.raises(ValueError, match="2 rows of 0 classes were asked for; allowed: 1 to 128"):
        class_by_noise(built("mlp_gan"), 2)
    for rows in (0, 129):
        with pytest.raises(ValueError, match=f"{rows} rows of 10 classes"):
            class_by_noise(built("acgan"), rows)
    answers = iter([False, True])
    with pytest.raises(Interrupted):
        class_by_noise(built("acgan"), 128, stop=lambda: next(answers))


def test_scaled_noise_by_hand() -> None:
    variant = built("acgan")
    noise = torch.arange(28.0).reshape(2, 14)
    expected = noise.clone()
    expected[:, 10:] *= 0.25
    assert torch.equal(truncate(variant, noise, "scaled", 0.25, Draws(0, 0)), expected)
    assert torch.equal(truncate(variant, noise, "scaled", 1, Draws(0, 0)), noise)
    for psi in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="allowed: above 0"):
            truncate(variant, noise, "scaled", psi, Draws(0, 0))


@pytest.mark.parametrize("name", ["acgan", "dcgan"])
@pytest.mark.parametrize("psi", [0.3, 0.9, 5.0])
def test_redrawn_noise_keeps_what_is_within_and_has_its_distribution(name: str, psi: float) -> None:
    variant = built(name)
    noise = variant.noise(torch.arange(5000) % 10, Stream.SAMPLE, Draws(0, 0))
    found = truncate(variant, noise, "redrawn", psi, Draws(0, 0))
    assert found.dtype == torch.float32
    assert torch.equal(found[:, :10], noise[:, :10])
    before, after = noise[:, 10:], found[:, 10:]
    within = before.abs() <= psi
    assert torch.equal(after[within], before[within])
    assert after.abs().max() <= psi
    if name == "acgan":
        expected = stats.truncnorm(-psi, psi)
    else:
        most = min(psi, 1.0)
        expected = stats.uniform(-most, 2 * most)
    assert stats.kstest(after.flatten().numpy(), expected.cdf).pvalue > 0.01
    assert torch.equal(found, truncate(variant, noise, "redrawn", psi, Draws(0, 0)))


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("kind", ["scaled", "redrawn"])
def test_images_are_less_diverse_the_smaller_psi(name: str, kind: str) -> None:
    variant = built(name)
    low, middle, high = Study(kind, (1.0, 0.05, 0.4), count=40).run(variant)
    assert (low.psi, middle.psi, high.psi) == (0.05, 0.4, 1.0)
    assert low.shown.shape == (10, 16, 16, 1)
    if name == ALIKE_AT_ANY_LENGTH:
        assert low.diversity == pytest.approx(high.diversity, rel=0.1)
        return
    assert low.diversity < middle.diversity < high.diversity
    if kind == "scaled" and name != "dcgan":
        assert np.array_equal(high.shown, Request(10).pictures(variant))


def test_batch_statistics_would_take_truncation_away_again() -> None:
    variant = built("dcgan")
    noise = variant.noise(variant.asked(128), Stream.SAMPLE, Draws(0, 0))
    small = truncate(variant, noise, "scaled", 0.02, Draws(0, 0))
    alone, company = (
        diversity.mean_distance(diversity.in_pixels(images))
        for images in (
            evaluation.generate(variant.sampler, small),
            latent.Company(variant, 0).images(small),
        )
    )
    assert company < 0.8 * alone
    few = latent.Company(variant, 0).images(small[:3])
    assert few.shape == (3, 16, 16, 1)


def test_a_judge_says_what_it_sees(tiny_classifier: ClassifierConfig) -> None:
    config = replace(tiny_classifier, data=replace(tiny_classifier.data, image_size=16))
    judge = variants.build(config, data_sets.inspect(config.data), torch.device("cpu"))
    variant = built("acgan")
    (found,) = Study("scaled", (0.5,), count=60, seed=3).run(variant, judge)
    labels = torch.arange(60) % 10
    noise = variant.noise(labels, Stream.SAMPLE, Draws(3, 0))
    noise[:, 10:] /= 2
    images = batches.to_unit(torch.from_numpy(evaluation.generate(variant.sampler, noise)))
    with torch.no_grad():
        features = judge.critic.eval().features(images.permute(0, 3, 1, 2))
        logits = judge.classify(images.permute(0, 3, 1, 2))
    assert found.accuracy == (logits.argmax(1) == labels).double().mean().item()
    within = [diversity.mean_distance(features[labels == k]) for k in range(10)]
    assert found.feature_diversity == pytest.approx(np.mean(within), rel=1e-5)
    (unlabelled,) = Study("scaled", (0.5,), count=60).run(built("mlp_gan"), judge)
    assert unlabelled.accuracy is None
    assert unlabelled.feature_diversity is not None


def test_a_study_has_its_own_psis_and_heeds_a_stop() -> None:
    variant = built("mlp_gan")
    assert [t.psi for t in Study("redrawn", count=20).run(variant)] == [0.25, 0.5, 1.0, 1.5, 2.0]
    answers = iter([False, False, True])
    with pytest.raises(Interrupted):
        Study(count=20).run(variant, stop=lambda: next(answers))
