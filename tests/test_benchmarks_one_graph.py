"""The graph through torch.func computes what the suite does."""

import pytest

from benchmarks import one_graph, train_step


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_its_gradients_are_the_suites(precision: str) -> None:
    """Without the compiler, which only makes it fast."""
    settings = train_step.Settings(width=4, batch_size=6, image_size=16, repeats=2, threads=1)
    found = one_graph.measure(settings, precision, wrap=lambda function: function)
    assert found["gradients_apart"] < (1e-5 if precision == "float32" else 0.05)
    assert found["times_as_fast"]["least"] > 0
    assert one_graph.table([found]).count("\n") == 2
