import numpy as np
import pytest
import torch

from gan import rng
from gan.metrics import class_score


def sure_of(labels: list[int], classes: int, by: float = 1000.0) -> torch.Tensor:
    """Logits of a judge that is certain of each label."""
    return by * torch.nn.functional.one_hot(torch.tensor(labels), classes).float()


def test_balanced_and_certain_is_the_number_of_classes() -> None:
    score = class_score(torch.eye(5).repeat(400, 1) * 1000)
    assert score.parts == 10
    assert score.count == 2000
    assert score.mean == pytest.approx(5, rel=0.02)  # a part of 200 is not quite balanced
    assert score.spread < 0.1


def test_one_class_or_no_certainty_is_one() -> None:
    assert class_score(sure_of([2] * 50, 4)).mean == pytest.approx(1)
    assert class_score(torch.zeros(50, 4)).mean == pytest.approx(1)


def test_score_is_that_of_the_formula() -> None:
    logits = torch.randn(450, 6, generator=torch.Generator().manual_seed(0)) * 3
    with torch.random.fork_rng(devices=[]):
        rng.seed_torch(9, rng.Stream.EVALUATE, 1)
        order = torch.randperm(450).numpy()
    scores = []
    for part in np.split(order, [113, 226, 339]):  # four parts, of a hundred or more
        powers = np.exp(logits.double().numpy()[part])
        p = powers / powers.sum(1, keepdims=True)
        scores.append(np.exp((p * np.log(p / p.mean(0))).sum(1).mean()))
    found = class_score(logits, seed=9)
    assert found.parts == 4
    assert found.mean == pytest.approx(np.mean(scores), rel=1e-9)
    assert found.spread == pytest.approx(np.std(scores, ddof=1), rel=1e-9)


def test_fewer_classes_score_less() -> None:
    all_ten = class_score(sure_of([k % 10 for k in range(1000)], 10, by=5.0))
    nine = class_score(sure_of([k % 9 for k in range(1000)], 10, by=5.0))
    assert nine.mean < all_ten.mean - 0.3


def test_probabilities_that_vanish_do_no_harm() -> None:
    for certainty in (200.0, 1e4):  # in float32, in float64
        score = class_score(sure_of([0, 1] * 20, 3, by=certainty))
        assert score.mean == pytest.approx(2, rel=0.05)


def test_scoring_leaves_torchs_randomness_alone_and_is_repeatable() -> None:
    logits = torch.randn(90, 4)
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)
    assert class_score(logits) == class_score(logits)
    assert torch.equal(torch.randn(3), expected)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match="3 images given; allowed: 4 or more"):
        class_score(torch.zeros(3, 2))
