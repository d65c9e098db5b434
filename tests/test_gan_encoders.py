import pytest
import torch
from torch import nn

from gan.config import ConfigError, EncoderModel, SimCLRConfig, SimCLRModel
from gan.encoders import Contrastive, EncoderClassifier, make_encoder


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("channels", "expected"), [(3, 11_168_832), (1, 11_167_680)])
def test_resnet18_with_the_small_stem(channels: int, expected: int) -> None:
    # The usual 11,689,512, less 513,000 of the last layer, less 9,408 + 64 * 9 * channels of stems
    assert expected == 11_689_512 - 513_000 - 9_408 + 64 * 9 * channels
    encoder = make_encoder(EncoderModel(), channels)
    assert count(encoder) == expected
    shapes = []
    for layer in (encoder.body.conv1, encoder.body.maxpool, encoder.body.layer4):
        layer.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    assert encoder(torch.zeros(2, channels, 32, 32)).shape == (2, encoder.features)
    assert shapes == [(64, 32, 32), (64, 32, 32), (512, 4, 4)]


@pytest.mark.parametrize("size", [8, 28, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_small_encoder_takes_any_size(channels: int, size: int) -> None:
    encoder = make_encoder(EncoderModel(encoder="small", width=4), channels)
    assert encoder(torch.zeros(2, channels, size, size)).shape == (2, 32)
    assert encoder.features == 32
    assert count(encoder) == 9 * (channels * 4 + 4 * 8 + 8 * 16 + 16 * 32) + 2 * (4 + 8 + 16 + 32)


def test_projection_head_has_two_layers() -> None:
    model = Contrastive(make_encoder(EncoderModel(), 3), 128)
    assert count(model.projection) == 512 * 512 + 2 * 512 + 512 * 128 + 128
    assert model(torch.zeros(2, 3, 8, 8)).shape == (2, 128)


def test_classifier_is_linear_in_the_representation() -> None:
    model = EncoderClassifier(make_encoder(EncoderModel(encoder="small", width=2), 1), 3).eval()
    h = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    model.head[0].running_mean.uniform_(-1, 1)
    model.head[0].running_var.uniform_(0.5, 2)
    zero = model.head(torch.zeros(1, 16))
    torch.testing.assert_close(
        model.head(h[:1] + h[1:2]), model.head(h[:1]) + model.head(h[1:2]) - zero
    )


def test_wrong_settings_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="encoder is 'resnet50'; allowed: resnet18, small"):
        EncoderModel(encoder="resnet50")
    with pytest.raises(ConfigError, match=r"model\.width is 32; allowed: 64 with model"):
        EncoderModel(width=32)
    with pytest.raises(ConfigError, match=r"model\.projection is 0; allowed: 1 or more"):
        SimCLRModel(projection=0)
    small = SimCLRConfig().data.__class__(image_size=4)
    with pytest.raises(ConfigError, match="image_size is 4; simclr allows: 8 or more"):
        SimCLRConfig(data=small)
