"""Training-time changes to images, for a whole batch at once, on its device.

The set is S0's: a random square crop resized back, colour jitter, a mirror image. Every number
comes from the step's draws, one row per image, so a resumed run alters its images alike. (Library
transforms draw from global generators, one image at a time.) S0's jitter strength is itself random
and drawn once per process; a fixed strength takes its place.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from gan.config import DataConfig
from gan.rng import Draws, Stream

_DRAWS_PER_IMAGE = 8  # area, left, top, mirror, brightness, contrast, saturation, hue
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def is_active(config: DataConfig) -> bool:
    return config.crop_scale_min < 1 or config.flip or config.jitter > 0


def augment(images: Tensor, config: DataConfig, draws: Draws) -> Tensor:
    """Altered copies of images (B, C, S, S) float32 in [-1, 1]; same shape and range."""
    numbers = draws.uniform(Stream.AUGMENT, len(images), _DRAWS_PER_IMAGE)
    if config.crop_scale_min < 1 or config.flip:
        images = crop_and_flip(images, numbers[:, :4], config.crop_scale_min, config.flip)
    if config.jitter > 0:
        images = jitter(images, numbers[:, 4:], config.jitter)
    return images


def crop_and_flip(images: Tensor, numbers: Tensor, scale_min: float, flip: bool) -> Tensor:
    """A square of area `scale_min` to 1 of each image, anywhere inside, resized bilinearly.

    `numbers` is (B, 4) in [0, 1): area, left, top, mirror.
    """
    side = (scale_min + (1 - scale_min) * numbers[:, 0]).sqrt()  # (B,) share of the image's side
    mirror = torch.where(numbers[:, 3] < 0.5, -1.0, 1.0) if flip else torch.ones_like(side)
    affine = torch.zeros(len(images), 2, 3, device=images.device)
    affine[:, 0, 0], affine[:, 1, 1] = side * mirror, side
    affine[:, :, 2] = (1 - side)[:, None] * (2 * numbers[:, 1:3] - 1)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def jitter(images: Tensor, numbers: Tensor, strength: float) -> Tensor:
    """Brightness, contrast, saturation (factors 1 +- strength) and hue (turns, +- strength).

    `numbers` is (B, 4) in [0, 1). Grey images get brightness and contrast only.
    """
    change = (2 * numbers - 1)[:, :, None, None, None] * strength  # (B, 4, 1, 1, 1)
    images = (images + 1) / 2  # [0, 1]
    images = (images * (1 + change[:, 0])).clamp(0, 1)
    images = _blend(images, luma(images).mean((1, 2, 3), keepdim=True), 1 + change[:, 1])
    if images.shape[1] == 3:
        images = _blend(images, luma(images), 1 + change[:, 2])
        hue, saturation, value = to_hsv(images)
        images = to_rgb(hue + change[:, 3, 0], saturation, value)
    return images * 2 - 1


def _blend(images: Tensor, base: Tensor, factor: Tensor) -> Tensor:
    return (base + (images - base) * factor).clamp(0, 1)


def luma(images: Tensor) -> Tensor:
    """Brightness (B, 1, S, S) of images in [0, 1] with 1 or 3 channels."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(_LUMA, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """RGB (B, 3, S, S) in [0, 1] to hue in turns, saturation and value, each (B, S, S)."""
    red, green, blue = images.unbind(1)
    value, chroma = images.amax(1), images.amax(1) - images.amin(1)
    divisor = torch.where(chroma == 0, 1.0, chroma)
    sixths = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )
    saturation = chroma / torch.where(value == 0, 1.0, value)
    return (sixths / 6) % 1, saturation, value


def to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """The inverse of `to_hsv`; any hue, in turns."""
    offsets = torch.tensor([5.0, 3.0, 1.0], device=hue.device).view(1, 3, 1, 1)
    k = (offsets + 6 * hue[:, None]) % 6
    ramp = torch.minimum(k, 4 - k).clamp(0, 1)
    return value[:, None] * (1 - saturation[:, None] * ramp)
