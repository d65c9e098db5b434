"""Parts of networks. Whole networks, their sizes and shapes: test_gan_variants_networks.py."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gan.blocks import (
    Critic,
    HeadOptions,
    MapNorm,
    MinibatchDiscrimination,
    S0Critic,
    S0Generator,
    UpConvolution,
)
from gan.slopes import SlopeOfImages

HEADS = HeadOptions(classes=10)


@pytest.mark.parametrize(
    ("size", "layers"),
    [
        (8, ("conv1", "conv3", "conv5", "conv6", "conv7", "conv8")),
        (16, ("conv1", "conv3", "conv4", "conv5", "conv6", "conv7", "conv8")),
        (64, ("conv1a", "conv2a", *(f"conv{i}" for i in range(1, 9)))),
    ],
)
def test_other_sizes_drop_or_repeat_strided_stages(size: int, layers: tuple[str, ...]) -> None:
    critic, generator = S0Critic(size, 1, 3, HEADS), S0Generator(size, 1, 3, 7)
    assert critic.layers == layers
    images = generator(torch.randn(2, 7))
    assert images.shape == (2, 1, size, size)
    scores, logits = critic(images)
    assert scores.shape == (2,)
    assert logits.shape == (2, 10)


@pytest.mark.parametrize("size", [4, 12, 28, 33])
def test_impossible_size_is_named(size: int) -> None:
    with pytest.raises(ValueError, match=f"image_size is {size}; allowed are 4 times"):
        S0Critic(size, 1, 2, HEADS)


def test_unknown_layer_lists_the_layers() -> None:
    with pytest.raises(ValueError, match="no layer 'conv9'; this network has conv1, conv3"):
        S0Critic(16, 1, 2, HEADS).activation(torch.zeros(1, 1, 16, 16), "conv9")


def test_critic_treats_each_image_by_itself() -> None:
    critic, images = S0Critic(8, 1, 4, HEADS), torch.randn(6, 1, 8, 8)
    together, logits = critic(images)
    alone = torch.cat([critic(image[None])[0] for image in images])
    torch.testing.assert_close(together, alone)
    assert logits.shape == (6, 10)


def by_two_loops(features: np.ndarray, tensor: np.ndarray) -> np.ndarray:
    """Salimans et al. (2016), section 3.2, image by image; `tensor` is (F, kernels, dims)."""
    count, kernels = len(features), tensor.shape[1]
    matrices = [np.einsum("f,fkd->kd", row, tensor) for row in features]
    closeness = np.zeros((count, kernels))
    for i in range(count):
        for j in range(count):
            if i != j:
                closeness[i] += np.exp(-np.abs(matrices[i] - matrices[j]).sum(axis=1))
    return closeness


def test_minibatch_discrimination_is_the_papers_sum_over_pairs() -> None:
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(features=7, kernels=4, dims=3)
    features = torch.randn(5, 7)
    found = layer(features)
    assert found.shape == (5, 11)
    assert torch.equal(found[:, :7], features)
    tensor = layer.project.weight.detach().double().numpy().T.reshape(7, 4, 3)
    expected = by_two_loops(features.double().numpy(), tensor)
    np.testing.assert_allclose(found[:, 7:].detach().numpy(), expected, rtol=1e-4, atol=1e-6)


def test_minibatch_discrimination_sees_a_generator_that_repeats_itself() -> None:
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(features=6, kernels=3)
    alike = torch.randn(1, 6).expand(8, 6)
    assert torch.allclose(layer(alike)[:, 6:], torch.full((8, 3), 7.0))  # of seven others: each 1
    assert (layer(50 * torch.randn(8, 6))[:, 6:] < 1e-3).all()


class Flat(Critic):
    """A critic whose features are its pixels."""

    def __init__(self, count: int, options: HeadOptions) -> None:
        super().__init__()
        self.add_heads(count, options)

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def test_heads_are_those_asked_for() -> None:
    images = torch.randn(3, 1, 2, 2)
    for scores, classes in ((True, 0), (True, 5), (False, 5)):
        answers = Flat(4, HeadOptions(classes, scores=scores))(images)
        assert answers[0] is None if not scores else answers[0].shape == (3,)
        assert answers[1] is None if not classes else answers[1].shape == (3, 5)


def test_score_alone_depends_on_the_other_images() -> None:
    """The class of an image is its own; only whether it is real is a matter of its batch."""
    critic = Flat(4, HeadOptions(classes=5, minibatch_kernels=6)).eval()
    images = torch.randn(3, 1, 2, 2)
    changed = torch.cat([images[:2], -images[2:]])
    (before, before_class), (after, after_class) = critic(images), critic(changed)
    assert (before[:2] != after[:2]).all()
    assert torch.equal(before_class[:2], after_class[:2])


def test_critics_without_stages_say_so() -> None:
    critic = Flat(4, HeadOptions())
    assert critic.layers == ()
    with pytest.raises(ValueError, match="no layer 'conv1'; this network has none to look into"):
        critic.activation(torch.zeros(1, 1, 2, 2), "conv1")


def test_dropout_stands_before_both_heads() -> None:
    options = HeadOptions(classes=2, dropout=0.5)
    critic = Flat(1000, options)
    nn.init.ones_(critic.fc1.weight)
    nn.init.ones_(critic.fc10.weight)
    nn.init.zeros_(critic.fc1.bias)
    nn.init.zeros_(critic.fc10.bias)
    score, logits = critic(torch.ones(1, 1, 1000, 1))
    # what is kept counts twice, and both heads see the same mask
    assert 800 < score.item() < 1200
    assert score.item() % 2 == 0
    assert logits.tolist() == [[score.item()] * 2]
    assert critic.eval()(torch.ones(1, 1, 1000, 1))[0].item() == 1000
    assert Flat(4, replace(options, dropout=0.0)).dropout.p == 0


def test_norm_of_maps_with_channels_innermost_is_the_same_norm() -> None:
    """With its first and second derivatives, in float64; and the maps stay as they lay."""
    torch.manual_seed(1)
    norm, stock = MapNorm([4, 6, 5]).double(), nn.LayerNorm([4, 6, 5]).double()
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    stock.load_state_dict(norm.state_dict())
    maps = torch.randn(3, 4, 6, 5, dtype=torch.float64)

    def derived(network: nn.Module, maps: Tensor, mode: AbstractContextManager) -> list[Tensor]:
        maps = maps.detach().requires_grad_()
        with mode:
            score = network(maps).sin()
        (slope,) = torch.autograd.grad(score.sum(), maps, create_graph=True)
        loss = slope.square().sum()
        return [score, slope, *torch.autograd.grad(loss, [maps, *network.parameters()])]

    innermost = maps.to(memory_format=torch.channels_last)
    assert norm(innermost).is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(norm(maps), stock(maps))
    expected = derived(stock, maps, nullcontext())
    for mode in (nullcontext(), SlopeOfImages()):
        for found, known in zip(derived(norm, innermost, mode), expected, strict=True):
            torch.testing.assert_close(found, known, rtol=1e-9, atol=1e-9)


def test_norm_whose_weights_lie_innermost_is_the_same_norm() -> None:
    torch.manual_seed(4)
    norm = MapNorm([4, 6, 5])
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    maps = torch.randn(3, 4, 6, 5).to(memory_format=torch.channels_last)
    before = {name: values.clone() for name, values in norm.state_dict().items()}
    expected = norm(maps)
    norm.innermost()
    assert norm.weight.permute(1, 2, 0).is_contiguous()
    assert all(torch.equal(values, before[name]) for name, values in norm.state_dict().items())
    assert torch.equal(norm(maps), expected)
    norm(maps).sum().backward()
    assert norm.weight.grad.stride() == norm.weight.stride()


@pytest.mark.parametrize("innermost", [False, True])
def test_a_bias_that_is_added_apart_is_the_same_bias(innermost: bool) -> None:
    """Values and all gradients, in float64; by one way or the other, as the weights lie."""
    torch.manual_seed(5)
    ours = UpConvolution(4, 3, 4, stride=2, padding=1).double()
    stock = nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1).double()
    stock.load_state_dict(ours.state_dict())
    if innermost:
        ours.to(memory_format=torch.channels_last)
    maps = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    outcomes = []
    for layer in (ours, stock):
        given = maps.clone().requires_grad_()
        found = layer(given)
        slopes = torch.autograd.grad(found.sin().sum(), [given, *layer.parameters()])
        outcomes.append([found, *slopes])
    for mine, theirs in zip(*outcomes, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)


def test_a_bias_that_is_added_apart_leaves_maps_in_bfloat16() -> None:
    layer = UpConvolution(4, 3, 4, stride=2, padding=1).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(2, 4, 5, 5)).dtype == torch.bfloat16
