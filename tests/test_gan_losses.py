"""Every loss against NumPy in float64, in value and in gradient."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from gan.losses import SOURCE_LOSSES, SourceLoss, gradient_penalty, told_apart

REAL = np.array([-3.0, -0.5, 0.0, 0.25, 7.0])
FAKE = np.array([-6.0, -1.0, 0.125, 2.0])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# The formulas as the documents print them: (critic of real and fake, generator of fake).
PRINTED: dict[str, tuple[Callable, Callable]] = {
    "non-saturating": (
        lambda r, f: -np.log(sigmoid(r)).mean() - np.log(1 - sigmoid(f)).mean(),
        lambda f: -np.log(sigmoid(f)).mean(),
    ),
    "saturating": (
        lambda r, f: -np.log(sigmoid(r)).mean() - np.log(1 - sigmoid(f)).mean(),
        lambda f: np.log(1 - sigmoid(f)).mean(),
    ),
    "least-squares": (
        lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        lambda f: ((f - 1) ** 2).mean() / 2,
    ),
    "wasserstein": (lambda r, f: f.mean() - r.mean(), lambda f: -f.mean()),
}
# Their derivatives with respect to one score, before the mean: (real, fake, generator).
SLOPES: dict[str, tuple[Callable, Callable, Callable]] = {
    "non-saturating": (lambda r: sigmoid(r) - 1, sigmoid, lambda f: sigmoid(f) - 1),
    "saturating": (lambda r: sigmoid(r) - 1, sigmoid, lambda f: -sigmoid(f)),
    "least-squares": (lambda r: r - 1, lambda f: f, lambda f: f - 1),
    "wasserstein": (lambda r: -np.ones_like(r), np.ones_like, lambda f: -np.ones_like(f)),
}


def scores(values: np.ndarray | list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, requires_grad=True)


@pytest.fixture(params=SOURCE_LOSSES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_losses_are_the_printed_formulas(name: str) -> None:
    loss, (critic, generator) = SOURCE_LOSSES[name], PRINTED[name]
    np.testing.assert_allclose(loss.critic(scores(REAL), scores(FAKE)).item(), critic(REAL, FAKE))
    np.testing.assert_allclose(loss.generator(scores(FAKE)).item(), generator(FAKE), rtol=1e-6)


def test_gradients_are_the_derivatives_worked_by_hand(name: str) -> None:
    loss, slopes = SOURCE_LOSSES[name], SLOPES[name]
    real, fake, made = scores(REAL), scores(FAKE), scores(FAKE)
    loss.critic(real, fake).backward()
    loss.generator(made).backward()
    for given, values, slope in zip((real, fake, made), (REAL, FAKE, FAKE), slopes, strict=True):
        expected = slope(values) / len(values)
        np.testing.assert_allclose(given.grad.numpy(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("loss", "critic", "generator"),
    [
        # scores 0 and 0: an undecided critic. ln 2 = 0.6931
        ("non-saturating", 2 * np.log(2), np.log(2)),
        ("saturating", 2 * np.log(2), -np.log(2)),
        ("least-squares", 0.5, 0.5),
        ("wasserstein", 0, 0),
    ],
)
def test_an_undecided_critic(loss: str, critic: float, generator: float) -> None:
    zero = torch.zeros(3)
    assert SOURCE_LOSSES[loss].critic(zero, zero).item() == pytest.approx(critic)
    assert SOURCE_LOSSES[loss].generator(zero).item() == pytest.approx(generator)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("loss", ["non-saturating", "saturating"])
def test_extreme_logits_neither_overflow_nor_lose_their_gradient(loss: str, sign: int) -> None:
    """The logarithm of a sigmoid would be -inf from about -104 on, in float32."""
    source: SourceLoss = SOURCE_LOSSES[loss]
    real, fake, made = (scores([sign * 1e4, sign * 500.0]) for _ in range(3))
    critic, generator = source.critic(real, fake), source.generator(made)
    (critic + generator).backward()
    assert critic.item() == pytest.approx((1e4 + 500) / 2)  # only the wrong half costs anything
    wrong, right = (real, fake) if sign < 0 else (fake, real)
    assert wrong.grad.tolist() == [sign / 2, sign / 2]
    assert right.grad.tolist() == [0, 0]
    assert torch.isfinite(generator)
    assert torch.isfinite(made.grad).all()


def test_saturating_loss_vanishes_where_the_critic_wins_and_the_other_does_not() -> None:
    """Goodfellow et al. (2014), section 3: why the generator does not play the minimax game."""
    slopes = {}
    for loss in ("saturating", "non-saturating"):
        seen_through = scores([-2.0, -10.0, -40.0])  # logits of fakes, ever more certain
        SOURCE_LOSSES[loss].generator(seen_through).backward()
        slopes[loss] = (3 * seen_through.grad).tolist()
    assert slopes["saturating"] == pytest.approx((-sigmoid(np.array([-2, -10, -40.0]))).tolist())
    assert abs(slopes["saturating"][2]) < 1e-17
    assert slopes["non-saturating"][0] == pytest.approx(-0.8808, abs=1e-4)
    assert slopes["non-saturating"][2] == -1


def test_told_apart_counts_on_both_sides_of_the_threshold() -> None:
    real, fake = torch.tensor([3.0, -1.0, 0.5, 0.0]), torch.tensor([-2.0, 1.0])
    # above 0: two of four real ones; at most 0: one of two fakes
    assert told_apart(real, fake, 0.0).item() == (2 / 4 + 1 / 2) / 2
    # above 0.5: one of four; at most 0.5: one of two
    assert told_apart(real, fake, 0.5).item() == (1 / 4 + 1 / 2) / 2


def test_without_a_threshold_only_the_scores_order_counts() -> None:
    real, fake = torch.tensor([5.0, 7.0]), torch.tensor([1.0, 3.0])  # means 6 and 2: middle 4
    assert told_apart(real, fake, None).item() == 1
    assert told_apart(real - 1000, fake - 1000, None).item() == 1
    assert told_apart(fake, real, None).item() == 0
    assert told_apart(real, real, None).item() == 0.5


def test_thresholds_are_where_each_loss_is_undecided() -> None:
    found = {name: loss.threshold for name, loss in SOURCE_LOSSES.items()}
    assert found == {
        "non-saturating": 0.0,  # a logit
        "saturating": 0.0,
        "least-squares": 0.5,  # between the targets 0 and 1
        "wasserstein": None,
    }


def test_penalty_of_a_linear_score_is_its_weights_norm() -> None:
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(12, generator=generator)
    real, fake = torch.randn(2, 5, 3, 2, 2, generator=generator)
    alpha = torch.rand(5, 1, 1, 1, generator=generator)
    penalty = gradient_penalty(lambda x: x.flatten(1) @ weights, real, fake, alpha)
    expected = (np.linalg.norm(weights.numpy().astype(np.float64)) - 1) ** 2
    np.testing.assert_allclose(penalty.item(), expected, rtol=1e-6)


@pytest.mark.parametrize("factor", [0.25, 1.0, 3.0])
def test_penalty_trains_a_linear_score_towards_slope_one(factor: float) -> None:
    """d/dw (|w| - 1)^2 = 2 (|w| - 1) w / |w|: outwards below 1, nothing at 1, inwards above."""
    direction = np.array([0.6, -0.8, 0.0])
    weights = torch.tensor(factor * direction, dtype=torch.float32, requires_grad=True)
    real, fake = torch.ones(4, 3, 1, 1), torch.zeros(4, 3, 1, 1)
    gradient_penalty(lambda x: x.flatten(1) @ weights, real, fake, real[:, :1] / 2).backward()
    np.testing.assert_allclose(weights.grad, 2 * (factor - 1) * direction, rtol=1e-5, atol=1e-6)


def test_penalty_mixes_each_sample_by_its_own_number() -> None:
    real, fake = torch.ones(2, 1, 2, 2), torch.zeros(2, 1, 2, 2)
    alpha = torch.tensor([0.25, 0.75]).view(2, 1, 1, 1)
    # score = sum of squares / 2 has slope x, whose norm is 2 alpha over four pixels
    penalty = gradient_penalty(lambda x: x.square().flatten(1).sum(1) / 2, real, fake, alpha)
    np.testing.assert_allclose(penalty.item(), ((0.5 - 1) ** 2 + (1.5 - 1) ** 2) / 2, rtol=1e-6)


def test_penalty_at_zero_slope_has_a_finite_gradient() -> None:
    scale = torch.zeros((), requires_grad=True)
    images = torch.ones(3, 1, 2, 2)
    penalty = gradient_penalty(
        lambda x: scale * x.flatten(1).sum(1), images, images, torch.zeros(3, 1, 1, 1)
    )
    penalty.backward()
    assert penalty.item() == 1
    assert torch.isfinite(scale.grad)


def test_penalty_leaves_no_graph_behind_in_the_images() -> None:
    made = torch.ones(2, 1, 2, 2, requires_grad=True)  # as a generator's output would be
    weight = torch.tensor(3.0, requires_grad=True)
    gradient_penalty(
        lambda x: weight * x.flatten(1).sum(1), torch.zeros(2, 1, 2, 2), made, made[:, :, :1, :1]
    ).backward()
    assert made.grad is None
    assert weight.grad.item() == pytest.approx(2 * (3 * 2 - 1) * 2)  # |slope| = 3 * sqrt(4)
