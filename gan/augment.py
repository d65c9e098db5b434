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

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

from gan import arithmetic
from gan.config import DataConfig, RunConfig
from gan.rng import Draws, Stream

Numbers = NDArray[np.float32]

_DRAWS_PER_IMAGE = 8  # area, left, top, mirror, brightness, contrast, saturation, hue
_MORE_PER_IMAGE = 5  # shape; whether to jitter, to take the colour, to blur; width of the blur
_VIEWS = (  # where the numbers of each view come from; what S0 needs apart from what SimCLR adds
    (Stream.AUGMENT, Stream.AUGMENT_MORE),
    (Stream.SECOND_VIEW, Stream.SECOND_VIEW_MORE),
)
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_BLUR_SIGMA = 0.1, 2.0  # pixels (Chen et al.)
# Columns of a plan, which has a row for each image.
_FRAME, _COLOUR, _CHOSEN = slice(0, 4), slice(4, 10), slice(10, 13)
_JITTERED, _GREY, _BLURRED, _SIGMA = 10, 11, 12, 13
_PLANNED = 14
_OPPOSITE = (1 / 2, 1 / 6, 5 / 6)  # turns from where red, green and blue are to red's opposite


def to_unit(images: Tensor) -> Tensor:
    """uint8 images to float32 in [-1, 1], where 0 is -1 and 255 is 1."""
    return _to_unit(images.float())


def _to_unit(bytes_: Tensor) -> Tensor:
    return bytes_.div_(127.5).sub_(1)


def views(images: Tensor, config: RunConfig, draws: Draws) -> Tensor:
    """As many altered copies of uint8 images (B, C, S, S) as `config.views` says, one after the
    other; float32 in [-1, 1].
    """
    if not config.data.alters:
        images = to_unit(images)
        return images.repeat(config.views, 1, 1, 1) if config.views > 1 else images
    change = _compiled() if config.train.compile == "on" else _change
    each, data = range(config.views), config.data
    copies = [change(images, _plan(images, data, draws, view), data) for view in each]
    return torch.cat(copies) if len(copies) > 1 else copies[0]


def augment(images: Tensor, config: DataConfig, draws: Draws, view: int = 0) -> Tensor:
    """Altered copies of images (B, C, S, S), uint8 or float32 in [-1, 1]; float32 in [-1, 1]."""
    return _change(images, _plan(images, config, draws, view), config)


def _plan(images: Tensor, config: DataConfig, draws: Draws, view: int) -> Tensor:
    """What becomes of each image (B, 14). Reckoned on the host, where it takes no launches, and
    sent to the device at once.
    """
    count = len(images)
    first, second = _VIEWS[view]
    plan = np.zeros((count, _PLANNED), np.float32)
    numbers = draws.uniform_on_host(first, count, _DRAWS_PER_IMAGE)
    shapes = None
    if config.crop_ratio_max > 1 or config.jitter_share < 1 or config.grey > 0 or config.blur > 0:
        more = draws.uniform_on_host(second, count, _MORE_PER_IMAGE)
        shapes, plan[:, _CHOSEN] = more[:, 0], more[:, 1:4]
        low, high = _BLUR_SIGMA
        plan[:, _SIGMA] = low + (high - low) * more[:, 4]
    plan[:, _FRAME] = _frames(numbers, shapes, config)
    if config.jitter > 0:
        hue = min(config.jitter, 0.5) if config.hue is None else config.hue
        plan[:, _COLOUR] = _colours(numbers[:, 4:], config.jitter, hue)
    return torch.from_numpy(plan).to(draws.device, non_blocking=True)


