"""Images that rise: further than they began, in chunks of any size, and less rough when refined."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from small_networks import KINDS, digits_classifier, held_digits, tiny
from torch import Tensor

from gan.evaluation import Interrupted
from gan.visual import layers, maximisation
from gan.visual.maximisation import Ascent, Channels, Rule
from gan.visual.refined import Refined

QUICK: list[Rule] = [
    Ascent(iterations=4),
    Refined(iterations=4),
    Refined(iterations=4, parametrisation="pyramid"),
]
# Until each class has risen well above its start, whatever a processor's rounding made the network.
RULES = [Ascent(iterations=160), Refined(iterations=160, step=0.1)]
RULES += [Refined(iterations=160, step=0.1, parametrisation="pyramid")]
by_rule = pytest.mark.parametrize("rule", QUICK, ids=["plain", "fourier", "pyramid"])


def mean_digit() -> Tensor:
    return held_digits()[0][:100].mean(0)


@pytest.mark.parametrize("rule", RULES, ids=["plain", "fourier", "pyramid"])
def test_every_class_of_a_trained_network_rises(rule: Rule) -> None:
    classify, grey = digits_classifier().classify, torch.zeros(1, 16, 16)
    found = maximisation.maximise_logits(classify, grey, rule)
    assert found.images.shape == (10, 1, 16, 16)
    assert found.images.abs().max() <= 1
    assert torch.equal(found.before, classify(grey.expand(10, -1, -1, -1)).diagonal())
    assert torch.equal(found.after, classify(found.images).diagonal())
    assert (found.after > found.before + 0.5).all()
    assert torch.equal(classify(found.images).argmax(0), torch.arange(10))  # highest of its own
    assert torch.equal(found.variation, maximisation.total_variation(found.images))


@pytest.mark.parametrize("parametrisation", ["fourier", "pyramid"])
def test_the_refined_rule_is_less_rough_at_equal_logits(parametrisation: str) -> None:
    """Each as it first reaches the highest logit that both reach."""
    classify, start = digits_classifier().classify, mean_digit().expand(10, -1, -1, -1)
    rules = Ascent(), Refined(parametrisation=parametrisation)

    def score(images: Tensor) -> Tensor:
        return classify(images).diagonal()

    plain, refined = (maximisation.course(score, start, rule) for rule in rules)
    assert plain.scores.shape == refined.variation.shape == (201, 10)
    level = maximisation.level_of_both(plain, refined)
    gain = level - score(start)
    for share in (1.0, 0.75):
        matched = level - (1 - share) * gain  # the level itself, to the last bit, where it is 1
        rough, smooth = plain.variation_at(matched), refined.variation_at(matched)
        assert (smooth < rough).sum() >= 9
        assert smooth.mean() < 0.9 * rough.mean()


def test_first_iteration_at_a_level_by_hand() -> None:
    scores = torch.tensor([[0.0, 0.0], [2.0, 1.0], [1.0, 1.5], [3.0, 1.0]])
    variation, images = torch.arange(8.0).reshape(4, 2), torch.zeros(2, 1, 2, 2)
    course = maximisation.Course(scores, variation, images)
    assert course.first(torch.tensor([2.0, 1.5])).tolist() == [1, 2]
    assert course.variation_at(torch.tensor([2.5, 0.0])).tolist() == [6, 1]
    never = torch.tensor([9.0, 1.5])
    assert course.first(never).tolist() == [-1, 2]
    assert course.variation_at(never).isnan().tolist() == [True, False]
    lower = maximisation.Course(scores - 1, variation, images)
    assert maximisation.level_of_both(course, lower).tolist() == [2, 0.5]


def test_total_variation_by_hand() -> None:
    even = torch.full((1, 3, 6, 6), 0.3)
    board = torch.ones(1, 1, 6, 6)
    board[..., ::2, ::2] = board[..., 1::2, 1::2] = -1
    edge = torch.zeros(1, 1, 2, 3)  # 0 0 1 in both rows: 0 down, the mean of 0, 1, 0, 1 along
    edge[..., 2] = 1
    found = [float(maximisation.total_variation(images)) for images in (even, board, edge)]
    assert found == [0, 4, 0.5]


def test_the_plain_rule_is_that_of_s0() -> None:
    start = torch.tensor([-1.0, -0.5, 0.0, 0.5, 1.0]).reshape(5, 1, 1, 1).double()
    found = maximisation.maximise(lambda x: 3 * x.sum((1, 2, 3)), start, Ascent(iterations=1))
    expected = [-1 + 0.3 + 0.001, -0.5 + 0.3 + 0.00025, 0.3, 0.5 + 0.3 - 0.00025, 1]
    torch.testing.assert_close(
        found.flatten(), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12
    )


@by_rule
@pytest.mark.parametrize(("name", "side", "channels"), KINDS)
def test_channels_of_every_network_rise(rule: Rule, name: str, side: int, channels: int) -> None:
    """Before the activation, so that none of an untrained network begins without a slope."""
    network = layers.observer(tiny(name, side, channels)).train()
    mean = torch.linspace(-0.5, 0.5, side).expand(channels, side, side)
    for layer in [*layers.convolutions(network, mean).values()][-2:]:
        wanted = Channels(layer.name, before=True)
        found = maximisation.maximise_channels(network, wanted, mean, replace(rule, iterations=20))
        assert found.images.shape == (layer.channels, channels, side, side)
        assert torch.isfinite(found.images).all()
        assert found.images.abs().max() <= 1
        assert (found.after > found.before).float().mean() >= 0.9, layer
    assert network.training


def test_what_has_no_slope_stays_as_it_is() -> None:
    """Half of the scores do not depend on the image."""
    start = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) - 0.5

    def score(images: Tensor) -> Tensor:
        return images.sum((1, 2, 3)) * torch.tensor([1.0, 0.0, 1.0, 0.0])

    for parametrisation in ("fourier", "pyramid"):
        rule = Refined(iterations=5, parametrisation=parametrisation)
        found = maximisation.maximise(score, start, rule)
        torch.testing.assert_close(found[1::2], start[1::2])
        assert (found[::2] > start[::2]).float().mean() > 0.9


@by_rule
@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("over", ["peak", "mean"])
def test_results_do_not_depend_on_the_chunk(rule: Rule, before: bool, over: str) -> None:
    network, mean = digits_classifier().critic, mean_digit()
    wanted = Channels("stages.conv4.0", before, over)
    whole = maximisation.maximise_channels(network, wanted, mean, rule)
    assert len(whole.images) == 8
    for chunk in (1, 3, 7):
        parts = maximisation.maximise_channels(network, wanted, mean, rule, chunk=chunk)
        for name in ("images", "before", "after", "variation"):
            found, expected = getattr(parts, name), getattr(whole, name)
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    classify = digits_classifier().classify
    classes = [maximisation.maximise_logits(classify, mean, rule, chunk=c) for c in (4, 128)]
    torch.testing.assert_close(classes[0].images, classes[1].images, rtol=1e-4, atol=1e-4)


@by_rule
def test_a_course_ends_in_the_images_of_its_rule(rule: Rule) -> None:
    classify, mean = digits_classifier().classify, mean_digit()
    found = maximisation.maximise_logits(classify, mean, rule)
    course = maximisation.course_of_logits(classify, mean, rule)
    assert torch.equal(course.images, found.images)
    assert course.scores.shape == course.variation.shape == (rule.iterations + 1, 10)
    torch.testing.assert_close(course.scores[-1], found.after)
    assert torch.equal(course.variation[-1], found.variation)
    parts = maximisation.course_of_logits(classify, mean, rule, chunk=4)
    torch.testing.assert_close(parts.scores, course.scores, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(parts.images, course.images, rtol=1e-4, atol=1e-4)


def test_channels_are_those_of_s0s_stages() -> None:
    critic, mean, rule = digits_classifier().critic, mean_digit(), Ascent(iterations=5)
    found = maximisation.maximise_channels(critic, Channels("stages.conv5.0"), mean, rule)
    assert torch.equal(
        found.after, critic.activation(found.images, "conv5").amax((2, 3)).diagonal()
    )
    with pytest.raises(ValueError, match=r"no layer 'conv5'; this network has stages\.conv1\.0, "):
        maximisation.maximise_channels(critic, Channels("conv5"), mean, rule)


class After:
    """Asks for a stop the n-th time that it is asked; counts images judged after that."""

    def __init__(self, count: int) -> None:
        self.left, self.judged_late = count, 0

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0

    def watch(self, classify: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def watched(images: Tensor) -> Tensor:
            self.judged_late += len(images) * (self.left < 0)
            return classify(images)

        return watched


@by_rule
@pytest.mark.parametrize("count", [0, 1, 3, 8])
def test_a_stop_is_heeded_before_the_next_iteration(rule: Rule, count: int) -> None:
    stop = After(count)
    classify = stop.watch(digits_classifier().classify)
    with pytest.raises(Interrupted):
        maximisation.maximise_logits(classify, mean_digit(), rule, stop, chunk=4)
    assert stop.judged_late == 0
    with pytest.raises(Interrupted):
        maximisation.maximise_channels(
            digits_classifier().critic, Channels("stages.conv8.0"), mean_digit(), rule, After(0)
        )
    start = mean_digit().expand(10, -1, -1, -1)
    with pytest.raises(Interrupted):
        maximisation.course(lambda images: images.sum((1, 2, 3)), start, rule, After(2))


def test_rules_tell_their_settings() -> None:
    assert maximisation.facts(Ascent()) == {
        "rule": "plain", "iterations": 200, "step": 0.1, "decay": 0.001,
    }  # fmt: skip
    found = maximisation.facts(Refined(jitter=0.0))
    assert (found["rule"], found["parametrisation"], found["jitter"]) == ("refined", "fourier", 0)
