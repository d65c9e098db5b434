from dataclasses import replace

import pytest
import torch
from torchvision.transforms.v2 import functional as vision

from gan import arithmetic, augment, recipes
from gan.config import ConfigError, DataConfig
from gan.rng import Draws, Stream

IMAGES = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_nothing_is_altered_when_everything_is_off() -> None:
    config = DataConfig(image_size=16)
    assert not config.alters
    assert torch.equal(augment.augment(IMAGES, config, Draws(0, 0)), IMAGES)


def test_alterations_are_a_function_of_the_step() -> None:
    config = DataConfig(image_size=16, crop_scale_min=0.7, flip=True, jitter=0.1)
    first = augment.augment(IMAGES, config, Draws(0, 3))
    assert torch.equal(augment.augment(IMAGES, config, Draws(0, 3)), first)
    assert not torch.equal(augment.augment(IMAGES, config, Draws(0, 4)), first)
    assert first.shape == IMAGES.shape
    assert -1 <= first.min() <= first.max() <= 1


@pytest.mark.parametrize("jitter", [{"jitter": 0.3}, {"jitter": 0.3, "jitter_share": 0.5}, {}])
@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_are_altered_as_what_they_stand_for(channels: int, jitter: dict[str, float]) -> None:
    config = DataConfig(image_size=16, crop_scale_min=0.7, flip=True, grey=0.3, blur=0.3, **jitter)
    bytes_ = torch.randint(0, 256, (40, channels, 16, 16), dtype=torch.uint8)
    before = bytes_.clone()
    altered = augment.augment(bytes_, config, Draws(0, 3))
    expected = augment.augment(augment.to_unit(bytes_), config, Draws(0, 3))
    torch.testing.assert_close(altered, expected, atol=4e-5, rtol=0)
    assert torch.equal(bytes_, before)
    assert -1 <= altered.min() <= altered.max() <= 1


