"""Signed steps of all kinds: worked out in NumPy, inside their cube, the stronger the longer."""

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import s0_step
import torch
from PIL import Image
from small_networks import CLASSES, digits_classifier, held_digits, tiny
from torch import Tensor

from gan import rng
from gan.evaluation import Interrupted
from gan.rng import Draws, Stream
from gan.visual import attack_figures, attacks
from gan.visual.attacks import Attack
from gan.visual.perturbation import PIXEL

AWAY, NEXT = Attack(targeted=False), Attack()
ALL = [NEXT, AWAY, attacks.iterated(), attacks.iterated(targeted=False)]
CLASSIFIERS = [("classifier", 32, 3), ("acgan", 64, 3), ("dc_classifier", 28, 1)]
CLASSIFIERS += [("encoder_classifier", 28, 1)]


def few(count: int = 40) -> tuple[Tensor, Tensor]:
    images, labels = held_digits()
    return images[:count], labels[:count]


def bowl(centres: np.ndarray) -> Callable[[Tensor], Tensor]:
    """Logits that fall with the squared distance from each class's centre, in float64."""

    def classify(images: Tensor) -> Tensor:
        apart = images.flatten(1)[:, None] - torch.from_numpy(centres)
        return -apart.square().sum(2)

    return classify


def test_one_step_towards_the_next_class_is_s0s() -> None:
    images, labels = few()
    classify = digits_classifier().classify
    control = Draws(0, 0).uniform(Stream.VISUAL, *images.shape)
    found = attacks.measure(classify, images, labels, NEXT, (2.0, 8.0))
    for at in found.by_epsilon:
        known = s0_step.perturb(classify, images, labels, control, at.epsilon)
        altered = attacks.alter(classify, images, labels, NEXT, at.epsilon)
        assert torch.equal(altered, known.altered)
        assert found.accuracy == pytest.approx(known.accuracy_before)
        assert at.accuracy == pytest.approx(known.accuracy_after)
        assert at.hit_rate == pytest.approx(known.hit_rate)
        assert at.control_accuracy == pytest.approx(known.control_accuracy)


@pytest.mark.parametrize("targeted", [True, False])
def test_projected_steps_in_numpy(targeted: bool) -> None:
    draws = np.random.default_rng(0)
    centres = draws.normal(size=(3, 4))
    images, start = draws.uniform(-1, 1, (5, 1, 2, 2)), draws.uniform(0, 1, (5, 1, 2, 2))
    labels = np.array([0, 1, 2, 2, 0])
    attack, epsilon = Attack(targeted, iterations=7, step=0.4), 60.0
    radius, moved = epsilon * 2 / 255, images + epsilon * 2 / 255 * (2 * start - 1)
    moved = np.clip(moved, -1, 1)
    for _ in range(7):
        apart = moved.reshape(5, 1, 4) - centres  # (5, 3, 4)
        odds = np.exp(-(apart**2).sum(2) + (apart**2).sum(2).min(1, keepdims=True))
        share = odds / odds.sum(1, keepdims=True)
        aim = np.eye(3)[(labels + 1) % 3 if targeted else labels]
        slope = ((share - aim)[..., None] * -2 * apart).sum(1).reshape(images.shape)
        moved = moved - 0.4 * radius * np.sign(slope if targeted else -slope)
        moved = np.clip(np.clip(moved, images - radius, images + radius), -1, 1)
    given = (torch.from_numpy(images), torch.from_numpy(labels))
    found = attacks.alter(bowl(centres), *given, attack, epsilon, torch.from_numpy(start))
    np.testing.assert_allclose(found.numpy(), moved, rtol=0, atol=1e-12)


@pytest.mark.parametrize("attack", ALL)
def test_no_pixel_leaves_its_cube(attack: Attack) -> None:
    images, labels = few()
    start = Draws(0, 0).uniform(Stream.ATTACK, *images.shape)
    found = attacks.alter(digits_classifier().classify, images, labels, attack, 16, start)
    assert (found - images).abs().max() <= 16 * PIXEL + 1e-6
    assert found.abs().max() <= 1
    assert not found.requires_grad
    assert not images.requires_grad


def test_more_steps_and_larger_ones_do_more() -> None:
    images, labels = few(200)
    classify = digits_classifier().classify
    next_once, away_once, next_often, away_often = (
        attacks.measure(classify, images, labels, attack, (8.0, 24.0)) for attack in ALL
    )
    assert next_once.accuracy > 0.85
    assert next_once.hit_rate < 0.05
    for once, often in ((next_once, next_often), (away_once, away_often)):
        assert once.by_epsilon[1].accuracy < once.by_epsilon[0].accuracy <= once.accuracy
        for weak, strong in zip(once.by_epsilon, often.by_epsilon, strict=True):
            assert strong.accuracy < weak.accuracy or strong.hit_rate > weak.hit_rate
            assert strong.accuracy < strong.control_accuracy
            assert strong.control_accuracy == weak.control_accuracy  # the same signs
            assert abs(weak.control_accuracy - once.accuracy) < 0.1
    assert next_often.by_epsilon[1].hit_rate > next_once.by_epsilon[1].hit_rate + 0.1
    assert away_often.by_epsilon[1].accuracy < next_often.by_epsilon[1].accuracy + 0.05


def test_a_network_that_is_sure_is_attacked_all_the_same() -> None:
    """Its loss on the true class is 0 in float32, and so would be every step away from it."""
    weights = torch.tensor([[1.0, 1.0, -1.0, -1.0], [0.0, 0.0, 0.0, 0.0]])

    def classify(images: Tensor) -> Tensor:
        return images.flatten(1) @ weights.T + torch.tensor([30.0, 0.0])

    images = torch.zeros(1, 1, 2, 2)
    altered = attacks.alter(classify, images, torch.tensor([0]), AWAY, 8)
    expected = 8 * PIXEL * torch.tensor([-1.0, -1.0, 1.0, 1.0])
    torch.testing.assert_close(altered.flatten(), expected)


