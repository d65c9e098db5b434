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
        ctx.eps = eps
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        maps, weight, bias, mean, rstd = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        if torch.is_grad_enabled():
            found = _LayerNormSlope.apply(gradient, maps, weight, mean, rstd, ctx.eps)
            return found, None, None, None
        return *_norm_backward(gradient, (maps, mean, rstd), list(weight.shape), weight, bias), None


def _norm_backward(
    gradient: Tensor, statistics: tuple[Tensor, ...], form: list[int], *affine: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of maps, weight and bias; the last two are of no meaning without a bias.

    `statistics` are the maps, their mean and 1 / s; `form` the sides that are normalised; `affine`
    weight and bias, the weight alone, or none for P itself.
    """
    maps, mean, rstd = statistics
    weight, bias = (*affine, None, None)[:2]
    wanted = [True, bias is not None, bias is not None]
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.native_layer_norm_backward(
        gradient, maps, form, mean, rstd, weight, bias, wanted
    )
    return found


class _LayerNormSlope(torch.autograd.Function):
    """z = P(w g) in the words of the module."""

    @staticmethod
    def forward(
        ctx: Any,
        gradient: Tensor,
        maps: Tensor,
        weight: Tensor,
        mean: Tensor,
        rstd: Tensor,
        eps: float,
    ) -> Tensor:
        slope = _norm_backward(gradient, (maps, mean, rstd), list(weight.shape), weight)[0]
        ctx.save_for_backward(gradient, maps, weight, mean, rstd, slope)
        ctx.eps = eps
        return slope

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient, maps, weight, mean, rstd, slope = ctx.saved_tensors
        back, form = gradients[0].contiguous(), list(weight.shape)
        # With low maps it wants a float32 weight, from which it sees what to add in.
        ones = () if back.dtype == weight.dtype else (torch.ones_like(weight),)
        projected = _norm_backward(back, (maps, mean, rstd), form, *ones)[0]
        of_weight = _summed_product(gradient, projected, weight, rstd)
        # In the arithmetic of the maps, in which all of their size has to be to be fast.
        weight, rstd = weight.to(maps.dtype), rstd.to(maps.dtype)
        weight = weight.contiguous()  # once; a permuted one slows down each product
        unit = torch.native_layer_norm(maps, form, None, None, ctx.eps)[0]
        weighted = gradient * weight
        # Back to x; the factors are one number each time that something was normalised.
        of_maps = unit * (-rstd * _mean(back, slope, rstd))
        of_maps.addcmul_(projected, -rstd * _mean(weighted, unit, rstd))
        of_maps.addcmul_(slope, -rstd * _mean(back, unit, rstd))
        return projected * weight, of_maps, of_weight, None, None, None


def _mean(first: Tensor, second: Tensor, form: Tensor) -> Tensor:
    """The mean of the product of two (B, ...) over the sides where `form` has 1; in its shape."""
    count = form.numel()
    first, second = first.reshape(count, -1), second.reshape(count, -1)
    products = torch.linalg.vecdot(first, second)
    return (products / first.shape[1]).view(form.shape)


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
