"""What the jobs that follow training draw and measure; no bit of a network depends on it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from gan.config import RunConfig
from gan.data import DataInfo
from jobs import records
from jobs.measuring import published
from jobs.measuring.published import Published
from jobs.run import Run, RunError

Layers = Annotated[tuple[str, ...], tyro.conf.arg(metavar="LAYER [LAYER ...]")]
_KEY = "views"  # in a pipeline's config.json
_FOLLOWING = ("evaluate", "visualize")


@dataclass(frozen=True)
class Views:
    """Settings of a pipeline's follow-up jobs, beside those of its networks."""

    layers: Layers = ()
    """convolutions whose channels are maximised; S0's five, or all of other networks, if left
    out; a name that does not exist is refused with those that do"""
    before_activation: bool = False
    """maximise the channels before the activation that follows, and not after it"""
    inception_weights: Path | None = None
    """file of the 1,008-class Inception network: FID and Inception score are measured too"""
    inception_images: int = 0
    """images of each kind that Inception sees at most; 0: all on a GPU, a thousand on a CPU"""

    def __post_init__(self) -> None:
        published.wanted(self.inception_weights, self.inception_images)

    @property
    def published(self) -> Published | None:
        """The network of FID, if it is wanted."""
        return published.wanted(self.inception_weights, self.inception_images)

    def as_json(self) -> dict[str, Any]:
        path = self.inception_weights
        known = asdict(self) | {"inception_weights": str(path.resolve()) if path else None}
        return known | {"layers": list(self.layers)}

    def require_layers(self, known: Mapping[str, Sequence[str]]) -> None:
        """Raise RunError for a layer that none of the networks has; `known` are theirs, by name."""
        everywhere = {layer for layers in known.values() for layer in layers}
        unknown = [repr(layer) for layer in self.layers if layer not in everywhere]
        if not unknown:
            return
        owners: dict[str, list[str]] = {}
        for name, layers in known.items():
            owners.setdefault(", ".join(layers), []).append(name)
        listed = [
            " ".join(["of", " and ".join(names), layers]) if all(names) else layers
            for layers, names in owners.items()
            if layers
        ]
        allowed = "; ".join(listed) or "no --layers, since there are no convolutions here"
        raise RunError(f"no layer {', '.join(unknown)}; allowed: {allowed}")


def check(wanted: Views, configs: Mapping[str, RunConfig], infos: Mapping[str, DataInfo]) -> None:
    """Raise RunError for what networks of these configs do not have, before any is trained.

    Only if layers are asked for are the networks built, which takes torch.
    """
    if not wanted.layers:
        return
    import torch

    from gan import variants
    from gan.visual import layers

    known = {}
    for name, config in configs.items():
        network = layers.observer(variants.build(config, infos[name], torch.device("cpu")))
        known[name] = layers.registered(network)
    wanted.require_layers(known)


def of(run: Run) -> Views:
    """Those of a pipeline, as it was started with; the usual ones for other runs."""
    known = run.settings().get(_KEY)
    if not known:
        return Views()
    path = known["inception_weights"]
    layers = tuple(known["layers"])
    images = known.get("inception_images", 0)
    return Views(layers, known["before_activation"], Path(path) if path else None, images)


def settle(run: Run, wanted: Views) -> dict[str, Any]:
    """What to keep in the pipeline's config.json: those it has, unless others are wanted.

    Raises RunError for others once one of the stages that follow them is finished.
    """
    if not run.exists:
        return {_KEY: wanted.as_json()}
    stored = of(run)
    if wanted == Views() or wanted.as_json() == stored.as_json():
        return {_KEY: stored.as_json()}
    for stage in _FOLLOWING:
        if records.completion(run, stage):
            raise RunError(
                f"{run.path} was drawn and measured with other settings; `ganymede visualize` and "
                "`ganymede evaluate` do it anew, or give another --name"
            )
    return {_KEY: wanted.as_json()}


def keep(run: Run, network: Published) -> None:
    """Have the pipeline measure by this network too, if its figures are ever made again."""
    settings = run.settings()
    known = settings.get(_KEY) or Views().as_json()
    more = {
        "inception_weights": str(network.weights),
        "inception_images": network.images,
    }
    run.write_pipeline(
        settings["recipe"], settings["members"], settings["kind"], {_KEY: known | more}
    )
