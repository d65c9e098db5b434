"""Training-time changes to images, for a whole batch at once, on its device.

The sets are S0's (a random square crop resized back, colour jitter, a mirror image) and SimCLR's
(Chen et al., "A simple framework for contrastive learning of visual representations" (2020),
appendix A: crops of any shape, jitter of most images, grey, blur). Every number comes from the
step's draws, one row per image, so a resumed run alters its images alike. S0's jitter strength is
itself random and drawn once per process; a fixed strength takes its place.

Two libraries were tried instead. torchvision's transforms draw from global generators, one set for
the whole batch, or image by image at seven times the time; kornia's are batched and follow a seed,
but what an image gets then depends on how many are asked for, so that the ranks' shares of a batch
would not be altered as the whole is.
"""

import functools

import torch
from torch import Tensor
from torch.nn import functional as F

from gan.config import DataConfig, RunConfig
from gan.rng import Draws, Stream

_DRAWS_PER_IMAGE = 8  # area, left, top, mirror, brightness, contrast, saturation, hue
_MORE_PER_IMAGE = 5  # shape; whether to jitter, to take the colour, to blur; width of the blur
_VIEWS = (  # where the numbers of each view come from; what S0 needs apart from what SimCLR adds
    (Stream.AUGMENT, Stream.AUGMENT_MORE),
    (Stream.SECOND_VIEW, Stream.SECOND_VIEW_MORE),
)
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_BLUR_SIGMA = 0.1, 2.0  # pixels (Chen et al.)


def views(images: Tensor, config: RunConfig, draws: Draws) -> Tensor:
    """As many altered copies of images (B, C, S, S) as `config.views` says, one after the other."""
    if not config.data.alters:
        return images.repeat(config.views, 1, 1, 1) if config.views > 1 else images
    return torch.cat(
        [augment(images, config.data, draws, number) for number in range(config.views)]
    )


def augment(images: Tensor, config: DataConfig, draws: Draws, view: int = 0) -> Tensor:
    """Altered copies of images (B, C, S, S) float32 in [-1, 1]; same shape and range."""
    first, second = _VIEWS[view]
    numbers = draws.uniform(first, len(images), _DRAWS_PER_IMAGE)
    more = draws.uniform(second, len(images), _MORE_PER_IMAGE)
    if config.crop_scale_min < 1 or config.crop_ratio_max > 1 or config.flip:
        images = crop_and_flip(images, torch.cat([numbers[:, :4], more[:, :1]], 1), config)
    if config.jitter > 0:
        hue = min(config.jitter, 0.5) if config.hue is None else config.hue
        altered = jitter(images, numbers[:, 4:], config.jitter, hue)
        images = _choose(more[:, 1] < config.jitter_share, altered, images)
    if config.grey > 0 and images.shape[1] == 3:
        images = _choose(more[:, 2] < config.grey, luma(images).expand_as(images), images)
    if config.blur > 0:
        low, high = _BLUR_SIGMA
        sigma = low + (high - low) * more[:, 4]
        images = _choose(more[:, 3] < config.blur, blur(images, sigma), images)
    return images


def _choose(chosen: Tensor, altered: Tensor, images: Tensor) -> Tensor:
    return torch.where(chosen[:, None, None, None], altered, images)


def crop_and_flip(images: Tensor, numbers: Tensor, config: DataConfig) -> Tensor:
    """A part of each image, anywhere inside, resized bilinearly to the whole side.

    Its area is a share of `crop_scale_min` to 1; the logarithm of its shape (width over height) is
    uniform up to that of `crop_ratio_max` both ways; a side that would be longer than the image is
    cut. `numbers` is (B, 5) in [0, 1): area, left, top, mirror, shape.
    """
    area = config.crop_scale_min + (1 - config.crop_scale_min) * numbers[:, 0]  # (B,)
    stretch = config.crop_ratio_max ** (numbers[:, 4] - 0.5)  # square root of the shape
    width, height = (
        (area.sqrt() * stretch).clamp(max=1),
        (area.sqrt() / stretch).clamp(max=1),
    )  # as shares of the image's
    mirror = torch.where(numbers[:, 3] < 0.5, -1.0, 1.0) if config.flip else torch.ones_like(area)
    affine = torch.zeros(len(images), 2, 3, device=images.device)
    affine[:, 0, 0], affine[:, 1, 1] = width * mirror, height
    free = 1 - torch.stack([width, height], dim=1)
    affine[:, :, 2] = free * (2 * numbers[:, 1:3] - 1)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def jitter(images: Tensor, numbers: Tensor, strength: float, hue_strength: float) -> Tensor:
    """Brightness, contrast, saturation (factors 1 +- strength) and hue (turns, +- its strength).

    `numbers` is (B, 4) in [0, 1). Grey images get brightness and contrast only. The four come in
    this order always.
    """
    change = (2 * numbers - 1)[:, :, None, None, None]  # (B, 4, 1, 1, 1)
    factors = 1 + change[:, :3] * strength
    images = (images + 1) / 2  # [0, 1]
    images = (images * factors[:, 0]).clamp(0, 1)
    images = _blend(images, luma(images).mean((1, 2, 3), keepdim=True), factors[:, 1])
    if images.shape[1] == 3:
        images = _blend(images, luma(images), factors[:, 2])
        hue, saturation, value = to_hsv(images)
        images = to_rgb(hue + change[:, 3, 0] * hue_strength, saturation, value)
    return images * 2 - 1


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Images (B, C, S, S) under a Gaussian of `sigma` (B,) pixels.

    Its kernel is a tenth of the side across (Chen et al.), an odd number and 3 at least. Beyond the
    edge the image is mirrored.
    """
    size = images.shape[-1]
    reach = min(max(size // 20, 1), size - 1)
    places = torch.arange(-reach, reach + 1, device=images.device)
    weights = torch.exp(-0.5 * (places / sigma[:, None]).square())  # (B, 2 reach + 1)
    weights = weights / weights.sum(1, keepdim=True)
    images = F.pad(images, (reach, reach, reach, reach), mode="reflect")
    for dim in (2, 3):
        shifted = (images.narrow(dim, i, size) for i in range(len(places)))
        columns = weights[:, :, None, None, None].unbind(1)
        images = functools.reduce(torch.add, map(torch.mul, columns, shifted))
    return images


def _blend(images: Tensor, base: Tensor, factor: Tensor) -> Tensor:
    return (base + (images - base) * factor).clamp(0, 1)


def luma(images: Tensor) -> Tensor:
    """Brightness (B, 1, S, S) of images with 1 or 3 channels, in their own range."""
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
