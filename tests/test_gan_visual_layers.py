"""Convolutions of every network here, found by name, and the maps that come out of them."""

import pytest
import torch
from small_networks import KINDS, tiny
from torch import Tensor, nn

from gan.blocks import HeadOptions, S0Critic
from gan.encoders import ResNet18
from gan.variants.progressive import Progressive
from gan.visual import layers


def some(count: int, channels: int, side: int) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(3)) - 0.5


@pytest.mark.parametrize(("name", "side", "channels"), KINDS)
def test_every_convolution_that_is_used_is_found_with_its_activation(
    name: str, side: int, channels: int
) -> None:
    network = layers.observer(tiny(name, side, channels))
    found = layers.convolutions(network, some(1, channels, side)[0])
    convolutions = [n for n, m in network.named_modules() if isinstance(m, nn.Conv2d)]
    if name == "progressive":  # at the level where training begins, of 4 x 4 pixels
        convolutions = ["from_image.0.0", "last.0", "last.2"]
    assert [*found] == convolutions
    for layer in found.values():
        activation = network.get_submodule(layer.activation)
        assert isinstance(activation, (nn.LeakyReLU, nn.ReLU)), layer
        before = layers.maps(network, layer, some(2, channels, side), before=True)
        after = layers.maps(network, layer, some(2, channels, side))
        assert after.shape == before.shape == (2, layer.channels, layer.side, layer.side)
        assert torch.equal(activation(before), after), layer


def test_stages_of_s0_are_found_under_their_names() -> None:
    critic = S0Critic(32, 3, 4, HeadOptions(classes=10))
    images = some(3, 3, 32)
    found = layers.convolutions(critic, images[0])
    assert [*found] == [f"stages.{stage}.0" for stage in critic.layers]
    for stage, layer in zip(critic.layers, found.values(), strict=True):
        assert torch.equal(layers.maps(critic, layer, images), critic.activation(images, stage))


def test_layers_go_by_the_names_of_stages_where_there_are_any() -> None:
    critic = S0Critic(32, 3, 4, HeadOptions(classes=10))
    found = layers.by_shown_name(critic, some(1, 3, 32)[0])
    assert tuple(found) == critic.layers == tuple(layers.registered(critic))
    assert found["conv5"].name == "stages.conv5.0"
    other = layers.observer(tiny("dcgan", 28, 1))
    assert [*layers.by_shown_name(other, some(1, 1, 28)[0])] == ["body.0", "body.3"]
    growing = layers.observer(tiny("progressive", 32, 3))
    assert {"from_image.0.0", "from_image.3.0"} <= set(layers.registered(growing))
    assert layers.registered(layers.observer(tiny("mlp_gan", 28, 1))) == []


def test_a_residual_block_ends_in_the_activation_of_its_sum() -> None:
    """One module stands at two places there, and works in place."""
    network = ResNet18(3).eval()
    images = some(2, 3, 32)
    found = layers.convolutions(network, images[0])
    assert len(found) == 20
    body = network.body
    stem = torch.relu(body.bn1(body.conv1(images)))
    inner = torch.relu(body.layer1[0].bn1(body.layer1[0].conv1(stem)))
    total = body.layer1[0].bn2(body.layer1[0].conv2(inner)) + stem
    block = "body.layer1.0"
    first, second = found[f"{block}.conv1"], found[f"{block}.conv2"]
    assert (first.activation, first.call) == (f"{block}.relu", 0)
    assert (second.activation, second.call) == (f"{block}.relu", 1)
    assert torch.equal(layers.maps(network, first, images), inner)
    assert torch.equal(layers.maps(network, second, images), torch.relu(total))
    assert torch.equal(layers.maps(network, second, images, before=True), total)
    shortcut = found["body.layer2.0.downsample.0"]  # is added before any activation
    assert shortcut.activation == ""
    either = [layers.maps(network, shortcut, images, before) for before in (False, True)]
    assert torch.equal(*either)
    assert either[0].shape == (2, 128, 16, 16)


def test_a_growing_critic_shows_the_layers_of_its_level() -> None:
    variant = tiny("progressive", 32, 3)
    assert isinstance(variant, Progressive)
    variant.critic.grow(1.5)
    assert [*layers.convolutions(variant.critic, some(1, 3, 32)[0])] == [
        "from_image.2.0", "blocks.1.0", "blocks.1.2", "from_image.1.0", "blocks.0.0", "blocks.0.2",
        "last.0", "last.2",
    ]  # fmt: skip


def test_unknown_layers_are_refused_with_a_list() -> None:
    image = some(1, 1, 28)[0]
    critic = layers.observer(tiny("dcgan", 28, 1))
    with pytest.raises(ValueError, match=r"no layer 'conv9'; this network has body\.0, body\.3$"):
        layers.find(critic, image, "conv9")
    flat = layers.observer(tiny("mlp_gan", 28, 1))
    with pytest.raises(ValueError, match=r"no layer 'body\.0'; this network has no convolutions"):
        layers.find(flat, image, "body.0")


def test_looking_leaves_no_trace() -> None:
    network = layers.observer(tiny("dcgan_lab", 28, 1)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images = some(2, 1, 28)
    layer = layers.find(network, images[0], "blocks.1.3")
    with layers.at_rest(network):
        layers.maps(network, layer, images)
        assert not network.training
    assert network.training
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    other = layers.Layer("blocks.1.3", 1, 1, "blocks.1.5", call=1)  # it is called only once
    with pytest.raises(
        ValueError, match=r"'blocks\.1\.3' is not passed by images \(2, 1, 28, 28\)"
    ):
        layers.maps(network.eval(), other, images)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
