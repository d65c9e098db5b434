"""The measured runs of a sweep beside each other, the best first."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from checkpoints import files
from gan.config import RunConfig, flatten
from jobs.reporting import page
from jobs.reporting.figures import number
from jobs.reporting.page import Picture
from jobs.run import Run

_MOST_PICTURES = 24


@dataclass(frozen=True)
class Measured:
    """A run with its figures, or with the reason why there are none."""

    name: str
    run: Run
    figures: dict[str, Any]
    missing: str = ""


@dataclass(frozen=True)
class Figure:
    """A column: its title, where the figure stands in a record, and how it is written."""

    title: str
    path: tuple[str, ...]
    form: str = ".3f"  # empty: three significant digits
    ranks: int = 0  # 1: the smallest is the best, -1: the largest

    def text(self, value: float) -> str:
        return format(value, self.form) if self.form else number(value)

    def of(self, figures: dict[str, Any]) -> float | None:
        """None where the run has no such figure."""
        value: Any = figures
        for key in self.path:
            value = value.get(key) if isinstance(value, dict) else None
        return None if value is None else float(value)


FIGURES = (  # those of them that rank do so in this order
    Figure("modes found", ("modes_found",), ".0f", ranks=-1),
    Figure("high quality", ("high_quality",), ".1%", ranks=-1),
    Figure("of real points", ("floor_high_quality",), ".1%"),
    Figure("Frechet distance", ("generated_distance", "frechet"), ranks=1),
    Figure("of real images", ("floor_distance", "frechet")),
    Figure("kernel distance", ("generated_distance", "kernel"), ""),
    Figure("GAN-test accuracy", ("gan_test_accuracy",), ".1%"),
    Figure("discriminator's test accuracy", ("discriminator_test_accuracy",), ".1%"),
)


@dataclass(frozen=True)
class Ranking:
    """Rows of text below titles; runs without figures come last, and say why."""

    titles: list[str]
    rows: list[list[str]]

    def lines(self) -> list[str]:
        """In aligned columns, for a terminal."""
        widths = [max(map(len, column)) for column in zip(self.titles, *self.rows, strict=True)]
        table = [self.titles, *self.rows]
        return [
            "  ".join(f"{cell:<{n}}" for cell, n in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]

    def markdown(self) -> str:
        table = [self.titles, ["---"] * len(self.titles), *self.rows]
        escaped = ([cell.replace("|", "\\|") for cell in row] for row in table)
        return "".join(f"| {' | '.join(row)} |\n" for row in escaped)

    def csv(self) -> str:
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows([self.titles, *self.rows])
        return stream.getvalue()


def rank(measured: Sequence[Measured]) -> Ranking:
    """All runs, the best first, with the settings in which they differ."""
    ordered = _in_order(measured)
    shown = [f for f in FIGURES if any(f.of(m.figures) is not None for m in measured)]
    configs = [m.run.config() for m in ordered]
    varied = varying(configs)
    titles = ["rank", "run", *(f.title for f in shown), *varied]
    if any(m.missing for m in ordered):
        titles.append("why not")
    rows = []
    for place, (m, config) in enumerate(zip(ordered, configs, strict=True), 1):
        values = (f.of(m.figures) for f in shown)
        cells = ["" if v is None else f.text(v) for v, f in zip(values, shown, strict=True)]
        settings = flatten(config)
        row = [str(place) if m.figures else "", m.name or m.run.path.name, *cells]
        rows.append((row + [str(settings[s]) for s in varied] + [m.missing])[: len(titles)])
    return Ranking(titles, rows)


def _in_order(measured: Sequence[Measured]) -> list[Measured]:
    """The best first, those without figures last."""
    return sorted(measured, key=lambda m: (not m.figures, _merit(m.figures)))


def _merit(figures: dict[str, Any]) -> list[float]:
    """Ascends from the best run to the worst."""
    values = ((figure.of(figures), figure.ranks) for figure in FIGURES if figure.ranks)
    return [ranks * value for value, ranks in values if value is not None]


def over_seeds(measured: Sequence[Measured]) -> Ranking | None:
    """Means over the seeds of each combination of the other settings, the best first; None where
    not more than one seed was run.

    Each figure as mean ± standard deviation (n - 1); a single run has no deviation.
    """
    done = [m for m in measured if m.figures]
    configs = [m.run.config() for m in done]
    varied = varying(configs) if configs else []
    if "seed" not in varied:
        return None
    others = [name for name in varied if name != "seed"]
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for m, config in zip(done, configs, strict=True):
        settings = flatten(config)
        groups.setdefault(tuple(str(settings[name]) for name in others), []).append(m.figures)
    shown = [f for f in FIGURES if any(f.of(m.figures) is not None for m in done)]
    ordered = sorted(groups.items(), key=lambda item: _mean_merit(item[1]))
    rows = [
        [*values, str(len(figures)), *(_spread(figure, figures) for figure in shown)]
        for values, figures in ordered
    ]
    return Ranking([*others, "runs", *(f.title for f in shown)], rows)


def _mean_merit(figures: Sequence[dict[str, Any]]) -> list[float]:
    return [fmean(values) for values in zip(*map(_merit, figures), strict=True)]


def _spread(figure: Figure, figures: Sequence[dict[str, Any]]) -> str:
    values = [value for f in figures if (value := figure.of(f)) is not None]
    if not values:
        return ""
    mean = figure.text(fmean(values))
    return f"{mean} ± {figure.text(stdev(values))}" if len(values) > 1 else mean


def varying(configs: Sequence[RunConfig]) -> list[str]:
    """Names of the settings in which these configs differ, in their order."""
    flat = [flatten(config) for config in configs]
    return [name for name in flat[0] if any(f[name] != flat[0][name] for f in flat)]


def write(run: Run, measured: Sequence[Measured], how: str) -> list[str]:
    """`ranking.html` and `ranking.md` for readers, with `how` the figures were obtained, and
    `ranking.csv` for programs; returns the tables as lines for a terminal.
    """
    ranked, means = rank(measured), over_seeds(measured)
    text = f"# {run.path.name}, ranked\n\n{how}\n\n{ranked.markdown()}"
    lines = ranked.lines()
    if means:
        text += f"\nMean ± standard deviation over the seeds:\n\n{means.markdown()}"
        lines += ["", "mean ± standard deviation over the seeds:", *means.lines()]
    shown = _render(run, how, ranked, means, _last_grids(measured))
    for kind, content in (("md", text), ("csv", ranked.csv()), ("html", shown)):
        files.write_bytes(run.path / f"ranking.{kind}", content.encode())
    return [*lines, f"ranking: {run.path / 'ranking.html'}"]


def _render(
    run: Run, how: str, ranked: Ranking, means: Ranking | None, pictures: list[Picture]
) -> str:
    values = {"name": run.path.name, "recipe": run.settings()["recipe"], "how": how}
    return page.render("ranking.html", ranked=ranked, means=means, pictures=pictures, **values)


def _last_grids(measured: Sequence[Measured]) -> list[Picture]:
    """Of the best runs, the best first."""
    pictures = []
    for place, m in enumerate(_in_order(measured)[:_MOST_PICTURES], 1):
        grids = sorted(m.run.figures.glob("epoch-*.png"))
        if m.figures and grids:
            name = m.name or m.run.path.name
            alt = f"Grid of images generated by {name} after its last epoch"
            pictures.append(page.picture(grids[-1], alt, f"{place}: {name}"))
    return pictures
