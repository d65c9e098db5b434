"""Second derivatives that are written out against those that torch derives, in float64."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from gan.blocks import HeadOptions, S0Critic
from gan.losses import gradient_penalty
from gan.slopes import SlopeOfImages

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convolution": lambda: nn.Conv2d(3, 4, 3, padding=1),
    "without bias": lambda: nn.Conv2d(3, 4, 3, bias=False),
    "strides": lambda: nn.Conv2d(3, 4, 4, stride=(2, 1), padding=(1, 2)),
    "dilation": lambda: nn.Conv2d(3, 4, 3, dilation=2, padding=2),
    "groups": lambda: nn.Conv2d(3, 6, 3, groups=3),
    "padding same": lambda: nn.Conv2d(3, 4, 3, padding="same"),
    "layer norm": lambda: nn.LayerNorm([3, 8, 8]),
    "layer norm of columns": lambda: nn.LayerNorm(8, eps=0.1),
    "layer norm without weights": lambda: nn.LayerNorm([3, 8, 8], elementwise_affine=False),
    "both": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.LayerNorm([4, 4, 4]), nn.LeakyReLU(0.1),
        nn.Conv2d(4, 2, 3), nn.LayerNorm([2, 2, 2]), nn.Tanh(),
    ),
}  # fmt: skip


def scored(network: nn.Module, images: Tensor) -> Tensor:
    """A score an image that bends, whatever the network."""
    return (network(images) + 0.3).square().flatten(1).sum(1)


def penalised(
    network: nn.Module, images: Tensor, mode: contextlib.AbstractContextManager[object]
) -> tuple[Tensor, list[Tensor]]:
    """A function of the slope, and its gradients by images and weights."""
    images = images.clone().requires_grad_()
    with mode:
        score = scored(network, images)
    (slope,) = torch.autograd.grad(score.sum(), images, create_graph=True)
    loss = (torch.linalg.vector_norm(slope.flatten(1), dim=1) - 1).square().mean() + score.mean()
    wanted = [images, *network.parameters()]
    return loss, list(torch.autograd.grad(loss, wanted))


@pytest.mark.parametrize("name", NETWORKS)
def test_second_derivatives_are_torchs_own(name: str) -> None:
    torch.manual_seed(3)
    network = NETWORKS[name]().double()
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    images = torch.randn(5, 3, 8, 8, dtype=torch.float64)
    expected, theirs = penalised(network, images, contextlib.nullcontext())
    found, ours = penalised(network, images, SlopeOfImages())
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    assert len(ours) == 1 + len(list(network.parameters()))
    for mine, its in zip(ours, theirs, strict=True):
        assert its.abs().max() > 0
        torch.testing.assert_close(mine, its, rtol=1e-9, atol=1e-9 * float(its.abs().max()))


def off(found: list[Tensor], truth: list[Tensor]) -> float:
    """Length of the error of several tensors, as a share of theirs."""
    apart = torch.cat([(f - t).flatten() for f, t in zip(found, truth, strict=True)])
    whole = torch.cat([t.flatten() for t in truth])
    return float(torch.linalg.vector_norm(apart) / torch.linalg.vector_norm(whole))


def test_the_penalty_in_bfloat16_is_as_good_as_torchs_own() -> None:
    """Of S0's critic: the slope, and the weights' gradients, against those in float64."""
    torch.manual_seed(0)
    critic = S0Critic(16, 3, 8, HeadOptions(0))
    real, fake, alpha = torch.randn(6, 3, 16, 16), torch.randn(6, 3, 16, 16), torch.rand(6, 1, 1, 1)
    weights = [p for p in critic.parameters() if p is not critic.fc1.bias]

    def low(images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return critic(images)[0].float()

    def plain() -> Tensor:
        mixed = (alpha * real + (1 - alpha) * fake).requires_grad_()
        (slope,) = torch.autograd.grad(low(mixed).sum(), mixed, create_graph=True)
        return ((slope.square().sum((1, 2, 3)).sqrt() - 1) ** 2).mean()

    def exact(images: Tensor) -> Tensor:
        return critic(images)[0]

    truth = gradient_penalty(exact, real, fake, alpha)
    in_full = torch.autograd.grad(truth, weights)
    theirs = torch.autograd.grad(plain(), weights)
    ours = torch.autograd.grad(gradient_penalty(low, real, fake, alpha), weights)
    assert 0 < off(ours, in_full) < 1.1 * off(theirs, in_full)
    assert off(theirs, in_full) < 0.5


def test_outside_of_it_nothing_is_replaced() -> None:
    network = nn.Conv2d(3, 4, 3)
    with SlopeOfImages():
        inside = network(torch.ones(1, 3, 5, 5))
    outside = network(torch.ones(1, 3, 5, 5))
    assert type(outside.grad_fn).__name__ == "ConvolutionBackward0"
    assert type(inside.grad_fn).__name__ == "_ConvolutionBackward"
    assert torch.equal(inside, outside)


class Asked(TorchDispatchMode):
    """Which gradients (of images, weight, bias) each backward pass of a convolution computes."""

    def __init__(self) -> None:
        super().__init__()
        self.masks: list[list[bool]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function is torch.ops.aten.convolution_backward.default:
            self.masks.append(list(args[-1]))
        return function(*args, **(kwargs or {}))


def test_images_whose_gradient_nobody_asks_for_get_none() -> None:
    """The weights' pass comes after the penalty has had the images' slope."""
    convolution = nn.Conv2d(3, 4, 3)
    images = torch.randn(2, 3, 8, 8, requires_grad=True)

    def loss() -> Tensor:
        with SlopeOfImages():
            score = convolution(images).square().sum()
        (slope,) = torch.autograd.grad(score, images, create_graph=True)
        return slope.square().sum()

    with Asked() as asked:
        loss().backward(inputs=list(convolution.parameters()))
    assert images.grad is None
    assert asked.masks[-1] == [False, True, True]  # of the first derivative's graph, the last
    with Asked() as asked:
        torch.autograd.grad(loss(), [images, convolution.weight])
    assert asked.masks[-1][:2] == [True, True]