def _change(images: Tensor, plan: Tensor, config: DataConfig) -> Tensor:
    """As `augment`, by a plan."""
    are_bytes = images.dtype == torch.uint8
    if are_bytes:
        images = images.float()  # in 0 to 255 until their brightness is changed
    if config.crop_scale_min < 1 or config.crop_ratio_max > 1 or config.flip:
        images = _crop(images, plan[:, _FRAME])
    if config.jitter > 0 and config.jitter_share >= 1:
        images = _jitter(images, plan[:, _COLOUR], 255.0 if are_bytes else None)
    else:
        images = _to_unit(images) if are_bytes else images
        if config.jitter > 0:
            altered = _jitter(images, plan[:, _COLOUR])
            images = _choose(plan[:, _JITTERED] < config.jitter_share, altered, images)
    if config.grey > 0 and images.shape[1] == 3:
        images = _choose(plan[:, _GREY] < config.grey, luma(images).expand_as(images), images)
    if config.blur > 0:
        images = _choose(plan[:, _BLURRED] < config.blur, blur(images, plan[:, _SIGMA]), images)
    return images


@functools.cache
def _compiled() -> Callable[..., Tensor]:
    """All that becomes of bytes, in a few passes over memory."""
    return arithmetic.compiled(_change)


def _choose(chosen: Tensor, altered: Tensor, images: Tensor) -> Tensor:
    return torch.where(chosen[:, None, None, None], altered, images)


def crop_and_flip(images: Tensor, numbers: ArrayLike, config: DataConfig) -> Tensor:
    """A part of each image, anywhere inside, resized bilinearly to the whole side.

    Its area is a share of `crop_scale_min` to 1; the logarithm of its shape (width over height) is
    uniform up to that of `crop_ratio_max` both ways; a side that would be longer than the image is
    cut. `numbers` is (B, 5) in [0, 1): area, left, top, mirror, shape.
    """
    given = np.asarray(numbers)
    frames = _frames(given, given[:, 4], config)
    return _crop(images, torch.from_numpy(frames).to(images.device))


def _frames(numbers: Numbers, shapes: Numbers | None, config: DataConfig) -> Numbers:
    """How wide and high each part is, as shares of the image's sides (a mirrored one has a negative
    width), and where its middle lies, in [-1, 1]: (B, 4), as `_crop` takes it.
    """
    area = config.crop_scale_min + (1 - config.crop_scale_min) * numbers[:, 0]
    frames = np.empty((len(numbers), 4), np.float32)
    sides = frames[:, :2]
    sides[:] = np.sqrt(area)[:, None]
    if shapes is not None and config.crop_ratio_max > 1:
        stretch = config.crop_ratio_max ** (shapes - 0.5)  # square root of the shape
        sides[:, 0] *= stretch
        sides[:, 1] /= stretch
        np.minimum(sides, 1, out=sides)
    frames[:, 2:] = (1 - sides) * (2 * numbers[:, 1:3] - 1)
    if config.flip:
        np.copysign(sides[:, 0], numbers[:, 3] - 0.5, out=sides[:, 0])
    return frames


def _crop(images: Tensor, frames: Tensor) -> Tensor:
    """By width, height, and the middle's place along each: (B, 4)."""
    size = images.shape[-1]
    centres = torch.linspace(1 / size - 1, 1 - 1 / size, size, device=images.device)
    places = torch.addcmul(frames[:, 2:, None], frames[:, :2, None], centres)  # (B, 2, S)
    columns, rows = places[:, 0, None, :], places[:, 1, :, None]
    if torch.compiler.is_compiling():
        return _resampled(images, torch.stack(torch.broadcast_tensors(columns, rows), dim=-1))
    # The fastest way to put the two side by side: as parts of one number.
    return _resample(images, torch.view_as_real(torch.complex(columns, rows)))  # (B, S, S, 2)


