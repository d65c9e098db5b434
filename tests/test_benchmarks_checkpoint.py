"""The timing of saves: real ones, of the whole state."""

import json

import pytest

from benchmarks import checkpoint, measuring


def test_every_part_of_a_save_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    result = checkpoint.measure(width=4, repeats=2, threads=1)
    measuring.tell(result, as_json=True)
    assert json.loads(capsys.readouterr().out) == result
    assert 0 < result["stall_least_ms"] <= result["stall_ms"] <= result["stall_most_ms"]
    for part in ("bare_copy_ms", "finite_ms", "background_ms", "restore_ms"):
        assert result[part] > 0
    assert result["epoch_end_ms"] > result["stall_least_ms"]
    assert result["background_mb_per_s"] > 0
    weights = checkpoint.measure(width=8, repeats=1, threads=1)["state_mb"]
    assert weights > 1.5 * result["state_mb"] > 0  # all that grows with the networks
