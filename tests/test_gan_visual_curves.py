"""Which lines a panel has, and how the runs in it are told apart."""

import numpy as np
import pytest

from gan.scalars import Curves
from gan.visual import curves

PANELS = {
    "Scores": ["train/real_source", "train/fake_source"],
    "Loss": ["train/loss"],
    "Absent": ["train/nothing"],
}


def logged(*tags: str) -> Curves:
    return {tag: (np.array([1, 2, 3]), np.array([0.5, 0.25, 0.125])) for tag in tags}


def test_panels_without_curves_are_left_out() -> None:
    found = curves.shown(logged("train/loss", "train/fake_source", "train/other"), PANELS)
    assert list(found) == ["Scores", "Loss"]
    assert [line.label for line in found["Scores"]] == ["train/fake source"]
    assert found["Loss"][0].values.tolist() == [0.5, 0.25, 0.125]


def test_in_common_panels_a_run_has_one_colour_and_a_tag_one_dash() -> None:
    runs = {
        "a": logged("train/real_source", "train/fake_source", "train/loss"),
        "b": logged("train/real_source", "train/fake_source"),
        "c": logged("train/loss"),
    }
    colors = {"a": "red", "b": "blue", "c": "green"}
    scores = list(curves._together(runs, PANELS["Scores"], colors))
    drawn = [(line.color, line.dash) for line in scores if len(line.steps)]
    assert drawn == [("red", "-"), ("blue", "-"), ("red", "--"), ("blue", "--")]
    # The dashes are explained by lines of no colour; the colours by the legend above.
    explained = [(line.label, line.dash) for line in scores if not line.label.startswith("_")]
    assert explained == [("train/real source", "-"), ("train/fake source", "--")]
    loss = list(curves._together(runs, PANELS["Loss"], colors))
    assert [(line.label, line.color) for line in loss] == [("_", "red"), ("_", "green")]


@pytest.mark.parametrize("count", [1, 3, 25])
def test_any_number_of_runs_is_drawn_and_repeatable(count: int) -> None:
    runs = {f"run {n}": logged("train/loss", "train/real_source") for n in range(count)}
    assert len({str(color) for color in curves._colors(count)}) == count
    svg = curves.draw_together(runs, PANELS)
    assert svg.startswith(b"<?xml")
    assert svg == curves.draw_together(runs, PANELS)


def test_nothing_logged_is_said() -> None:
    assert curves.draw_together({}, PANELS) == curves.draw_together({}, {})
    assert curves.draw_together({"a": {}}, PANELS).startswith(b"<?xml")
