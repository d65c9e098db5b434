import pytest
import torch
from torchvision.transforms.v2 import functional as vision

from gan import augment
from gan.config import DataConfig
from gan.rng import Draws

IMAGES = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_nothing_is_altered_when_everything_is_off() -> None:
    config = DataConfig(image_size=16)
    assert not augment.is_active(config)
    assert torch.equal(augment.augment(IMAGES, config, Draws(0, 0)), IMAGES)


def test_alterations_are_a_function_of_the_step() -> None:
    config = DataConfig(image_size=16, crop_scale_min=0.7, flip=True, jitter=0.1)
    first = augment.augment(IMAGES, config, Draws(0, 3))
    assert torch.equal(augment.augment(IMAGES, config, Draws(0, 3)), first)
    assert not torch.equal(augment.augment(IMAGES, config, Draws(0, 4)), first)
    assert first.shape == IMAGES.shape
    assert -1 <= first.min() <= first.max() <= 1


def test_flip_mirrors_exactly_those_drawn() -> None:
    numbers = torch.tensor([[0.0, 0.5, 0.5, 0.1], [0.0, 0.5, 0.5, 0.9]])
    altered = augment.crop_and_flip(IMAGES[:2], numbers, scale_min=1.0, flip=True)
    torch.testing.assert_close(altered[0], IMAGES[0].flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(altered[1], IMAGES[1], atol=1e-5, rtol=0)


def test_crop_takes_the_corner_it_is_told() -> None:
    ramp = torch.linspace(-1, 1, 16).expand(1, 1, 16, 16).contiguous()
    corners = []
    for left in (0.0, 1.0):
        numbers = torch.tensor([[0.0, left, 0.5, 0.5]])  # area 0.25: half the side
        corners.append(augment.crop_and_flip(ramp, numbers, 0.25, flip=False))
    assert corners[0].max() < 0.05 < corners[1].max()
    assert corners[1].min() > -0.05 > corners[0].min()


def test_hsv_there_and_back() -> None:
    images = (IMAGES + 1) / 2
    torch.testing.assert_close(augment.to_rgb(*augment.to_hsv(images)), images, atol=1e-5, rtol=0)
    grey = torch.full((1, 3, 2, 2), 0.25)
    torch.testing.assert_close(augment.to_rgb(*augment.to_hsv(grey)), grey)


@pytest.mark.parametrize(
    ("place", "function"),
    [
        (0, vision.adjust_brightness),
        (1, vision.adjust_contrast),
        (2, vision.adjust_saturation),
        (3, vision.adjust_hue),
    ],
)
def test_each_change_is_torchvisions(place: int, function: object) -> None:
    numbers = torch.full((1, 4), 0.5)  # no change
    numbers[0, place] = 0.9  # a change of +0.8 strengths
    altered = (augment.jitter(IMAGES[:1], numbers, 0.25) + 1) / 2
    amount = 0.2 if place == 3 else 1.2
    expected = function((IMAGES[:1] + 1) / 2, amount)
    torch.testing.assert_close(altered, expected, atol=2e-3, rtol=0)


def test_grey_images_stay_grey() -> None:
    altered = augment.jitter(IMAGES[:, :1], torch.rand(6, 4), 0.3)
    assert altered.shape == (6, 1, 16, 16)
