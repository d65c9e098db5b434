"""Second derivatives of convolution and layer norm, for the gradient penalty.

The penalty takes the gradient of a gradient. Torch can derive its own backward passes, but what it
has for these two is general and slow on CPUs and GPUs alike: a weight's part of a convolution's
second derivative becomes a convolution with a kernel as large as the map, and that of layer norm
some forty passes over memory. Here both are written out.

Layer norm of one image, of n numbers x, is y = w h + b with h = (x - mean) / s, and its backward
pass g -> P(w g), P(u) = (u - mean(u) - h mean(u h)) / s, a symmetric map. So for a gradient v that
comes back to z = P(w g):

    to g:  w P(v)
    to w:  g P(v), summed over the batch
    to x:  -(h mean(v z) + mean(w g h) P(v) + mean(v h) z) / s
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_Pair = list[int]


class SlopeOfImages(TorchFunctionMode):
    """While it lasts, a gradient that is to be derived again is that of the images alone.

    For `autograd.grad(score, images, create_graph=True)`. In such a pass the weights of
    convolutions and layer norms get no gradient of their own; from what is computed of the slope,
    they do.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        replacement = _REPLACEMENTS.get(function, function)
        return replacement(*args, **(kwargs or {}))


def _convolve(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    if isinstance(padding, str):
        return F.conv2d(images, weight, bias, stride, padding, dilation, groups)
    device = images.device.type
    if torch.is_autocast_enabled(device):
        low = torch.get_autocast_dtype(device)
        images, weight = images.to(low), weight.to(low)
        bias = None if bias is None else bias.to(low)
    images = images.view_as(images)  # no leaf of the graph: about those the engine gives no answer
    form = _pair(stride), _pair(padding), _pair(dilation), groups
    found: Tensor = _Convolution.apply(images, weight, bias, form)
    return found


def _pair(value: int | tuple[int, ...]) -> _Pair:
    return [value, value] if isinstance(value, int) else list(value)


def _backward(
    gradient: Tensor, images: Tensor, weight: Tensor, form: Any, wanted: list[bool]
) -> tuple[Tensor | None, ...]:
    """Gradients of images, weight and bias, as `wanted`, None elsewhere."""
    stride, padding, dilation, groups = form
    found: tuple[Tensor | None, ...] = torch.ops.aten.convolution_backward(
        gradient, images, weight, [len(weight)], stride, padding, dilation, False, [0, 0], groups,
        wanted,
    )  # fmt: skip
    return found


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None, form: Any) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.form = form
        return F.conv2d(images, weight, bias, *form)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _ConvolutionSlope.apply(*gradients, images, weight, ctx.form), None, None, None
        before = ctx.next_functions[0][0]
        # `needs_input_grad` says whether images could be asked for, and the penalty's always could;
        # this (not public, but in all versions that we support) whether they are, in this pass.
        asked = before is not None and torch._C._will_engine_execute_node(before)
        wanted = [asked, *ctx.needs_input_grad[1:3]]
        return *_backward(gradients[0], images, weight, ctx.form, wanted), None


