"""The convolutions of any network, by name, and the maps that come out of them.

They are found by running the network once on an image: names alone tell neither whether a layer is
used (a growing critic uses those of its level) nor which activation follows it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from gan import evaluation
from gan.variants import Variant

ACTIVATIONS = (
    nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Hardswish, nn.Softplus, nn.Sigmoid, nn.Tanh,
)  # fmt: skip
_MIXES = (nn.Conv2d, nn.Linear)  # what comes out of these are other features


@dataclass(frozen=True)
class Layer:
    """A convolution, and the activation that its map runs into."""

    name: str
    channels: int
    side: int  # of its map, in units
    activation: str = ""  # the name of that module; empty if the map runs into none
    call: int = 0  # which of that module's calls it is: some modules stand at several places


class _Reached(Exception):
    """The maps that were wanted are there; the rest of the network need not be run."""

    def __init__(self, maps: Tensor) -> None:
        self.maps = maps


def observer(variant: Variant) -> nn.Module:
    """The network of a system that looks at images: its critic, classifier or encoder."""
    made = variant.networks.items()
    (network,) = (network for name, network in made if not name.startswith("generator"))
    return network


@contextmanager
def at_rest(network: nn.Module) -> Iterator[None]:
    """The network as it judges: in evaluation mode, with gradients; put back afterwards."""
    with evaluation.eval_mode(network), torch.enable_grad():
        yield


def convolutions(network: nn.Module, image: Tensor) -> dict[str, Layer]:
    """The convolutions that an image (C, S, S) passes, by name, first to last; maybe none."""
    found: dict[str, Layer] = {}
    open_ends: dict[str, Tensor] = {}  # the map of each that no activation has taken up so far
    calls: dict[str, int] = {}

    def passed(name: str, module: nn.Module, given: Tensor, output: Tensor) -> None:
        call = calls[name] = calls.get(name, -1) + 1
        if isinstance(module, nn.Conv2d) and name not in found:
            found[name] = Layer(name, output.shape[1], output.shape[-1])
            open_ends[name] = output
        for layer in [layer for layer, maps in open_ends.items() if maps is given]:
            if isinstance(module, ACTIVATIONS):
                found[layer] = replace(found[layer], activation=name, call=call)
            if isinstance(module, (*ACTIVATIONS, *_MIXES)):
                del open_ends[layer]
            else:
                open_ends[layer] = output

    with _told(network, passed), evaluation.eval_mode(network):
        network(image[None])
    return found


@contextmanager
def _told(
    network: nn.Module, passed: Callable[[str, nn.Module, Tensor, Tensor], None]
) -> Iterator[None]:
    """Calls `passed` with every module without modules inside that the network runs through."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda module, given, output: passed(name, module, given[0], output)

    leaves = [
        (name, module) for name, module in network.named_modules() if not [*module.children()]
    ]
    handles = [module.register_forward_hook(hook(name)) for name, module in leaves]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def shown_name(network: nn.Module, name: str) -> str:
    """What a convolution is called: S0's by their stages, as conv5; others by their modules."""
    stage = name.removeprefix("stages.").removesuffix(".0")
    return stage if stage in getattr(network, "layers", ()) else name


def by_shown_name(network: nn.Module, image: Tensor) -> dict[str, Layer]:
    """As `convolutions`, under the names that are shown and asked for."""
    found = convolutions(network, image)
    return {shown_name(network, name): layer for name, layer in found.items()}


def registered(network: nn.Module) -> list[str]:
    """The shown names of all convolutions, also of those that a growing network does not use yet:
    what is known of a network before it is trained."""
    modules = network.named_modules()
    return [shown_name(network, name) for name, m in modules if isinstance(m, nn.Conv2d)]


def find(network: nn.Module, image: Tensor, name: str) -> Layer:
    """The convolution of this name. Raises ValueError, which lists those that there are."""
    known = convolutions(network, image)
    if name not in known:
        listed = f"has {', '.join(known)}" if known else "has no convolutions"
        raise ValueError(f"no layer {name!r}; this network {listed}")
    return known[name]


def maps(network: nn.Module, layer: Layer, images: Tensor, before: bool = False) -> Tensor:
    """What comes out of a layer for images (B, C, S, S): (B, channels, side, side).

    After the activation that follows it; or `before`: what runs into that activation, after the
    norm if there is one. Where none follows, both are the convolution's own output. Nothing beyond
    the layer is run.
    """
    module = network.get_submodule(layer.activation or layer.name)
    calls = -1

    def reached(found: Tensor) -> None:
        nonlocal calls
        calls += 1
        if calls == layer.call:
            raise _Reached(found)

    if before and layer.activation:
        handle = module.register_forward_pre_hook(lambda _, given: reached(given[0]))
    else:
        handle = module.register_forward_hook(lambda _, given, output: reached(output))
    try:
        network(images)
    except _Reached as end:
        return end.maps
    finally:
        handle.remove()
    raise ValueError(f"layer {layer.name!r} is not passed by images {tuple(images.shape)}")
