"""What `benchmarks.samples` stores and times: real snapshots, packed and read back."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import samples as bench_module
from benchmarks.samples import Bench, Size
from gan import samples

SIZE = Size(width=2, rows=1, snapshots=3, count=10)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, bench_module.make_variant(SIZE.width, threads=1), SIZE, repeats=1)


def test_what_is_timed_stores_every_image(bench: Bench) -> None:
    tasks = bench.tasks()
    tasks["add"]()
    shown = samples.read(bench.store.file)
    assert shown.steps.tolist() == [1, 2, 3, 4]
    assert np.array_equal(shown.images, bench.grids[[0, 1, 2, 0]])
    packed = tasks["pack"]()
    assert isinstance(packed, samples.Samples)
    assert np.array_equal(packed.images, bench.grids)
    assert np.array_equal(samples.read(bench.packed.file).images, bench.grids)
    assert np.array_equal(np.load(bench.folder / "all.npy"), bench.grids)
    generated = samples.read(bench.write())
    assert np.array_equal(generated.images[0], bench.images)
    assert generated.labels.tolist() == list(range(10))


def test_grid_that_is_read_back_is_the_one_that_was_added(bench: Bench) -> None:
    tasks = bench.tasks()
    stored, plain = tasks["read_grid"](), tasks["read_grid_bare"]()
    assert isinstance(stored, samples.Samples)
    assert np.array_equal(stored.images[0], bench.grids[0])
    assert np.array_equal(plain, bench.grids[0])


def test_pieces_of_photographs_are_the_same_ones_every_time() -> None:
    some, more = bench_module.pieces(3, 8), bench_module.pieces(5, 8)
    assert some.shape == (3, 8, 8, 3)
    assert np.array_equal(more[:3], some)
    assert some.std() > 10  # images, not areas of one colour


def test_every_part_is_told_beside_its_bare_one() -> None:
    result = bench_module.measure(SIZE, repeats=1, threads=1)
    for name in ("add", "pack", "write", "read_grid", "read_all", "generate"):
        assert result[f"{name}_over_bare"] == pytest.approx(
            result[f"{name}_ms"] / result[f"{name}_bare_ms"]
        )
    grid = 10 * 32 * 32 * 3 / 1e6
    sizes = [result[f"{name}_mb"] for name in ("grid", "packed", "generated")]
    assert sizes == pytest.approx([grid, 3 * grid, grid])
    assert result["add_mb_per_s"] == pytest.approx(1000 * grid / result["add_ms"])
    assert result["generate_images_per_s"] == pytest.approx(1000 * 10 / result["generate_ms"])