def test_flip_mirrors_exactly_those_drawn() -> None:
    numbers = torch.tensor([[0.0, 0.5, 0.5, 0.1, 0.0], [0.0, 0.5, 0.5, 0.9, 0.0]])
    altered = augment.crop_and_flip(IMAGES[:2], numbers, DataConfig(flip=True))
    torch.testing.assert_close(altered[0], IMAGES[0].flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(altered[1], IMAGES[1], atol=1e-5, rtol=0)


def test_what_came_later_left_s0s_numbers_as_they_were() -> None:
    numbers = Draws(0, 5).uniform(Stream.AUGMENT, 6, 8)
    flipped = augment.augment(IMAGES, DataConfig(flip=True), Draws(0, 5))
    expected = torch.where(numbers[:, 3, None, None, None] < 0.5, IMAGES.flip(-1), IMAGES)
    torch.testing.assert_close(flipped, expected, atol=1e-5, rtol=0)
    jittered = augment.augment(IMAGES, DataConfig(jitter=0.1), Draws(0, 5))
    assert torch.equal(jittered, augment.jitter(IMAGES, numbers[:, 4:], 0.1, 0.1))


def test_crop_takes_the_corner_it_is_told() -> None:
    ramp = torch.linspace(-1, 1, 16).expand(1, 1, 16, 16).contiguous()
    corners = []
    for left in (0.0, 1.0):
        numbers = torch.tensor([[0.0, left, 0.5, 0.5, 0.0]])  # area 0.25: half the side
        corners.append(augment.crop_and_flip(ramp, numbers, DataConfig(crop_scale_min=0.25)))
    assert corners[0].max() < 0.05 < corners[1].max()
    assert corners[1].min() > -0.05 > corners[0].min()


def by_hsv(images: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turns the hue as HSV defines it, case by case: to HSV and back."""
    red, green, blue = images.unbind(1)
    value, chroma = images.amax(1), images.amax(1) - images.amin(1)
    divisor = torch.where(chroma == 0, 1.0, chroma)
    sixths = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )
    k = (torch.tensor([5.0, 3.0, 1.0]).view(1, 3, 1, 1) + sixths[:, None] + 6 * turns[:, None]) % 6
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)


def test_hue_is_turned_as_hsv_defines_it() -> None:
    levels = torch.tensor([0.0, 0.2, 0.5, 1.0])
    corners = torch.cartesian_prod(levels, levels, levels).T.reshape(1, 3, 8, 8)  # ties, greys
    images = torch.cat([corners.expand(6, -1, -1, -1), ((IMAGES + 1) / 2)[:, :, :8, :8]])
    turns = torch.tensor([0.0, 0.1, -0.1, 0.5, -0.5, 1 / 3]).repeat(2).view(12, 1, 1)
    turned = augment.turn_hue(images.clone(), turns)
    torch.testing.assert_close(turned, by_hsv(images, turns), atol=2e-6, rtol=0)
    back = augment.turn_hue(turned, -turns)
    torch.testing.assert_close(back, images, atol=1e-5, rtol=0)


def test_grey_has_no_hue_to_turn() -> None:
    grey = torch.rand(2, 1, 4, 4).expand(-1, 3, -1, -1).contiguous()
    turned = augment.turn_hue(grey.clone(), torch.rand(2, 1, 1) - 0.5)
    torch.testing.assert_close(turned, grey, atol=1e-6, rtol=0)


def test_what_is_given_is_not_changed() -> None:
    config = DataConfig(
        image_size=16, crop_scale_min=0.7, flip=True, jitter=0.3, grey=0.3, blur=0.3
    )
    for images in (IMAGES.clone(), IMAGES[:, :1].clone()):
        before = images.clone()
        augment.augment(images, config, Draws(0, 0))
        augment.jitter(images, torch.rand(6, 4), 0.3, 0.3)
        assert torch.equal(images, before)


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_altered_alike_in_any_company(channels: int) -> None:
    config = DataConfig(image_size=16, crop_scale_min=0.7, flip=True, jitter=0.3)
    images = IMAGES[:, :channels]
    together = augment.augment(images, config, Draws(0, 4))
    for start, stop in ((0, 1), (1, 4), (4, 6)):
        share = augment.augment(images[start:stop], config, Draws(0, 4, share=(start, stop, 6)))
        assert torch.equal(share, together[start:stop])


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
    altered = (augment.jitter(IMAGES[:1], numbers, 0.25, hue_strength=0.125) + 1) / 2
    amount = 0.1 if place == 3 else 1.2
    expected = function((IMAGES[:1] + 1) / 2, amount)
    torch.testing.assert_close(altered, expected, atol=2e-3, rtol=0)


def test_grey_images_stay_grey() -> None:
    altered = augment.jitter(IMAGES[:, :1], torch.rand(6, 4), 0.3, 0.3)
    assert altered.shape == (6, 1, 16, 16)


def test_crop_is_as_long_as_the_shape_drawn() -> None:
    config = DataConfig(crop_scale_min=0.125, crop_ratio_max=2.0)
    ramp = torch.linspace(-1, 1, 17)[:16].add(1 / 16).expand(1, 1, 16, 16)  # centres of pixels
    ranges = []
    for shape in (0.0, 0.9999999):  # a shape of 1/2, of 2
        numbers = torch.tensor([[0.0, 0.5, 0.5, 0.5, shape]])  # area 1/8, in the middle
        wide, high = (
            augment.crop_and_flip(x.contiguous(), numbers, config) for x in (ramp, ramp.mT)
        )
        ranges.append([(x.max() - x.min()).item() * 16 / 15 / 2 for x in (wide, high)])
    assert ranges[0] == pytest.approx([0.25, 0.5], abs=1e-4)
    assert ranges[1] == pytest.approx([0.5, 0.25], abs=1e-4)


def test_a_crop_longer_than_the_image_is_cut() -> None:
    numbers = torch.tensor([[0.9999999, 0.5, 0.5, 0.5, 0.9999999]])  # all of the area, shape 4
    constant_rows = torch.linspace(-1, 1, 16)[:, None].expand(1, 1, 16, 16).contiguous()
    altered = augment.crop_and_flip(constant_rows, numbers, DataConfig(crop_ratio_max=4.0))
    assert altered[0, 0].std(1).max() < 1e-6
    assert altered.max() - altered.min() == pytest.approx(2 * 7.5 / 15, abs=1e-5)  # half the height


@pytest.mark.parametrize(("size", "kernel"), [(16, 3), (40, 5), (64, 7)])
def test_blur_is_torchvisions(size: int, kernel: int) -> None:
    images = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1
    for sigma in (0.1, 0.7, 2.0):
        expected = vision.gaussian_blur(images, [kernel, kernel], [sigma, sigma])
        found = augment.blur(images, torch.full((3,), sigma))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_each_image_is_blurred_by_its_own_sigma() -> None:
    sigma = torch.tensor([0.1, 0.5, 0.9, 1.3, 1.7, 2.0])
    together = augment.blur(IMAGES, sigma)
    for k in range(6):
        alone = augment.blur(IMAGES[k : k + 1], sigma[k : k + 1])
        torch.testing.assert_close(together[k], alone[0], atol=1e-6, rtol=0)


def test_a_single_pixel_cannot_be_blurred() -> None:
    point = torch.rand(2, 2, 1, 1)
    assert torch.equal(augment.blur(point, torch.ones(2)), point)


def test_grey_is_torchvisions() -> None:
    altered = augment.augment(IMAGES, DataConfig(grey=1.0), Draws(0, 0))
    expected = vision.rgb_to_grayscale(IMAGES, num_output_channels=3)
    torch.testing.assert_close(altered, expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    "config",
    [
        DataConfig(grey=0.3),
        DataConfig(blur=0.3),
        DataConfig(jitter=0.4, jitter_share=0.3),
    ],
    ids=["grey", "blur", "jitter"],
)
def test_as_many_are_altered_as_asked(config: DataConfig) -> None:
    images = IMAGES[:1, :, :8, :8].repeat(2000, 1, 1, 1)
    altered = augment.augment(images, config, Draws(0, 0))
    share = (altered != images).flatten(1).any(1).float().mean().item()
    assert share == pytest.approx(0.3, abs=0.04)  # 4 standard deviations


def test_what_does_not_apply_to_one_channel_is_left_out() -> None:
    images = IMAGES[:, :1]
    assert torch.equal(augment.augment(images, DataConfig(grey=1.0), Draws(0, 0)), images)


def test_hue_has_a_strength_of_its_own() -> None:
    numbers = torch.tensor([[0.5, 0.5, 0.5, 0.9]])  # a hue change only, of 0.8 strengths
    still = augment.jitter(IMAGES[:1], numbers, 0.8, hue_strength=0.0)
    torch.testing.assert_close(still, IMAGES[:1], atol=1e-5, rtol=0)
    one = augment.augment(IMAGES, DataConfig(jitter=0.2), Draws(0, 1))
    assert torch.equal(one, augment.augment(IMAGES, DataConfig(jitter=0.2, hue=0.2), Draws(0, 1)))
    assert not torch.equal(
        one, augment.augment(IMAGES, DataConfig(jitter=0.2, hue=0.0), Draws(0, 1))
    )


def test_everything_at_once_stays_in_range_and_follows_the_step() -> None:
    config = DataConfig(
        crop_scale_min=0.08, crop_ratio_max=4 / 3, flip=True, jitter=0.8, hue=0.2,
        jitter_share=0.8, grey=0.2, blur=0.5,
    )  # fmt: skip
    first = augment.augment(IMAGES, config, Draws(0, 3))
    assert torch.equal(first, augment.augment(IMAGES, config, Draws(0, 3)))
    assert not torch.equal(first, augment.augment(IMAGES, config, Draws(0, 4)))
    assert -1 - 1e-6 <= first.min() <= first.max() <= 1 + 1e-6  # a blur's weights are rounded


@pytest.mark.parametrize(
    ("setting", "allowed"),
    [
        ({"grey": 1.5}, "data.grey is 1.5; allowed: 0 to 1"),
        ({"blur": -0.1}, "data.blur is -0.1; allowed: 0 to 1"),
        ({"jitter_share": 2.0}, "data.jitter_share is 2.0; allowed: 0 to 1"),
        ({"hue": 0.6}, "data.hue is 0.6; allowed: 0 to 0.5"),
        ({"crop_ratio_max": 0.75}, "data.crop_ratio_max is 0.75; allowed: 1 to 4"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, float], allowed: str) -> None:
    with pytest.raises(ConfigError, match=allowed):
        DataConfig(**setting)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch's compiler warns of its own parts
def test_compiled_the_colours_change_alike() -> None:
    if reason := arithmetic.cannot_compile(torch.device("cpu")):
        pytest.skip(f"needs a compiler: {reason}")
    bytes_ = torch.randint(0, 256, (4, 3, 20, 20), dtype=torch.uint8)
    for config in (recipes.acgan(), recipes.RECIPES["simclr-pretrain-quick"]()):
        eager = augment.views(bytes_, config, Draws(0, 5))
        on = replace(config, train=replace(config.train, compile="on"))
        found = augment.views(bytes_, on, Draws(0, 5))
        assert torch.equal(augment.views(bytes_, on, Draws(0, 5)), found)
        assert len(found) == config.views * len(bytes_)
        torch.testing.assert_close(found, eager, rtol=0, atol=1e-4)
