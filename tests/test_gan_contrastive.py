"""The contrastive loss against its equation, and what is measured on representations."""

import math

import numpy as np
import pytest
import torch

from gan import losses


def plain_nt_xent(z: np.ndarray, temperature: float) -> float:
    """The equation term by term, in float64."""
    count = len(z)

    def similarity(i: int, j: int) -> float:
        return float(z[i] @ z[j] / (np.linalg.norm(z[i]) * np.linalg.norm(z[j])))

    total = 0.0
    for i in range(count):
        partner = (i + count // 2) % count
        scores = [math.exp(similarity(i, k) / temperature) for k in range(count) if k != i]
        total -= math.log(math.exp(similarity(i, partner) / temperature) / sum(scores))
    return total / count


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("images", [2, 7])
def test_nt_xent_is_the_equation(images: int, temperature: float) -> None:
    z = np.random.default_rng(images).normal(size=(2 * images, 5)) * 3
    found = losses.nt_xent(torch.from_numpy(z), temperature)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(plain_nt_xent(z, temperature), rel=1e-5)


@pytest.mark.parametrize("images", [2, 8, 128])
def test_collapsed_projections_cost_ln_2n_minus_1(images: int) -> None:
    collapsed = torch.tensor([[0.3, -2.0, 0.5]]).expand(2 * images, 3)
    loss = losses.nt_xent(collapsed, 0.5).item()
    assert loss == pytest.approx(math.log(2 * images - 1), rel=1e-6)


def test_nt_xent_of_perfect_pairs_by_hand() -> None:
    z = torch.tensor([[2.0, 0.0], [0.0, 3.0], [5.0, 0.0], [0.0, 0.1]])  # partners alike, else 0
    expected = -math.log(math.exp(2) / (math.exp(2) + 2))
    assert losses.nt_xent(z, 0.5).item() == pytest.approx(expected, rel=1e-6)


def test_nt_xent_gradient_is_the_equations() -> None:
    z = np.random.default_rng(0).normal(size=(6, 3))
    tensor = torch.from_numpy(z).float().requires_grad_()
    losses.nt_xent(tensor, 0.5).backward()
    nudge = 1e-6
    for i, j in np.ndindex(*z.shape):
        up, down = z.copy(), z.copy()
        up[i, j] += nudge
        down[i, j] -= nudge
        slope = (plain_nt_xent(up, 0.5) - plain_nt_xent(down, 0.5)) / (2 * nudge)
        assert tensor.grad[i, j].item() == pytest.approx(slope, abs=1e-5)


def test_nt_xent_gradient_is_finite_at_zero() -> None:
    z = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    z[3] = 0
    z.requires_grad_()
    loss = losses.nt_xent(z, 0.5)
    loss.backward()
    assert loss.isfinite()
    assert z.grad.isfinite().all()
    nothing = torch.zeros(8, 4, requires_grad=True)
    losses.nt_xent(nothing, 0.5).backward()
    assert torch.equal(nothing.grad, torch.zeros(8, 4))


def test_nt_xent_takes_bfloat16_in_float32() -> None:
    z = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(losses.nt_xent(z, 0.5), losses.nt_xent(z.float(), 0.5))