class _ConvolutionSlope(torch.autograd.Function):
    """The gradient of the images: linear in the gradient of the maps, and in the weight."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, images: Tensor, weight: Tensor, form: Any) -> Tensor:
        ctx.save_for_backward(gradient, weight)
        ctx.form = form
        slope = _backward(gradient, images, weight, form, [True, False, False])[0]
        assert slope is not None
        return slope

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient, weight = ctx.saved_tensors
        (back,) = gradients
        of_weight = _backward(gradient, back, weight, ctx.form, [False, True, False])[1]
        return F.conv2d(back, weight, None, *ctx.form), None, of_weight, None


def _normalise(
    maps: Tensor,
    shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    if weight is None or bias is None:
        return F.layer_norm(maps, shape, weight, bias, eps)
    if torch.is_autocast_enabled(maps.device.type) and maps.is_cuda:
        maps = maps.float()  # as autocast does there; on CPUs it leaves them, and adds in float32
    found: Tensor = _LayerNorm.apply(maps, weight, bias, eps)
    return found


class _LayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        maps = maps.contiguous()
        found, mean, rstd = torch.native_layer_norm(maps, weight.shape, weight, bias, eps)
        ctx.save_for_backward(maps, weight, bias, mean, rstd)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight, bias, mean, rstd = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        if torch.is_grad_enabled():
            return _LayerNormSlope.apply(gradient, maps, weight, mean, rstd), None, None, None
        found: tuple[Tensor, ...] = torch.ops.aten.native_layer_norm_backward(
            gradient, maps, list(weight.shape), mean, rstd, weight, bias, [True, True, True]
        )
        return *found, None


class _LayerNormSlope(torch.autograd.Function):
    """z = P(w g) in the words of the module."""

    @staticmethod
    def forward(
        ctx: Any, gradient: Tensor, maps: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor
    ) -> Tensor:
        slope, along = _project(gradient * _low(weight, maps), maps, mean, rstd)
        ctx.save_for_backward(gradient, maps, weight, mean, rstd, slope, along)
        return slope

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient, maps, weight, mean, rstd, slope, along = ctx.saved_tensors
        back = gradients[0].contiguous()
        projected, of_back = _project(back, maps, mean, rstd)
        of_weight = _summed_product(gradient, projected, weight, rstd)
        # Back to x; the factors are one number each time that something was normalised.
        of_maps = _normalised(maps, mean, rstd, -rstd * _mean_product(back, slope, rstd))
        of_maps.addcmul_(projected, (-rstd * along).to(maps.dtype))
        of_maps.addcmul_(slope, (-rstd * of_back).to(maps.dtype))
        return projected * _low(weight, maps), of_maps, of_weight, None, None


def _low(weight: Tensor, maps: Tensor) -> Tensor:
    """A weight in the arithmetic of the maps: in which all of their size has to be to be fast.

    Laid out as they are, once, since a permuted one slows down each product.
    """
    return weight.to(maps.dtype).contiguous()


# Each time that layer norm normalises, it does to some numbers what batch norm does to a channel.
# Seen as such, P and the means of products cost one pass, and are added up in float32.


def _project(gradient: Tensor, maps: Tensor, mean: Tensor, rstd: Tensor) -> tuple[Tensor, Tensor]:
    """P(u) of a gradient u like the maps, and mean(u h), in the shape of `rstd`."""
    slope, products = _channels_backward(gradient, maps, mean, rstd, [True, True, False])[:2]
    return slope.view_as(maps), _per_number(products, maps, rstd)


def _mean_product(first: Tensor, second: Tensor, rstd: Tensor) -> Tensor:
    """mean(u v) of two like the maps, in the shape of `rstd`."""
    as_they_are = torch.zeros_like(rstd), torch.ones_like(rstd)
    products = _channels_backward(first, second, *as_they_are, [False, True, False])[1]
    return _per_number(products, first, rstd)


def _per_number(products: Tensor, maps: Tensor, rstd: Tensor) -> Tensor:
    return products.view_as(rstd) * (rstd.numel() / maps.numel())


def _channels_backward(
    gradient: Tensor, maps: Tensor, mean: Tensor, rstd: Tensor, wanted: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch norm's backward pass; its weight is 1, whose gradient is the sum of u h."""
    form, ones = (1, rstd.numel(), -1), torch.ones_like(rstd).flatten()
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.native_batch_norm_backward(
        gradient.reshape(form), maps.reshape(form), ones, None, None, mean.flatten(),
        rstd.flatten(), True, 0.0, wanted,
    )  # fmt: skip
    return found


def _normalised(maps: Tensor, mean: Tensor, rstd: Tensor, factor: Tensor) -> Tensor:
    """The normalised maps, h, times a factor in the shape of `rstd`."""
    seen, variance = maps.reshape(1, rstd.numel(), -1), rstd.pow(-2)
    found: Tensor = torch.native_batch_norm(
        seen, factor.flatten(), None, mean.flatten(), variance.flatten(), False, 0.0, 0.0
    )[0]
    return found.view_as(maps)


def _summed_product(first: Tensor, second: Tensor, weight: Tensor, form: Tensor) -> Tensor:
    """The product of two (B, ...), summed to the shape of `weight`, in one pass and in its type.

    As the gradient of a layer norm's weight is, where it finds maps that are normalised already.
    """
    nothing, one = torch.zeros_like(form), torch.ones_like(form)
    wanted = [False, True, False]
    found: Tensor = torch.ops.aten.native_layer_norm_backward(
        first, second, list(weight.shape), nothing, one, weight, weight, wanted
    )[1]
    return found


_REPLACEMENTS: dict[Any, Callable[..., Any]] = {
    F.conv2d: _convolve,
    F.layer_norm: _normalise,
}
