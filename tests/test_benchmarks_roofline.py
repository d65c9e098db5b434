"""The roofline's work is that of the layers, and its shares are of all the time."""

import pytest
import torch
from torch import nn

from benchmarks import roofline, train_step


def test_work_is_counted_through_a_second_derivative() -> None:
    """Of one linear layer: a product forward, one back to the images, one to the weight."""
    layer, images = nn.Linear(5, 7, bias=False), torch.ones(3, 5, requires_grad=True)
    with roofline.Counter() as counter:
        (slope,) = torch.autograd.grad(layer(images).sum(), images, create_graph=True)
        slope.square().sum().backward()
    assert counter.flop == 3 * 2 * 3 * 5 * 7


@pytest.mark.filterwarnings("ignore")  # the profiler's, where there is no GPU
def test_it_tells_rates_and_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "_SIDE", 64)
    monkeypatch.setattr(roofline, "_BLOCK", 1 << 12)
    settings = train_step.Settings(width=4, batch_size=4, image_size=8, repeats=2, threads=1)
    found = roofline.measure(settings, "acgan", "float32")
    assert found["step_gflop"] > 0
    assert found["epoch_seconds"] == pytest.approx(12_500 * found["step_seconds"])
    assert found["matrix_gflop_per_s"] > 0
    assert found["share_of_matrix_rate"] > 0
    assert sum(found["time_by_kind"].values()) == pytest.approx(1)
    assert found["time_by_kind"]["convolutions"] > 0
    assert roofline.table([found]).startswith("|  | acgan, float32 |")
