"""The benchmark of the suite's cost runs, and times what it says it times."""

import pytest

from benchmarks import overhead
from gan import evaluation, recipes
from gan.config import ACGANConfig


def test_both_loops_are_timed_and_evaluation_apart(
    tiny_acgan: ACGANConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overhead, "_PASSES_PER_EPOCH", 1)
    monkeypatch.setattr(recipes, "acgan_digits", lambda: tiny_acgan)
    monkeypatch.setattr(evaluation, "generate", evaluation.generate)  # put back what it wraps
    result = overhead.measure(rounds=1, threads=1)
    assert result["steps_per_epoch"] == 22
    assert result["bare_ms_per_step"] > 0
    assert result["ratio_min"] == result["ratio_median"] == result["ratio_max"] > 0
    assert result["evaluation_and_grid_ms_per_epoch"] > 0
