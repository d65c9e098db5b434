"""Encoders: from an image to a vector that represents it."""

import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from gan.config import EncoderModel


class SmallEncoder(nn.Sequential):
    """Four 3 x 3 convolutions of 1, 2, 4 and 8 widths, the last three halving the side.

    Each is followed by BatchNorm and ReLU; the mean over the map is the representation
    (B, 8 width). Ours, for two cores.
    """

    def __init__(self, channels: int, width: int) -> None:
        layers: list[nn.Module] = []
        for number in range(4):
            wide = width << number
            stride = 1 if number == 0 else 2
            convolution = nn.Conv2d(channels, wide, 3, stride, padding=1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
            layers += [convolution, nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
            channels = wide
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.features = channels


class ResNet18(nn.Module):
    """ResNet-18 with the stem for small images; its representation is (B, 512).

    He et al., "Deep residual learning for image recognition" (2016). The first convolution is
    3 x 3 with stride 1 and no pool follows it, as Chen et al. (2020) do for CIFAR-10 (appendix
    B.9); untrained, and without the last layer.
    """

    features = 512

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body: nn.Module = resnet18(weights=None)
        stem = nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False)
        nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
        self.body.conv1, self.body.maxpool, self.body.fc = stem, nn.Identity(), nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        representations: Tensor = self.body(images)
        return representations


Encoder = SmallEncoder | ResNet18


def make_encoder(model: EncoderModel, channels: int) -> Encoder:
    """The encoder that `model` describes, for images (B, channels, S, S) in [-1, 1]."""
    if model.encoder == "small":
        return SmallEncoder(channels, model.width)
    return ResNet18(channels)


class Contrastive(nn.Module):
    """Encoder f and projection head g; images (B, C, S, S) to vectors (B, projection).

    g is a layer as wide as h, then one of `projection` numbers (Chen et al., section 2.1), with
    BatchNorm between them as in their own code.
    """

    def __init__(self, encoder: Encoder, projection: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.projection = nn.Sequential(
            nn.Linear(encoder.features, encoder.features, bias=False),
            nn.BatchNorm1d(encoder.features),
            nn.ReLU(inplace=True),
            nn.Linear(encoder.features, projection),
        )

    def forward(self, images: Tensor) -> Tensor:
        vectors: Tensor = self.projection(self.encoder(images))
        return vectors


class EncoderClassifier(nn.Module):
    """Class logits (B, classes): one linear layer on representations brought to one scale.

    The normalisation has no weights of its own, so that it is a part of the linear layer once
    trained; without it the scale of an encoder's numbers would decide how fast its probe learns.
    """

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(
            nn.BatchNorm1d(encoder.features, affine=False), nn.Linear(encoder.features, classes)
        )

    def represent(self, images: Tensor, frozen: bool) -> Tensor:
        """Representations (B, features); of a frozen encoder without a graph."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            representations: Tensor = self.encoder(images)
        return representations

    def forward(self, images: Tensor, frozen: bool = False) -> Tensor:
        logits: Tensor = self.head(self.represent(images, frozen))
        return logits
