"""The comparison of upsamplings runs, and finds at initialisation what is known of them."""

from games import tiny

from benchmarks import checkerboard
from gan.config import Game


def test_transposed_convolutions_start_with_the_most() -> None:
    result = checkerboard.measure(tiny("dcgan", Game()), steps=2, seeds=2)
    rows = {(row["upsampling"], row["steps"]): row["shares"] for row in result["rows"]}
    assert rows.keys() == {(k, n) for k in ("transposed", "nearest", "bilinear") for n in (0, 2)}
    assert rows["transposed", 0][2] > 2 * rows["nearest", 0][2]
    assert rows["transposed", 0][2] > 2 * rows["bilinear", 0][2]
    assert result["real"].keys() == result["noise"].keys() == {2, 4, 8}
    lines = checkerboard.table(result).splitlines()
    assert len(lines) == 3 + 6
    assert lines[2].split() == ["white", "noise", "1.1765%", "4.7059%", "18.8235%"]
