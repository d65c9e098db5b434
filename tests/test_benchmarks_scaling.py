"""What more ranks would cost is reckoned as the docstring says; what is timed are updates."""

import json

import pytest
import torch

from benchmarks import measuring, scaling, scaling_measured
from benchmarks.scaling import Asked, Network
from benchmarks.scaling_measured import Size
from gan.distributed import World


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


def test_widths_batches_and_data_sets_are_timed(capsys: pytest.CaptureFixture[str]) -> None:
    asked = Asked([4], [2, 3], [200, 300], [], Size(4, 4), repeats=1)
    result = scaling.measure(asked, 1, Network())
    measuring.tell(result, as_json=True)
    assert json.loads(capsys.readouterr().out) == result
    assert [(row["width"], row["batch"]) for row in result["measured"]] == [(4, 2), (4, 3)]
    assert all(row["ms"] > row["ms_per_image"] > 0 for row in result["measured"])
    assert [row["images"] for row in result["input"]] == [200, 300]
    for row in result["input"]:
        assert row["us_per_image"] == pytest.approx(1e3 * row["ms"] / row["batch"])
        assert row["new_order_ms"] > 0
    assert result["gradient_bytes_at_196"].keys() == {"generator", "discriminator"}
    assert "| ranks |" in scaling.text(result)


def test_two_ranks_exchange_what_is_reckoned_and_end_in_the_same_weights() -> None:
    one, two = scaling_measured.by_ranks([1, 2], Size(4, 4), repeats=1)
    assert (one["ranks"], two["ranks"]) == (1, 2)
    assert one["mb"] == one["all_reduce_ms"] == one["share"] == 0
    assert two["all_reduce_ms"] > 0
    assert two["share"] > 0
    assert two["speedup"] == pytest.approx(two["one_rank_ms"] / two["ms"])
    gradients = sum(scaling.gradient_bytes(scaling.build(4, 4)[1]).values())
    # Beside the gradients go a few running statistics, the terms and the wish to stop.
    assert 1e-6 * gradients < two["mb"] < 1.5e-6 * gradients


def test_a_share_of_the_batch_is_what_a_rank_updates_on() -> None:
    updates = scaling_measured.Updates(Size(4, 5), World(1, 2))
    assert (len(updates.images), updates.labels.tolist()) == (2, [3, 4])
    assert updates.variant.weight == pytest.approx(0.4)
    whole = scaling_measured.Updates(Size(4, 5), World())
    assert torch.equal(whole.images[3:], updates.images)
    before = whole.digest()
    assert before == updates.digest()
    whole()
    assert whole.digest() != before
