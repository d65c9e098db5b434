"""The straight line through an image along the direction that an attack would take (S3).

Networks of pieces that are linear stay nearly so on the whole line, far beyond the images that
they were trained on: all logits go on in their directions, and end in classes of which the network
is sure and a person sees nothing (Goodfellow et al., "Explaining and harnessing adversarial
examples", 2015, figure 4).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gan import batches
from gan.visual import attacks, plots
from gan.visual.attacks import Classify
from gan.visual.perturbation import DEFAULT_EPSILON, PIXEL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BATCH = 256
_FEW = 10  # classes up to which each has a colour and a name


@dataclass(frozen=True)
class Line:
    """Which line: image + factor * epsilon * the signs of the gradient."""

    epsilon: float = DEFAULT_EPSILON  # pixels of 255, at factor 1
    reach: float = 10.0  # the factor goes from -reach to reach
    steps: int = 100  # on either side of the image
    targeted: bool = False  # towards the next class; or else away from the true one


@dataclass(frozen=True)
class Traced:
    """The logits along a line."""

    line: Line
    image: Tensor  # (C, S, S) in [-1, 1]
    signs: Tensor  # (C, S, S): the direction
    label: int  # the true class
    factors: Tensor  # (P,) float64, ascending; the image itself is in the middle
    logits: Tensor  # (P, K) float64

    def at(self, factors: Tensor) -> Tensor:
        """The points (F, C, S, S) of the line at factors (F,); they leave [-1, 1]."""
        return _points(self.image, self.signs, self.line.epsilon, factors)


def _points(image: Tensor, signs: Tensor, epsilon: float, factors: Tensor) -> Tensor:
    scales = (epsilon * PIXEL * factors).to(image)
    return image + scales[:, None, None, None] * signs


def trace(classify: Classify, image: Tensor, label: int, line: Line) -> Traced:
    """The logits of all classes along the line through an image (C, S, S) of class `label`.

    The direction is that of the gradient at the image; positive factors are the attack's. Nothing
    is clamped on the way. Of a network in evaluation mode.
    """
    truth = torch.tensor([label], device=image.device)
    signs = -attacks.slope(classify, image[None], truth, line.targeted)[0].sign()
    factors = torch.arange(-line.steps, line.steps + 1).double() * (line.reach / line.steps)
    with torch.no_grad():
        parts = [
            classify(_points(image, signs, line.epsilon, some.to(image.device)))
            for some in factors.split(_BATCH)
        ]
    return Traced(line, image, signs, label, factors, torch.cat(parts).double().cpu())


def plot(traced: Traced, classes: Sequence[str], pictures: int = 5) -> bytes:
    """The logits over the factor as SVG, and below them some points of the line as pictures.

    The true class is drawn thick. Of many classes only those are named that are the largest
    somewhere. The pictures are clipped to what can be shown; the logits are not.
    """
    from matplotlib.figure import Figure

    factors = torch.linspace(-traced.line.reach, traced.line.reach, pictures)
    seen = [_seen(traced, float(factor)) for factor in factors]
    shown = batches.to_bytes(traced.at(factors.to(traced.image.device)))
    with plots.styled():
        figure = Figure(figsize=(plots.WIDTH_IN, 4.4), layout="constrained")
        spaces = figure.add_gridspec(2, pictures, height_ratios=[3, 1])
        axes = figure.add_subplot(spaces[0, :])
        _draw_logits(axes, traced, classes)
        for factor in factors.tolist():
            axes.axvline(factor, color="0.6", linewidth=0.6, linestyle=":", zorder=0)
        for place, (image, number) in enumerate(zip(shown, seen, strict=True)):
            factor = float(factors[place])
            title = f"{factor:+g}: {classes[number]}" if factor else f"the image: {classes[number]}"
            plots.picture(figure.add_subplot(spaces[1, place]), image, title)
        return plots.svg(figure)


def _seen(traced: Traced, factor: float) -> int:
    nearest = int((traced.factors - factor).abs().argmin())
    return int(traced.logits[nearest].argmax())


def _draw_logits(axes: "Axes", traced: Traced, classes: Sequence[str]) -> None:
    count = traced.logits.shape[1]
    largest = {*traced.logits.argmax(1).tolist(), traced.label}
    named = range(count) if count <= _FEW else sorted(largest)[:_FEW]
    for number in range(count):
        values = traced.logits[:, number].numpy()
        width = 2.4 if number == traced.label else 1.1
        look: dict[str, Any] = {"color": "0.8", "zorder": 1}
        if number in named:
            look = {"label": classes[number]}
        axes.plot(traced.factors.numpy(), values, linewidth=width, **look)
    axes.set_xlabel(f"factor of a step of {traced.line.epsilon:g}/255 in every pixel")
    axes.set_ylabel("logit")
    way = "towards the next class" if traced.line.targeted else "away from it"
    title = f"true class {classes[traced.label]} (thick); to the right: {way}"
    axes.set_title(title, fontsize=10, loc="left")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.set_xlim(float(traced.factors[0]), float(traced.factors[-1]))
