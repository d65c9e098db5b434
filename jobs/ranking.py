"""The measured runs of a sweep beside each other, the best first."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from checkpoints import files
from gan.config import RunConfig, flatten
from jobs.run import Run


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
    form: str = ".3f"

    def of(self, figures: dict[str, Any]) -> float | None:
        """None where the run has no such figure."""
        value: Any = figures
        for key in self.path:
            value = value.get(key) if isinstance(value, dict) else None
        return None if value is None else float(value)


FIGURES = (  # the first ranks, the smallest first
    Figure("Frechet distance", ("generated_distance", "frechet")),
    Figure("of real images", ("floor_distance", "frechet")),
    Figure("kernel distance", ("generated_distance", "kernel")),
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
    """All runs by the first figure, with the settings in which they differ."""
    ordered = sorted(measured, key=lambda m: (not m.figures, _first(m)))
    shown = [f for f in FIGURES if any(f.of(m.figures) is not None for m in measured)]
    configs = [m.run.config() for m in ordered]
    varied = varying(configs)
    titles = ["rank", "run", *(f.title for f in shown), *varied]
    if any(m.missing for m in ordered):
        titles.append("why not")
    rows = []
    for place, (m, config) in enumerate(zip(ordered, configs, strict=True), 1):
        values = (f.of(m.figures) for f in shown)
        cells = ["" if v is None else format(v, f.form) for v, f in zip(values, shown, strict=True)]
        settings = flatten(config)
        row = [str(place) if m.figures else "", m.name or m.run.path.name, *cells]
        rows.append((row + [str(settings[s]) for s in varied] + [m.missing])[: len(titles)])
    return Ranking(titles, rows)


def _first(measured: Measured) -> float:
    value = FIGURES[0].of(measured.figures)
    return float("inf") if value is None else value


def varying(configs: Sequence[RunConfig]) -> list[str]:
    """Names of the settings in which these configs differ, in their order."""
    flat = [flatten(config) for config in configs]
    return [name for name in flat[0] if any(f[name] != flat[0][name] for f in flat)]


def write(run: Run, ranking: Ranking, how: str) -> None:
    """`ranking.md` for readers, with `how` the figures were obtained, and `ranking.csv`."""
    page = f"# {run.path.name}, ranked\n\n{how}\n\n{ranking.markdown()}"
    files.write_bytes(run.path / "ranking.md", page.encode())
    files.write_bytes(run.path / "ranking.csv", ranking.csv().encode())
