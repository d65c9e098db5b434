"""The job that draws what the discriminators of a pipeline learned."""

from dataclasses import asdict, dataclass, field
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan.data.images import chosen
from jobs import trained
from jobs.reporting import gallery
from jobs.stage import Context, Result, StageJob, Stopped

if TYPE_CHECKING:
    import torch

    from gan.visual.origin import Notes
    from gan.visual.perturbation import Perturbation

_SHOWN = 100  # images in a picture of images, as in S0
_EPSILONS = (1.0, 2.0, 4.0, 16.0)  # pixels of 255, beside S0's 8
_LAYERS = ("conv2", "conv3", "conv4", "conv6", "conv8")  # S0's


@dataclass(frozen=True)
class Visualize(StageJob):
    """Perturbation, class and feature maximisation, for each discriminator as far as it can:
    the first two need one that names classes, the last one whose layers can be looked into.
    """

    stage = "visualize"

    def work(self, context: Context) -> Result:
        outputs: list[Path] = []
        figures: dict[str, Any] = {}
        for name, member in context.run.members().items():
            model = trained.load(member)
            drawn = _draw(model, context)
            figures[name] = drawn.facts
            for title, (images, columns) in drawn.pictures.items():
                path = context.run.figures / f"{name}-{title}.png"
                outputs.append(_save(path, images, columns, _notes(model, title)))
        return Result(outputs, figures)


@dataclass
class _Drawn:
    """Pictures by title, as images (N, C, S, S) and columns; and the figures that go with them."""

    pictures: dict[str, tuple["torch.Tensor", int]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def _draw(model: trained.Trained, context: Context) -> _Drawn:
    import torch

    from gan import batches
    from gan.visual import maximisation

    critic, rule = model.variant.critic, maximisation.Ascent()
    tests = model.data.test_images
    some = torch.from_numpy(tests[chosen(len(tests), _SHOWN)]).to(model.device)
    mean = batches.to_unit(some).mean(0)
    drawn = _Drawn(facts={"ascent": asdict(rule), "layers": _layers(critic.layers)})
    if model.variant.classifies:
        _perturb(model, context, drawn)
        _leave_if_asked(context)
        classes = maximisation.maximise_classes(critic, mean, rule)
        drawn.pictures["max-class"] = classes, min(len(classes), 10)
    for layer in drawn.facts["layers"]:
        _leave_if_asked(context)
        features = maximisation.maximise_features(critic, layer, mean, rule)
        drawn.pictures[f"max-{layer}"] = features, ceil(sqrt(len(features)))
    if not drawn.pictures:
        context.say(f"{model.run.path.name}: names no classes and has no layers to look into")
    return drawn


def _perturb(model: trained.Trained, context: Context, drawn: _Drawn) -> None:
    """Alter all test images, by steps of several sizes; some of S0's size are shown."""
    import torch

    from gan import batches, evaluation, rng
    from gan.visual import perturbation

    images = batches.to_unit(torch.from_numpy(model.data.test_images).to(model.device))
    labels = torch.from_numpy(model.data.test_labels).to(model.device)
    draws = rng.Draws(model.run.config().seed, 0, model.device)
    control, stop = draws.uniform(rng.Stream.VISUAL, *images.shape), context.stop.reason

    def altered_by(epsilon: float) -> perturbation.Perturbation:
        try:
            return perturbation.perturb(
                model.variant.classify, images, labels, control, epsilon, stop
            )
        except evaluation.Interrupted:
            raise Stopped(stop()) from None

    attack = altered_by(perturbation.DEFAULT_EPSILON)
    shown = torch.from_numpy(chosen(len(images), _SHOWN)).to(images.device)
    drawn.pictures["real"] = images[shown], 10
    drawn.pictures["gradients"] = perturbation.as_pictures(attack.gradients[shown]), 10
    drawn.pictures["altered"] = attack.altered[shown], 10
    drawn.facts |= _shares(attack)
    drawn.facts |= {"epsilon": perturbation.DEFAULT_EPSILON, "images": len(labels)}
    drawn.facts["by_epsilon"] = [{"epsilon": e} | _shares(altered_by(e)) for e in _EPSILONS]
    context.say(
        f"{model.run.path.name}: accuracy {attack.accuracy_before:.3f}, perturbed "
        f"{attack.accuracy_after:.3f}, target hit {attack.hit_rate:.3f}, "
        f"random signs {attack.control_accuracy:.3f}"
    )


def _shares(attack: "Perturbation") -> dict[str, float]:
    return {name: value for name, value in vars(attack).items() if isinstance(value, float)}


def _layers(known: tuple[str, ...]) -> list[str]:
    """S0's layers, as far as this network has them, and always the last."""
    return [layer for layer in known if layer in _LAYERS or layer == known[-1]]


def _notes(model: trained.Trained, title: str) -> "Notes":
    """What a picture says of itself in its file."""
    known = {"recipe": model.model.settings["recipe"], "step": model.model.step}
    return gallery.kind_of(title).origin.notes(known | {"weights_sha256": model.checksum})


def _save(path: Path, images: "torch.Tensor", columns: int, notes: "Notes") -> Path:
    from gan import batches
    from gan.visual import grids

    grids.save(path, batches.to_bytes(images), columns, notes)
    return path


def _leave_if_asked(context: Context) -> None:
    if reason := context.stop.reason():
        raise Stopped(reason)
