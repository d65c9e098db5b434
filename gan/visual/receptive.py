"""Receptive fields: which pixels a unit of a convolutional network can see.

By arithmetic from the layers' kernels, strides and paddings, and by measurement: pixels that move
the unit have a gradient. The two agree for convolutions and pools alone. LayerNorm over (C, H, W)
lets every unit depend on every pixel through its mean and deviation, and BatchNorm on other images
too; so norms are bypassed in a measurement, unless they are asked for.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gan.visual import layers
from gan.visual.layers import Layer

_WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
_NORMS = (nn.LayerNorm, nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d)
_ENDS = (nn.Flatten, nn.Linear)  # beyond these, units have no place


@dataclass(frozen=True)
class Field:
    """What the units of one layer see, along one side of the image; all in pixels."""

    size: int  # side of the square that a unit sees
    step: int  # distance between the squares of neighbouring units
    start: int  # where the first unit's square begins; below 0 in the padding

    def span(self, unit: int, image_size: int) -> range:
        """The pixels inside the image that the unit at this place sees."""
        first = self.start + unit * self.step
        return range(max(first, 0), min(first + self.size, image_size))


def fields(network: nn.Module) -> dict[str, Field]:
    """The fields of all convolutions and pools, by the layers' names, first to last.

    For networks that are a chain, each layer following the one registered before it, up to the
    first linear layer. Araujo et al., "Computing receptive fields of convolutional neural networks"
    (2019): kernels add up in units of the step so far, strides multiply it.

    Raises ValueError for a window that is not square, or a padding that is not a number.
    """
    size, step, start = 1, 1, 0
    found = {}
    for name, layer in _chain(network):
        if isinstance(layer, _WINDOWS):
            kernel, stride, padding = _window(name, layer)
            size += (kernel - 1) * step
            start -= padding * step
            step *= stride
            found[name] = Field(size, step, start)
    return found


def measure(
    network: nn.Module, layer: str, images: Tensor, unit: tuple[int, int], norms: bool = False
) -> tuple[range, range]:
    """Rows and columns of images (1, C, S, S) that move the unit at (row, column) of a layer.

    The smallest rectangle around all pixels with a gradient. Max-pools are replaced by means, since
    at any one image they hide all but one pixel; with `norms`, the norms stay.
    """
    images = images.detach().clone().requires_grad_()
    response = _up_to(network, layer, norms)(images)[0, :, unit[0], unit[1]].sum()
    (gradient,) = torch.autograd.grad(response, images)
    moving = (gradient != 0).any(1)[0]  # (S, S)
    return _extent(moving.any(1)), _extent(moving.any(0))


@dataclass(frozen=True)
class Seen:
    """What the unit in the middle of a convolution's map sees of an image."""

    layer: str
    unit: int  # its row, and its column
    rows: range  # of pixels, by the gradient
    columns: range
    field: Field | None  # by arithmetic; none where the network is no chain


def middle(network: nn.Module, image: Tensor) -> tuple[Seen, ...]:
    """The middle unit's field in every convolution that an image (C, S, S) passes; of any network.

    By the gradient with norms and activations bypassed and max-pools replaced by means: which
    pixels can move the unit at all. By arithmetic too, if the network is a chain: one whose windows
    follow each other as `fields` takes it, which the sides of the maps show.
    """
    found = layers.convolutions(network, image)
    known = fields(network) if _is_chain(network, found, image.shape[-1]) else {}
    bare = _bare(copy.deepcopy(network).eval())
    seen = []
    for layer in found.values():
        images, unit = image[None].detach().clone().requires_grad_(), layer.side // 2
        maps = layers.maps(bare, Layer(layer.name, layer.channels, layer.side), images)
        (gradient,) = torch.autograd.grad(maps[0, :, unit, unit].sum(), images)
        moving = (gradient != 0).any(1)[0]
        rows, columns = _extent(moving.any(1)), _extent(moving.any(0))
        seen.append(Seen(layer.name, unit, rows, columns, known.get(layer.name)))
    return tuple(seen)


def _is_chain(network: nn.Module, found: dict[str, Layer], side: int) -> bool:
    """Whether all windows are passed in the order of their names, each by the map before it."""
    sides = {}
    for name, layer in _chain(network):
        if isinstance(layer, _WINDOWS):
            kernel, stride, padding = _window(name, layer)
            side = (side + 2 * padding - kernel) // stride + 1
            if isinstance(layer, nn.Conv2d):
                sides[name] = side
    return list(sides.items()) == [(layer.name, layer.side) for layer in found.values()]


def _bare(network: nn.Module) -> nn.Module:
    """The network itself, changed: all that hides a pixel or shows every pixel is taken away."""
    for name, layer in network.named_children():
        if isinstance(layer, (*_NORMS, *layers.ACTIVATIONS)):
            setattr(network, name, nn.Identity())
        else:
            setattr(network, name, _bare(_mean_pool(layer)))
    return network


def _extent(moving: Tensor) -> range:
    places = moving.nonzero().flatten().tolist()
    return range(places[0], places[-1] + 1) if places else range(0)


def _chain(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers without layers inside, by name, up to where places end."""
    layers = []
    for name, layer in network.named_modules():
        if isinstance(layer, _ENDS):
            break
        if not list(layer.children()):
            layers.append((name, layer))
    return layers


def _up_to(network: nn.Module, last: str, norms: bool) -> nn.Sequential:
    """A copy of the chain up to the layer `last`, in evaluation mode. Raises ValueError."""
    chain = _chain(network)
    names = [name for name, _ in chain]
    if last not in names:
        raise ValueError(f"no layer {last!r}; this network has {', '.join(fields(network))}")
    layers = [copy.deepcopy(layer) for _, layer in chain[: names.index(last) + 1]]
    kept = [layer for layer in layers if norms or not isinstance(layer, _NORMS)]
    return nn.Sequential(*(_mean_pool(layer) for layer in kept)).eval()


def _mean_pool(layer: nn.Module) -> nn.Module:
    if isinstance(layer, nn.MaxPool2d):
        return nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding)
    return layer


def _window(name: str, layer: nn.Module) -> tuple[int, int, int]:
    """Kernel (dilation included), stride and padding, each the same along both sides."""
    numbers = []
    for setting in ("kernel_size", "stride", "padding", "dilation"):
        value = getattr(layer, setting, 1)
        sides = value if isinstance(value, tuple) else (value, value)
        if isinstance(value, str) or sides[0] != sides[1]:
            raise ValueError(
                f"{setting} of {name} is {value!r}; allowed: one number for both sides"
            )
        numbers.append(sides[0])
    kernel, stride, padding, dilation = numbers
    return dilation * (kernel - 1) + 1, stride, padding
