"""What more ranks would cost is reckoned as the docstring says; what is timed are updates."""

import json

import pytest

from benchmarks import measuring, scaling
from benchmarks.scaling import Network


def test_a_ring_moves_almost_twice_the_bytes_in_twice_as_many_steps() -> None:
    network = Network(gb_per_s=1.0, latency_us=1000.0)
    assert scaling.ring_ms(10**9, 1, network) == 0
    assert scaling.ring_ms(10**9, 2, network) == pytest.approx(1000 + 2)
    assert scaling.ring_ms(10**9, 4, network) == pytest.approx(1500 + 6)


def test_ranks_stop_paying_where_the_floor_is_reached() -> None:
    rows = scaling.reckoned({"a": 10**6, "b": 10**6}, Network(compute_ms=8.0, floor_ms=2.0))
    assert [row["ranks"] for row in rows[:3]] == [1, 2, 4]
    assert rows[0]["speedup"] == rows[0]["of_use"] == 1
    assert rows[0]["speedup"] < rows[1]["speedup"] < rows[2]["speedup"] < 4
    assert rows[3]["speedup"] < rows[2]["speedup"]


def test_widths_and_batches_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    result = scaling.measure([4], [2, 3], 1, 1, Network())
    measuring.tell(result, as_json=True)
    assert json.loads(capsys.readouterr().out) == result
    assert [(row["width"], row["batch"]) for row in result["measured"]] == [(4, 2), (4, 3)]
    assert all(row["ms"] > row["ms_per_image"] > 0 for row in result["measured"])
    assert result["gradient_bytes_at_196"].keys() == {"generator", "discriminator"}
    assert "| ranks |" in scaling.text(result)
