"""Plots of how training went, as SVG: diversity, scores, gradients, truncation."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gan.visual.collapse import ANY, BELOW_REAL, Diversity
from gan.visual.latent import Truncated
from gan.visual.plots import as_svg
from gan.visual.scores import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NORMS = "train/gradient_norm_"
_BINS = 40
_PALE, _ALARM = "0.65", "tab:red"
_OUTLIERS = 0.5  # percent at either end that go into a histogram's last bins


def diversity_over_time(found: Diversity, names: Sequence[str] = ()) -> bytes:
    """Diversity of each class as a share of that of real images, their mean, and the collapsed
    ones in red; `names` are those of the classes by number."""
    shares = found.values / found.real
    collapsed = {collapse.label for collapse in found.collapsed()}

    def draw_on(figure: "Figure") -> None:
        axes = figure.add_subplot()
        for label, values in zip(found.labels, shares.T, strict=True):
            if label in collapsed:
                name = "all images" if label == ANY else f"class {_name(label, names)}"
                axes.plot(found.steps, values, color=_ALARM, label=f"{name}: collapsed")
            elif label != ANY:
                axes.plot(found.steps, values, color=_PALE, linewidth=0.8)
        if len(found.labels) > 1 or not collapsed:
            mean = "mean of the classes" if ANY not in found.labels else "all images"
            axes.plot(found.steps, found.share, color="tab:blue", marker=".", label=mean)
        axes.axhline(1, color="tab:green", linestyle="--", label="real images")
        axes.axhline(BELOW_REAL, color=_ALARM, linestyle=":", linewidth=0.9, label="collapse")
        axes.set_ylim(bottom=0)
        _finish(
            axes, "training step", f"Diversity ({found.unit}) as a share of that of real images"
        )

    return as_svg(draw_on)


def _name(label: int, names: Sequence[str]) -> str:
    return names[label] if label < len(names) else str(label)


def score_distributions(found: Scores) -> bytes:
    """Histograms of a critic's scores of training, held-out and generated images, and the threshold
    that separates the latter two best."""
    kinds = {
        "training images": (found.training, "tab:green", False),
        "held-out images": (found.held_out, "tab:blue", True),
        "generated images": (found.generated, "tab:orange", True),
    }
    together = np.concatenate([scores for scores, _, _ in kinds.values()])
    low, high = np.percentile(together, (_OUTLIERS, 100 - _OUTLIERS))
    # Of a critic whose scores are all the same, something has to be drawn too.
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)

    def draw_on(figure: "Figure") -> None:
        axes = figure.add_subplot()
        for label, (scores, colour, fill) in kinds.items():
            counts, _ = np.histogram(scores.clip(edges[0], edges[-1]), edges)
            alpha = 0.45 if fill else 1.0
            heights = counts / len(scores)
            axes.stairs(heights, edges, fill=fill, color=colour, alpha=alpha, label=label)
        split = found.separation
        text = f"threshold {split.threshold:.3g}: {split.accuracy:.1%} right"
        axes.axvline(split.threshold, color="black", linestyle="--", linewidth=1, label=text)
        _finish(axes, "critic's score", "Share of images")

    return as_svg(draw_on)


def truncation(found: Sequence[Truncated]) -> bytes:
    """Diversity, and what a judge recognises, over psi."""
    psis = [one.psi for one in found]
    most = max((one.diversity for one in found), default=0) or 1

    def draw_on(figure: "Figure") -> None:
        axes = figure.add_subplot()
        shares = [one.diversity / most for one in found]
        axes.plot(psis, shares, marker="o", label="diversity in pixels, share of the largest")
        accuracies = [np.nan if one.accuracy is None else one.accuracy for one in found]
        if np.isfinite(accuracies).any():
            axes.plot(psis, accuracies, marker="s", label="recognised as the class asked for")
        axes.set_ylim(0, 1.05)
        _finish(axes, "psi", "Shares")

    return as_svg(draw_on)


def _finish(axes: "Axes", across: str, up: str) -> None:
    axes.set_xlabel(across)
    axes.set_title(up, fontsize=10, loc="left")  # at the side there is no room for many words
    axes.legend(frameon=False, fontsize=8)
