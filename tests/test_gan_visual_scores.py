"""A critic's scores, and the threshold that separates them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from games import build, tiny

from gan import batches, losses
from gan import data as data_sets
from gan.config import Game, RunConfig
from gan.data import ImageSet
from gan.evaluation import Interrupted
from gan.recipes import RECIPES
from gan.variants.adversarial import Adversarial
from gan.visual import scores

GP = Game(loss="wasserstein", regulariser="gradient-penalty")
CRITICS = {
    "acgan": tiny("acgan", replace(GP, auxiliary=True)),
    "dcgan_lab": tiny("dcgan_lab", Game(), dropout=0.3),
    "dcgan": tiny("dcgan", Game(loss="least-squares"), minibatch_kernels=3),
    "cats": tiny("cats", Game()),
    "mlp_gan": tiny("mlp_gan", Game()),
    "progressive": tiny("progressive", GP),
}


@pytest.mark.parametrize(
    ("real", "fake", "threshold"),
    [
        ([4.0, 6.0, 3.0, 5.0], [-1.0, 0.0, 1.0, -2.0], 2.0),  # clearly apart
        ([-3.0, -3.4, -3.5, -3.2], [-9.0, -8.0, -6.0, -7.0], -4.75),  # scores have no zero
        ([5.0] * 4, [1.0] * 4, 3.0),
    ],
)
def test_the_threshold_of_scores_that_are_apart(
    real: list[float], fake: list[float], threshold: float
) -> None:
    found = scores.separate(np.array(real), np.array(fake))
    assert found.threshold == threshold
    assert found.accuracy == 1
    assert found.gap == pytest.approx(np.mean(real) - np.mean(fake))
    assert (found.real_count, found.fake_count) == (len(real), len(fake))


def test_the_threshold_of_scores_that_overlap_by_hand() -> None:
    """1 and 4 are on the wrong side: of six real ones five, of six generated ones five."""
    real = np.array([5.0, 5.0, 6.0, 6.0, 1.0, 7.0])
    fake = np.array([0.0, 0.0, 2.0, 2.0, 4.0, 1.0])
    found = scores.separate(real, fake)
    # Between 4 and 5 five and six are right, between 2 and 4 five and five.
    assert found.threshold == 4.5
    # Even places: real 5, 6, 1 and fake 0, 2, 4 give 4.5 (2 and 3 right); odd ones: 5, 6, 7 and
    # 0, 2, 1 give 3.5. Tried on the others: 3 and 3 of 3; 2 and 2 of 3.
    assert found.accuracy == pytest.approx((1 + (2 / 3 + 2 / 3) / 2) / 2)


def test_scores_that_say_nothing_reach_one_half() -> None:
    same = np.random.default_rng(0).standard_normal((2, 2000))
    assert scores.separate(*same).accuracy == pytest.approx(0.5, abs=0.03)
    equal = scores.separate(np.full(6, 2.0), np.full(6, 2.0))
    assert (equal.threshold, equal.accuracy, equal.gap) == (2.0, 0.5, 0.0)


def test_no_threshold_does_better() -> None:
    draw = np.random.default_rng(1)
    for _ in range(20):
        real, fake = draw.normal(1, 1, 15), draw.normal(0, 2, 11)
        best = scores._best(real, fake)
        places = np.concatenate([real, fake])
        for place in (*places + 1e-9, *places - 1e-9):
            right = (real > place).mean() + (fake <= place).mean()
            assert right <= (real > best).mean() + (fake <= best).mean() + 1e-12 or right == 1


def built(config: RunConfig) -> tuple[Adversarial, ImageSet]:
    variant, _ = build(config)
    return variant, data_sets.load(config.data)


@pytest.mark.parametrize("name", CRITICS)
def test_scores_of_every_critic(name: str) -> None:
    variant, data = built(CRITICS[name])
    fakes = data.test_images[::-1][:150].copy()
    found = scores.scores_of(variant, data, fakes, most=200)
    assert [len(part) for part in (found.training, found.held_out, found.generated)] == [
        200, 200, 150,
    ]  # fmt: skip
    assert found.separation == scores.separate(found.held_out, found.generated)
    held, fake = torch.from_numpy(found.held_out), torch.from_numpy(found.generated)
    expected = losses.told_apart(held, fake, variant.loss.threshold)
    assert found.told_apart == pytest.approx(float(expected), abs=0.01)
    assert variant.critic.training  # put back as it was
    with torch.no_grad():
        alone = variant.critic.eval()(batches.to_unit(torch.from_numpy(fakes[:128])))[0]
    assert found.generated[:128] == pytest.approx(alone.double().numpy(), abs=1e-6)


def test_a_critic_that_compares_images_sees_batches_of_one_size() -> None:
    variant, data = built(CRITICS["dcgan"])
    images = data.test_images[:150]
    found = scores.critic_scores(variant, images)
    with torch.no_grad():
        last = variant.critic.eval()(batches.to_unit(torch.from_numpy(images[22:])))[0]
    assert torch.equal(found[128:], last[106:])
    few = scores.critic_scores(variant, images[:5])
    assert few.shape == (5,)


def test_a_stop_is_heeded() -> None:
    variant, data = built(CRITICS["mlp_gan"])
    answers = iter([False, True])
    with pytest.raises(Interrupted):
        scores.critic_scores(variant, data.test_images, lambda: next(answers))


def test_points_have_scores_too() -> None:
    config = RECIPES["ring"]()
    variant, data = built(replace(config, model=replace(config.model, critic_hidden=8)))
    assert len(scores.scores_of(variant, data, data.test_images, most=40).generated) == 40
