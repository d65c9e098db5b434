"""What attacks did, as pictures and as a plot."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gan import batches
from gan.visual import captions, perturbation, plots
from gan.visual.attacks import Attack, Measured, Shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def sheet(
    shown: Shown, classes: Sequence[str], notes: Mapping[str, str | int | float] | None = None
) -> bytes:
    """A column for each image, as PNG: the image and what is seen in it, how sure; the gradient;
    the saliency; the altered image and what is seen in that."""
    bright = shown.saliency[:, None].expand_as(shown.images)
    size = bright.amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
    rows = [shown.images, perturbation.as_pictures(shown.gradients), 2 * bright / size - 1]
    images = batches.to_bytes(torch.cat([*rows, shown.altered]))
    count = len(shown.images)
    words = _words(shown.before, shown.confidence_before, classes)
    for place, (seen, true) in enumerate(zip(shown.before, shown.labels, strict=True)):
        words[place] += "" if seen == true else f"\n(is {classes[true]})"
    words += [""] * (2 * count) + _words(shown.after, shown.confidence_after, classes)
    return captions.sheet(images, words, count, notes)


def _words(seen: Tensor, confidence: Tensor, classes: Sequence[str]) -> list[str]:
    pairs = zip(seen.tolist(), confidence.tolist(), strict=True)
    return [f"{classes[number]}\n{100 * share:.0f} %" for number, share in pairs]


def plot(measured: Sequence[Measured]) -> bytes:
    """Accuracy and hit rate over the size, as SVG: a line for each attack, and one for chance.

    The control is that of the first; all are of the same images. Sizes are above 0.
    """
    from matplotlib.figure import Figure

    panels = {
        "still the true class": ("accuracy", "control_accuracy"),
        "the next class": ("hit_rate", "control_hit_rate"),
    }
    with plots.styled():
        figure = Figure(figsize=(plots.WIDTH_IN, 2.6), layout="constrained")
        for place, (title, (attacked, control)) in enumerate(panels.items(), 1):
            axes = figure.add_subplot(1, 2, place)
            for one in measured:
                _draw(axes, one, attacked, _named(one.attack))
            _draw(axes, measured[0], control, "random signs", color="0.5", linestyle="--")
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter("{x:g}")
            axes.set_ylim(-0.02, 1.02)
            axes.set_xlabel("epsilon, in pixels of 255")
            axes.set_title(f"share seen as {title}", fontsize=10, loc="left")
        axes.legend(frameon=False, fontsize=8)
        return plots.svg(figure)


def _draw(axes: "Axes", one: Measured, figure: str, label: str, **look: Any) -> None:
    sizes = [at.epsilon for at in one.by_epsilon]
    shares = [getattr(at, figure) for at in one.by_epsilon]
    axes.plot(sizes, shares, label=label, marker="o", markersize=3, linewidth=1.3, **look)


def _named(attack: Attack) -> str:
    way = "to the next class" if attack.targeted else "off the true class"
    return f"{way}, {attack.iterations} step{'s' * (attack.iterations > 1)}"
