"""Running means taken apart: what comes out is what went in."""

import numpy as np
import pytest
from logged import log

from gan.visual.stretches import FEWEST, Stretches


def test_means_over_stretches_are_those_of_the_steps() -> None:
    values = np.random.default_rng(0).standard_normal(300)
    stretches = Stretches.of(log({"loss": values}), steps_per_epoch=100)
    assert stretches is not None
    assert stretches.edges.tolist() == list(range(0, 301, 20))
    assert stretches["loss"] == pytest.approx(values.reshape(15, 20).mean(1), abs=1e-12)


def test_an_epoch_that_marks_do_not_divide_and_one_that_is_not_finished() -> None:
    values = np.repeat(np.arange(13.0), 26)  # a level for each epoch of 26 steps: marks at 20, 26
    curves = log({"loss": values[:-6]}, epoch=26)
    stretches = Stretches.of(curves, steps_per_epoch=26)
    assert stretches is not None
    known = np.concatenate([[0], np.cumsum(values)])
    sums = np.interp(stretches.edges, np.arange(len(known)), known)
    assert stretches["loss"] == pytest.approx(np.diff(sums) / np.diff(stretches.edges))


def test_long_curves_come_to_few_points_and_norms_are_left_out() -> None:
    curves = log({"loss": np.ones(5000), "gradient_norm_generator": np.ones(5000)})
    curves["test/accuracy"] = curves["train/loss"]
    stretches = Stretches.of(curves, steps_per_epoch=100)
    assert stretches is not None
    assert stretches.means.keys() == {"loss"}
    assert stretches["loss"] == pytest.approx(np.ones(48))
    assert not stretches.has("loss", "accuracy")


def test_too_few_entries_are_no_curve() -> None:
    curves = log({"loss": np.ones(20 * (FEWEST - 1))})
    assert Stretches.of(curves, steps_per_epoch=100) is None
    assert Stretches.of({}, steps_per_epoch=100) is None


def test_thirds_and_their_steps() -> None:
    values = np.concatenate([np.full(100, 1.0), np.full(100, 2.0), np.full(100, 6.0)])
    curves = log({"loss": values, "real_source": values, "fake_source": values / 2})
    stretches = Stretches.of(curves, steps_per_epoch=100)
    assert stretches is not None
    assert stretches.thirds(stretches["loss"]) == pytest.approx((1, 2, 6))
    assert stretches.gap == pytest.approx(np.repeat([0.5, 1, 3], 5))
    assert stretches.when == "from step 200 to 300"
