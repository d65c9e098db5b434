"""What the jobs that follow training draw and measure; no bit of a network depends on it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from jobs import published, records
from jobs.published import Published
from jobs.run import Run, RunError

_KEY = "views"  # in a pipeline's config.json
_FOLLOWING = ("evaluate", "visualize")


@dataclass(frozen=True)
class Views:
    """Settings of a pipeline's follow-up jobs, beside those of its networks."""

    layers: Annotated[tuple[str, ...], tyro.conf.arg(metavar="LAYER [LAYER ...]")] = ()
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
