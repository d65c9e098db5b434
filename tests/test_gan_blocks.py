import pytest
import torch
from torch import nn

from gan.blocks import HeadOptions, S0Critic, S0Generator

HEADS = HeadOptions(classes=10)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("width", "expected"), [(196, 3_137_971), (128, 1_500_939)])
def test_critic_has_the_tables_parameters(width: int, expected: int) -> None:
    critic = S0Critic(32, 3, width, HEADS)
    assert count(critic) == expected
    norms = sum(count(m) for m in critic.modules() if isinstance(m, nn.LayerNorm))
    assert width != 196 or norms == 708_736


@pytest.mark.parametrize(("width", "expected"), [(196, 3_559_363), (128, 1_593_347)])
def test_generator_has_the_tables_parameters(width: int, expected: int) -> None:
    assert count(S0Generator(32, 3, width, 100)) == expected


def test_critic_maps_shrink_as_in_the_table() -> None:
    critic = S0Critic(32, 3, 2, HEADS)
    images = torch.zeros(1, 3, 32, 32)
    sides = [critic.activation(images, layer).shape[-1] for layer in critic.layers]
    assert sides == [32, 16, 16, 8, 8, 8, 8, 4]


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