def _resample(images: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


@torch.library.custom_op("ganymede::resampled", mutates_args=())
def _resampled(images: Tensor, grid: Tensor) -> Tensor:
    """Left to torch as it is: what its compiler makes of it on a CPU is slower."""
    return _resample(images, grid)


@_resampled.register_fake
def _(images: Tensor, grid: Tensor) -> Tensor:
    return torch.empty_like(images, memory_format=torch.contiguous_format)


def jitter(images: Tensor, numbers: ArrayLike, strength: float, hue_strength: float) -> Tensor:
    """Brightness, contrast, saturation (factors 1 +- strength) and hue (turns, +- its strength) of
    images in [-1, 1].

    `numbers` is (B, 4) in [0, 1). Grey images get brightness and contrast only. The four come in
    this order always.
    """
    colours = _colours(np.asarray(numbers), strength, hue_strength)
    return _jitter(images, torch.from_numpy(colours).to(images.device))


def _colours(numbers: Numbers, strength: float, hue_strength: float) -> Numbers:
    """Of each image the factors for brightness, contrast and saturation, what the last two are less
    than 1, and turns of the hue: (B, 6), as `_jitter` takes it.
    """
    colours = np.empty((len(numbers), 6), np.float32)
    change = 2 * numbers - 1
    factors = colours[:, :3]
    factors[:] = 1 + change[:, :3] * strength
    colours[:, 3:5] = 1 - factors[:, 1:]
    colours[:, 5] = change[:, 3] * hue_strength
    return colours


def _jitter(images: Tensor, colours: Tensor, white: float | None = None) -> Tensor:
    """Images in [-1, 1], or changed in place if they are in 0 to `white`, to [-1, 1]."""
    light, contrast, colour, mean_left, grey_left, turns = colours[..., None, None, None].unbind(1)
    if white is None:
        half = light / 2
        images = torch.addcmul(half, images, half)
    else:
        images.mul_(light / white)
    images.clamp_(0, 1)  # from here on in [0, 1], and in place
    mean = luma(images.mean((2, 3), keepdim=True))
    images.mul_(contrast).add_(mean.mul_(mean_left)).clamp_(0, 1)
    if images.shape[1] != 3:
        return images.mul_(2).sub_(1)
    faded = luma(images).mul_(grey_left)
    images.mul_(colour).add_(faded).clamp_(0, 1)
    return _turn_hue(images, turns[:, 0], low=-1, span=2)


def turn_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Images (B, 3, S, S) in [0, 1] with their hue changed by `turns` (B, 1, 1), in -0.5 to 0.5.

    Saturation and value, as HSV has them, stay. The images given are used up.
    """
    return _turn_hue(images, turns)


def _turn_hue(images: Tensor, turns: Tensor, low: float = 0.0, span: float = 1.0) -> Tensor:
    """As `turn_hue`, of which 0 becomes `low` and 1 `low + span`.

    The hue is an arc to one side of red: to that of green if there is more green than blue.
    """
    red, green, blue = images.unbind(1)
    side = green - blue
    more, less = torch.maximum(green, blue), torch.minimum(green, blue)
    lowest = torch.minimum(red, less)
    chroma = torch.maximum(red, more).sub_(lowest)
    # In sixths of a turn, times chroma: up to 1 while red leads, up to 2 while it is in the
    # middle, up to 3 where it is last.
    arc = more.sub_(red).clamp_max_(chroma).add_(chroma).add_(less).sub_(lowest).copysign_(side)
    some = chroma.clamp_min(torch.finfo(chroma.dtype).tiny)
    hue = torch.addcdiv(turns + 1, arc, some, value=1 / 6)  # in turns, 0 to 2
    # The way to the opposite is half a turn less these. A channel is at its highest where the way
    # is a third of a turn at least, at its lowest where it is a sixth at most.
    far = _opposed(hue, images).frac_().sub_(0.5).abs_().clamp_(1 / 6, 1 / 3)
    weight, start = chroma * (-6 * span), lowest.add_(chroma, alpha=2).mul_(span).add_(low)
    return far.mul_(weight[:, None]).add_(start[:, None]).clamp_(low, low + span)


def _opposed(hue: Tensor, images: Tensor) -> Tensor:
    """How far (B, 3, S, S) a hue (B, S, S) is ahead of the opposites of red, green and blue, in
    turns, some whole ones more. Takes the place of the images.
    """
    if torch.compiler.is_compiling():  # which is slow with parts that are filled
        return torch.stack([hue + turns for turns in _OPPOSITE], dim=1)
    return torch.add(hue[:, None], _opposites(images.device), out=images)


@functools.cache
def _opposites(device: torch.device) -> Tensor:
    return torch.tensor(_OPPOSITE, device=device).view(1, 3, 1, 1)


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
