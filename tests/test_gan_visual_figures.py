"""Plots: what they show, in words and lines, and that they are the same bytes every time."""

from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from gan.visual import figures, plots
from gan.visual.collapse import ANY, Diversity
from gan.visual.latent import Truncated
from gan.visual.scores import Scores, separate


@pytest.fixture(autouse=True)
def words_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test can read them; otherwise they are drawn."""
    monkeypatch.setitem(plots.STYLE, "svg.fonttype", "none")


def texts(svg: bytes) -> list[str]:
    found = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(text.itertext()).strip() for text in found]


def lines(svg: bytes) -> int:
    """How many curves there are, without those of the grid and the axes."""
    marks = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}g")
    known = [mark.get("id", "") for mark in marks]
    return sum(name.startswith("line2d") for name in known)


WATCHED = Diversity(
    np.array([100, 200, 300, 400]),
    (0, 1, 2),
    np.array([[10.0, 10, 10], [30, 38, 40], [38, 20, 41], [39, 4, 40]]),
    np.full(3, 42.0),
    "pixels of 255",
)
SCORES = np.random.default_rng(0).normal([[1.0], [0.8], [-1.0]], 1, (3, 300))
JUDGED = Scores(*SCORES, separate(SCORES[1], SCORES[2]), 0.8)
PSIS = [
    Truncated(psi, np.zeros((1, 8, 8, 1), np.uint8), 40 * psi, 3 * psi, 1 - psi / 2)
    for psi in (0.25, 0.5, 1.0)
]
PLOTS: dict[str, Callable[[], bytes]] = {
    "diversity": lambda: figures.diversity_over_time(WATCHED),
    "scores": lambda: figures.score_distributions(JUDGED),
    "truncation": lambda: figures.truncation(PSIS),
}


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_is_svg_and_repeatable(name: str) -> None:
    svg = PLOTS[name]()
    assert svg.startswith(b"<?xml")
    assert svg == PLOTS[name]()


def test_a_collapsed_class_stands_out_by_its_name() -> None:
    found = texts(figures.diversity_over_time(WATCHED, ("cat", "dog", "bird")))
    assert {"class dog: collapsed", "mean of the classes", "real images"} <= set(found)
    assert "Diversity (pixels of 255) as a share of that of real images" in found
    assert "class 1: collapsed" in texts(figures.diversity_over_time(WATCHED))
    well = replace(WATCHED, values=np.full((4, 3), 40.0))
    assert not any("collapsed" in text for text in texts(figures.diversity_over_time(well)))


def test_without_classes_there_is_one_curve() -> None:
    one = replace(WATCHED, labels=(ANY,), values=WATCHED.values[:, 1:2], real=WATCHED.real[:1])
    found = texts(figures.diversity_over_time(one))
    assert "all images: collapsed" in found
    assert "mean of the classes" not in found
    well = replace(one, values=np.full((4, 1), 40.0))
    assert "all images" in texts(figures.diversity_over_time(well))


def test_the_threshold_is_told_with_what_it_reaches() -> None:
    found = texts(figures.score_distributions(JUDGED))
    split = JUDGED.separation
    assert f"threshold {split.threshold:.3g}: {split.accuracy:.1%} right" in found
    assert {"training images", "held-out images", "generated images"} <= set(found)
    same = np.full(5, 2.0)
    assert figures.score_distributions(Scores(same, same, same, separate(same, same), 0.5))


def test_a_judge_adds_a_curve() -> None:
    found = texts(figures.truncation(PSIS))
    assert "recognised as the class asked for" in found
    alone = [replace(one, accuracy=None) for one in PSIS]
    svg = figures.truncation(alone)
    assert "recognised as the class asked for" not in texts(svg)
    assert lines(svg) < lines(figures.truncation(PSIS))
