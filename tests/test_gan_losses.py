import numpy as np
import torch

from gan.losses import gradient_penalty


def test_penalty_of_a_linear_score_is_its_weights_norm() -> None:
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(12, generator=generator)
    real, fake = torch.randn(2, 5, 3, 2, 2, generator=generator)
    alpha = torch.rand(5, 1, 1, 1, generator=generator)
    penalty = gradient_penalty(lambda x: x.flatten(1) @ weights, real, fake, alpha)
    expected = (np.linalg.norm(weights.numpy().astype(np.float64)) - 1) ** 2
    np.testing.assert_allclose(penalty.item(), expected, rtol=1e-6)


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
