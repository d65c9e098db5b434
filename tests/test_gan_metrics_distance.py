import numpy as np
import pytest
import torch

from gan import rng
from gan.metrics import distances


def gaussian(count: int, mean: float, scale: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 4, generator=generator) * scale + mean


def test_identical_sets_are_at_distance_zero() -> None:
    features = gaussian(200, 0, 1, 0)
    result = distances(features, features)
    assert result.frechet == pytest.approx(0, abs=1e-4)
    assert (result.first_count, result.second_count) == (200, 200)


def test_two_gaussians_give_the_closed_form() -> None:
    result = distances(gaussian(20_000, 0, 1, 0), gaussian(20_000, 1, 2, 1))
    # |mean difference|^2 + sum over dimensions of (s1 - s2)^2 = 4 * 1 + 4 * 1
    assert result.frechet == pytest.approx(8, rel=0.05)


def test_farther_is_larger_and_the_kernel_distance_is_repeatable() -> None:
    real = gaussian(400, 0, 1, 0)
    near, far = (distances(real, gaussian(400, shift, 1, 1)) for shift in (0.0, 1.0))
    assert near.frechet < far.frechet
    assert near.kernel < far.kernel
    assert distances(real, gaussian(400, 1.0, 1, 1)) == far


def test_measuring_leaves_torchs_randomness_alone() -> None:
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)
    distances(gaussian(50, 0, 1, 0), gaussian(50, 0, 1, 1))
    assert torch.equal(torch.randn(3), expected)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(ValueError, match="3 and 50 images given; allowed: 4 or more"):
        distances(gaussian(3, 0, 1, 0), gaussian(50, 0, 1, 1))


def test_kernel_distance_is_that_of_the_formula() -> None:
    """Binkowski et al., section 4, in float64 and in words, on the same subsets."""
    first, second = gaussian(60, 0, 1, 0), gaussian(40, 0.5, 1, 1)
    values = []
    with torch.random.fork_rng(devices=[]):
        rng.seed_torch(3, rng.Stream.EVALUATE)
        for _ in range(100):
            x = first[torch.randperm(60)[:20]].double().numpy()
            y = second[torch.randperm(40)[:20]].double().numpy()
            xx, yy, xy = ((a @ b.T / 4 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
            within = (xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / (20 * 19)
            values.append(within - 2 * xy.mean())
    result = distances(first, second, seed=3)
    assert result.kernel == pytest.approx(np.mean(values), rel=1e-4)
    assert result.kernel_spread == pytest.approx(np.std(values), rel=1e-4)


def test_kernel_distance_of_one_distribution_is_zero_within_its_noise() -> None:
    result = distances(gaussian(1000, 0, 1, 0), gaussian(1000, 0, 1, 1))
    assert abs(result.kernel) < 2 * result.kernel_spread
    assert result.kernel_spread < 0.05
