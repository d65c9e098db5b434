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
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from gan import arithmetic
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


def to_unit(images: Tensor) -> Tensor:
    """uint8 images to float32 in [-1, 1], where 0 is -1 and 255 is 1."""
    return images.float().div_(127.5).sub_(1)


def views(images: Tensor, config: RunConfig, draws: Draws) -> Tensor:
    """As many altered copies of uint8 images (B, C, S, S) as `config.views` says, one after the
    other; float32 in [-1, 1].
    """
    if not config.data.alters:
        images = to_unit(images)
        return images.repeat(config.views, 1, 1, 1) if config.views > 1 else images
    each, data = range(config.views), config.data
    if config.train.compile == "on":
        change = _compiled()
        copies = [change(images, *_numbers(draws, len(images), view), data) for view in each]
    else:
        unit = to_unit(images)
        copies = [augment(unit, data, draws, view) for view in each]
    return torch.cat(copies) if len(copies) > 1 else copies[0]


def augment(images: Tensor, config: DataConfig, draws: Draws, view: int = 0) -> Tensor:
    """Altered copies of images (B, C, S, S) float32 in [-1, 1]; same shape and range."""
    return alter(images, *_numbers(draws, len(images), view), config)


def _numbers(draws: Draws, count: int, view: int) -> tuple[Tensor, Tensor]:
    """(count, 8) for what S0 needs, (count, 5) for what else there is; in [0, 1)."""
    first, second = _VIEWS[view]
    numbers = draws.uniform(first, count, _DRAWS_PER_IMAGE)
    return numbers, draws.uniform(second, count, _MORE_PER_IMAGE)


def alter(images: Tensor, numbers: Tensor, more: Tensor, config: DataConfig) -> Tensor:
    """As `augment`, by the numbers (B, 8) and (B, 5) that were drawn."""
    if config.crop_scale_min < 1 or config.crop_ratio_max > 1 or config.flip:
        images = crop_and_flip(images, torch.cat([numbers[:, :4], more[:, :1]], 1), config)
    if config.jitter > 0:
        hue = min(config.jitter, 0.5) if config.hue is None else config.hue
        altered = jitter(images, numbers[:, 4:], config.jitter, hue)
        some = config.jitter_share < 1
        images = _choose(more[:, 1] < config.jitter_share, altered, images) if some else altered
    if config.grey > 0 and images.shape[1] == 3:
        images = _choose(more[:, 2] < config.grey, luma(images).expand_as(images), images)
    if config.blur > 0:
        low, high = _BLUR_SIGMA
        sigma = low + (high - low) * more[:, 4]
        images = _choose(more[:, 3] < config.blur, blur(images, sigma), images)
    return images


def _altered_bytes(images: Tensor, numbers: Tensor, more: Tensor, config: DataConfig) -> Tensor:
    return alter(to_unit(images), numbers, more, config)


@functools.cache
def _compiled() -> Callable[..., Tensor]:
    """All that becomes of bytes, in a few passes over memory: as `alter`, of uint8 images."""
    return arithmetic.compiled(_altered_bytes)


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
    free = 1 - torch.stack([width, height], dim=1)
    middle = free * (2 * numbers[:, 1:3] - 1)
    columns = _places(width * mirror, middle[:, 0], images)[:, None, :]
    rows = _places(height, middle[:, 1], images)[:, :, None]
    grid = torch.stack(torch.broadcast_tensors(columns, rows), dim=-1)  # (B, S, S, 2)
    return _resampled(images, grid) if torch.compiler.is_compiling() else _resample(images, grid)


def _resample(images: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


@torch.library.custom_op("ganymede::resampled", mutates_args=())
def _resampled(images: Tensor, grid: Tensor) -> Tensor:
    """Left to torch as it is: what its compiler makes of it on a CPU is slower."""
    return _resample(images, grid)


@_resampled.register_fake
def _(images: Tensor, grid: Tensor) -> Tensor:
    return torch.empty_like(images, memory_format=torch.contiguous_format)


def _places(length: Tensor, middle: Tensor, images: Tensor) -> Tensor:
    """Where the pixels (B, S) of a part this long (B,) lie, around its middle (B,), in [-1, 1]."""
    size = images.shape[-1]
    centres = torch.linspace(1 / size - 1, 1 - 1 / size, size, device=images.device)
    return torch.addcmul(middle[:, None], length[:, None], centres)


def jitter(images: Tensor, numbers: Tensor, strength: float, hue_strength: float) -> Tensor:
    """Brightness, contrast, saturation (factors 1 +- strength) and hue (turns, +- its strength).

    `numbers` is (B, 4) in [0, 1). Grey images get brightness and contrast only. The four come in
    this order always.
    """
    change = (2 * numbers - 1)[:, :, None, None, None]  # (B, 4, 1, 1, 1)
    factors = 1 + change[:, :3] * strength
    half = factors[:, 0] / 2
    images = (images * half).add_(half).clamp_(0, 1)  # [0, 1]; from here on changed in place
    mean = luma(images.mean((2, 3), keepdim=True))
    images.mul_(factors[:, 1]).add_(mean.mul_(1 - factors[:, 1])).clamp_(0, 1)
    if images.shape[1] == 3:
        grey = luma(images).mul_(1 - factors[:, 2])
        images.mul_(factors[:, 2]).add_(grey).clamp_(0, 1)
        images = turn_hue(images, change[:, 3, 0] * hue_strength)
    return images.mul_(2).sub_(1)


def turn_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Images (B, 3, S, S) in [0, 1] with their hue changed by `turns` (B, 1, 1).

    Saturation and value, as HSV has them, stay. The hue is an arc to one side of red: to that of
    green if there is more green than blue.
    """
    red, green, blue = images.unbind(1)
    more, less = torch.maximum(green, blue), torch.minimum(green, blue)
    lowest = torch.minimum(red, less)
    chroma = torch.maximum(red, more).sub_(lowest)
    # In sixths of a turn, times chroma: up to 1 while red leads, up to 2 while it is in the
    # middle, up to 3 where it is last.
    arc = torch.minimum(more.sub_(red), chroma).add_(chroma).add_(less).sub_(lowest)
    arc.div_(chroma.clamp_min(torch.finfo(arc.dtype).tiny)).div_(6)
    hue = torch.copysign(arc, green - blue).add_(turns)  # in turns, any whole number off
    # Of each channel, how far its own hue is. (A stack: compiled, parts that are filled are slow.)
    far = torch.stack([hue + opposite for opposite in (1 / 2, 1 / 6, -1 / 6)], dim=1)
    far.sub_(far.round()).abs_().mul_(6).clamp_(1, 2)
    return far.mul_(chroma[:, None]).add_(lowest.sub_(chroma)[:, None])


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


def luma(images: Tensor) -> Tensor:
    """Brightness (B, 1, S, S) of images with 1 or 3 channels, in their own range."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.split(1, dim=1)
    return (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])
