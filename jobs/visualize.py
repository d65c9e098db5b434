"""The job that draws what the two discriminators learned."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs import trained
from jobs.stage import Context, Result, StageJob, Stopped

if TYPE_CHECKING:
    import torch

_SHOWN = 100  # images in a picture, as in S0
_PREFERRED_LAYER = "conv4"  # S0's example beside the last layer


@dataclass(frozen=True)
class Visualize(StageJob):
    """Perturbation, class and feature maximisation, for both discriminators of a pipeline."""

    stage = "visualize"

    def work(self, context: Context) -> Result:
        outputs: list[Path] = []
        figures: dict[str, Any] = {}
        for name, member in context.run.members().items():
            model = trained.load(member)
            pictures, figures[name] = _draw(model, context)
            for title, (images, columns) in pictures.items():
                outputs.append(_save(context, f"{name}-{title}", images, columns))
        return Result(outputs, figures)


def _draw(
    model: trained.Trained, context: Context
) -> tuple[dict[str, tuple["torch.Tensor", int]], dict[str, Any]]:
    """Pictures by title, as images (N, C, S, S) and columns; and the figures that go with them."""
    import torch

    from gan import batches, rng
    from gan.visual import maximisation, perturbation

    critic, rule = model.variant.critic, maximisation.Ascent()
    images = batches.to_unit(torch.from_numpy(model.data.test_images).to(model.device))
    labels = torch.from_numpy(model.data.test_labels).to(model.device)
    draws = rng.Draws(model.run.config().seed, 0, model.device)
    control = draws.uniform(rng.Stream.VISUAL, *images.shape)
    attack = perturbation.perturb(model.variant.classify, images, labels, control)
    _leave_if_asked(context)
    mean = images[:_SHOWN].mean(0)
    classes = maximisation.maximise_classes(critic, mean, rule)
    pictures = {
        "real": (images[:_SHOWN], 10),
        "gradients": (perturbation.as_pictures(attack.gradients[:_SHOWN]), 10),
        "altered": (attack.altered[:_SHOWN], 10),
        "max-class": (classes, len(classes)),
    }
    chosen = _two_layers(critic.layers)
    for layer in chosen:
        _leave_if_asked(context)
        features = maximisation.maximise_features(critic, layer, mean, rule)
        pictures[f"max-{layer}"] = (features[:_SHOWN], 10)
    shares = {k: v for k, v in vars(attack).items() if isinstance(v, float)}
    context.say(
        f"{model.run.path.name}: accuracy {attack.accuracy_before:.3f}, perturbed "
        f"{attack.accuracy_after:.3f}, target hit {attack.hit_rate:.3f}, "
        f"random signs {attack.control_accuracy:.3f}"
    )
    facts = {"epsilon": perturbation.DEFAULT_EPSILON, "images": len(labels), "layers": chosen}
    return pictures, shares | facts | {"ascent": asdict(rule)}


def _two_layers(layers: tuple[str, ...]) -> list[str]:
    early = _PREFERRED_LAYER if _PREFERRED_LAYER in layers else layers[len(layers) // 2]
    return [early, layers[-1]]


def _save(context: Context, title: str, images: "torch.Tensor", columns: int) -> Path:
    from gan import batches
    from gan.visual import grids

    path = context.run.figures / f"{title}.png"
    grids.save(path, batches.to_bytes(images), columns)
    return path


def _leave_if_asked(context: Context) -> None:
    if reason := context.stop.reason():
        raise Stopped(reason)
