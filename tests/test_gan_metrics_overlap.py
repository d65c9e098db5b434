import numpy as np
import pytest
import torch

from gan import neighbours
from gan.evaluation import Interrupted
from gan.metrics import support


def normal(count: int, seed: int, size: int = 3) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed))


def plain(real: np.ndarray, other: np.ndarray) -> tuple[float, float, float, float]:
    """Precision, recall, density and coverage in float64, in words."""

    def radius(points: np.ndarray, place: int, k: int) -> float:
        apart = sorted(np.linalg.norm(points - points[place], axis=1))
        return float(apart[k])  # the first is the point itself

    apart = np.linalg.norm(real[:, None] - other, axis=2)  # (N, M)
    balls = np.array([radius(real, i, 3) for i in range(len(real))])[:, None]
    others = np.array([radius(other, j, 3) for j in range(len(other))])
    wide = np.array([radius(real, i, 5) for i in range(len(real))])[:, None]
    inside = apart <= wide
    return (
        float((apart <= balls).any(0).mean()),
        float((apart <= others).any(1).mean()),
        float(inside.sum() / (5 * len(other))),
        float(inside.any(1).mean()),
    )


@pytest.mark.parametrize("chunk", [neighbours._CELLS, 100])
def test_figures_are_those_of_the_brute_force(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_CELLS", chunk)
    real, other = normal(60, 0), normal(45, 1) * 0.7 + 0.4
    found = support(real, other)
    expected = plain(real.double().numpy(), other.double().numpy())
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(expected)
    assert (found.real_count, found.other_count) == (60, 45)
    assert 0 < found.recall < found.precision < 1


def test_identical_sets_agree_wholly() -> None:
    points = normal(300, 0, 40) * 5 + 100  # far from the origin, where rounding is coarse
    found = support(points, points)
    assert found.precision == found.recall == found.coverage == 1
    assert found.density == 6 / 5  # each in its own ball and in those of five


def test_repeated_rows_take_up_no_space() -> None:
    """A generator of one image: all its balls are points, and the image itself is in them."""
    real = normal(200, 0, 20) + 30
    same = real[7].expand(50, -1)
    found = support(real, same)
    assert found.precision == 1
    assert found.recall == 1 / 200
    assert support(same, real).precision == 1 / 200


def test_less_variety_loses_recall_and_noise_loses_precision() -> None:
    real = normal(500, 0)
    narrow, wide = normal(500, 1) * 0.3, normal(500, 2) * 3
    less, more = support(real, narrow), support(real, wide)
    assert less.precision > 0.95
    assert less.recall < 0.5
    assert more.recall > 0.95
    assert more.precision < 0.5
    assert less.density > 1 > more.density
    assert less.coverage < support(real, normal(500, 3)).coverage


def test_few_images_and_bad_ones() -> None:
    found = support(normal(4, 0), normal(4, 0))
    assert found.precision == found.recall == found.coverage == 1
    with pytest.raises(ValueError, match="4 and 3 images given; allowed: 4 or more each"):
        support(normal(4, 0), normal(3, 0))
    with pytest.raises(Interrupted):
        support(normal(9, 0), normal(9, 0), stop=lambda: "terminated")