@pytest.mark.parametrize("attack", ALL)
def test_the_size_of_a_batch_changes_nothing(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = few(50)
    classify = digits_classifier().classify
    whole = attacks.measure(classify, images, labels, attack, (4.0, 16.0))
    monkeypatch.setattr(attacks, "_BATCH", 7)
    assert attacks.measure(classify, images, labels, attack, (4.0, 16.0)) == whole
    saliency = attacks.saliency(classify, images, labels)
    monkeypatch.setattr(attacks, "_BATCH", 256)
    torch.testing.assert_close(attacks.saliency(classify, images, labels), saliency)


def test_the_seed_decides_where_it_starts() -> None:
    images, labels = few(10)
    classify = digits_classifier().classify
    found = [
        attacks.show(classify, images, labels, replace(attacks.iterated(), seed=seed), 8).altered
        for seed in (0, 0, 1)
    ]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    begin = torch.from_numpy(rng.generator(0, Stream.ATTACK).random(images.shape, np.float32))
    again = attacks.alter(classify, images, labels, attacks.iterated(), 8, begin)
    assert torch.equal(again, found[0])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_stop_is_heeded_before_the_next_batch(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = few(20)
    monkeypatch.setattr(attacks, "_BATCH", 10)
    asked, judged_late = [], []

    def stop() -> bool:
        asked.append(None)
        return len(asked) > count

    def classify(x: Tensor) -> Tensor:
        judged_late.extend(x if len(asked) > count else [])
        return digits_classifier().classify(x)

    with pytest.raises(Interrupted):
        attacks.measure(classify, images, labels, NEXT, (4.0, 8.0), stop)
    asked.clear()
    with pytest.raises(Interrupted):
        attacks.saliency(classify, images, labels, lambda: True)
    assert not judged_late


def test_saliency_by_hand() -> None:
    """The logit's gradient on each of two channels: the larger counts, whatever its sign."""
    weights = torch.tensor([[[1.0, -5.0], [0.0, 2.0]], [[-3.0, 4.0], [0.0, 1.0]]])  # (C, H, W)

    def classify(images: Tensor) -> Tensor:
        own = (images * weights).sum((1, 2, 3))
        return torch.stack([own, 7 * own], 1)

    images = torch.rand(2, 2, 2, 2)
    found = attacks.saliency(classify, images, torch.tensor([0, 1]))
    expected = torch.tensor([[3.0, 5.0], [0.0, 2.0]])
    assert torch.equal(found, torch.stack([expected, 7 * expected]))


@pytest.mark.parametrize(("name", "side", "channels"), CLASSIFIERS)
def test_every_classifier_can_be_attacked_and_shown(name: str, side: int, channels: int) -> None:
    classify = tiny(name, side, channels).classify
    images = Draws(0, 0).uniform(Stream.SAMPLE, 3, channels, side, side) - 0.5
    labels = torch.tensor([0, 9, 4])
    found = attacks.measure(classify, images, labels, attacks.iterated(iterations=2), (8.0,))
    assert found.images == 3
    shown = attacks.show(classify, images, labels, attacks.iterated(iterations=2))
    assert shown.altered.shape == shown.gradients.shape == images.shape
    assert shown.saliency.shape == (3, side, side)
    sheet = attack_figures.sheet(shown, CLASSES, {"network": name})
    scale = -(-64 // side)
    with Image.open(io.BytesIO(sheet)) as picture:
        assert picture.mode == ("L" if channels == 1 else "RGB")
        assert picture.width == 3 * (side * scale + 4) + 4
        assert picture.height > 4 * side * scale
        assert picture.text == {"network": name}


def test_what_is_shown_is_what_the_network_saw() -> None:
    images, labels = few(12)
    classify = digits_classifier().classify
    shown = attacks.show(classify, images, labels, AWAY, 32)
    before, after = classify(images).softmax(1), classify(shown.altered).softmax(1)
    assert torch.equal(shown.before, before.argmax(1))
    assert torch.equal(shown.after, after.argmax(1))
    assert torch.equal(shown.confidence_before, before.amax(1))
    assert torch.equal(shown.confidence_after, after.amax(1))
    assert torch.equal(shown.altered, attacks.alter(classify, images, labels, AWAY, 32))
    moved = (shown.altered - images).sign()
    inside = (shown.altered.abs() < 1) & (shown.gradients != 0)
    assert torch.equal(moved[inside], -shown.gradients.sign()[inside])


def test_plot_has_a_line_for_each_attack_and_stays_the_same() -> None:
    images, labels = few(10)
    classify = digits_classifier().classify
    measured = [attacks.measure(classify, images, labels, a, (4.0, 16.0)) for a in (NEXT, AWAY)]
    svg = attack_figures.plot(measured)
    assert svg == attack_figures.plot(measured)
    for name in ("to the next class, 1 step", "off the true class, 1 step", "random signs"):
        assert svg.count(f"<!-- {name} -->".encode()) == 1  # in the legend
    assert b"off the true class" not in attack_figures.plot(measured[:1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"iterations": 0}, "iterations is 0; allowed: 1 or more"),
        ({"step": 0.0}, r"step is 0\.0; allowed: more than 0"),
        ({"step": float("nan")}, "step is nan; allowed: more than 0"),
    ],
)
def test_settings_that_do_nothing_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Attack(**settings)
