"""The line through an image: straight where the network is, and as far as it was asked for."""

import pytest
import torch
from small_networks import CLASSES, digits_classifier, held_digits
from torch import Tensor

from gan.visual import attacks, line
from gan.visual.line import Line
from gan.visual.perturbation import PIXEL


def test_a_linear_network_is_linear_all_along() -> None:
    weights = torch.tensor([[1.0, -2.0, 3.0, 0.5], [-1.0, 1.0, 0.0, 2.0], [0.0, 0.0, 1.0, -1.0]])
    bias = torch.tensor([0.5, -0.5, 0.0])

    def classify(images: Tensor) -> Tensor:
        return images.flatten(1) @ weights.T + bias

    image = torch.tensor([0.1, -0.2, 0.3, 0.4]).reshape(1, 2, 2)
    traced = line.trace(classify, image, 0, Line(epsilon=4, reach=10, steps=20))
    signs = traced.signs.flatten()
    slope = weights.double() @ signs.double() * 4 * PIXEL
    expected = classify(image[None]).double() + traced.factors[:, None] * slope
    torch.testing.assert_close(traced.logits, expected, rtol=0, atol=1e-5)
    assert slope[0] < min(slope[1:])  # away from the true class
    assert (traced.factors[0], traced.factors[20], traced.factors[-1]) == (-10, 0, 10)


@pytest.mark.parametrize("targeted", [True, False])
def test_the_line_goes_through_the_image_and_the_attacks_step(targeted: bool) -> None:
    images, labels = held_digits()
    classify, label = digits_classifier().classify, int(labels[0])
    traced = line.trace(classify, images[0], label, Line(targeted=targeted, steps=10))
    assert traced.logits.shape == (21, 10)
    assert torch.equal(traced.at(torch.zeros(1))[0], images[0])
    torch.testing.assert_close(traced.logits[10].float(), classify(images[:1])[0])
    attack = attacks.Attack(targeted)
    one = attacks.alter(classify, images[:1], labels[:1], attack, line.DEFAULT_EPSILON)
    ahead = traced.at(torch.ones(1))
    torch.testing.assert_close(ahead.clamp(-1, 1), one)
    torch.testing.assert_close(traced.logits[11].float(), classify(ahead)[0], rtol=0, atol=1e-4)
    assert traced.at(torch.tensor([10.0])).abs().max() > 1  # is not clamped
    aim = (label + 1) % 10 if targeted else label
    gain = traced.logits[11].log_softmax(0)[aim] - traced.logits[9].log_softmax(0)[aim]
    assert (gain > 0) == targeted


def test_plot_shows_the_pictures_and_stays_the_same() -> None:
    images, labels = held_digits()
    traced = line.trace(digits_classifier().classify, images[3], int(labels[3]), Line(steps=10))
    svg = line.plot(traced, CLASSES)
    assert svg == line.plot(traced, CLASSES)
    seen = CLASSES[int(traced.logits[10].argmax())]
    assert f"<!-- the image: {seen} -->".encode() in svg
    assert svg.count(b"<image ") == 5
    assert line.plot(traced, CLASSES, pictures=3).count(b"<image ") == 3
    assert svg.count(b"data:image/png;base64,") == 5  # within the file


def test_of_many_classes_the_largest_are_named() -> None:
    """40 classes in colour, of which only some ever lead; all are drawn."""

    def classify(images: Tensor) -> Tensor:
        return images.flatten(1)[:, :40] * torch.arange(40)

    image = torch.linspace(-1, 1, 192).reshape(3, 8, 8)
    traced = line.trace(classify, image, 2, Line(steps=5))
    svg = line.plot(traced, [f"class {number}" for number in range(40)])
    assert svg.count(b"#cccccc") >= 30
    assert svg.count(b"<image ") == 5
