import numpy as np
import pytest
import torch

from gan.metrics import Judged, over_training, snapshots
from gan.metrics.history import PANELS
from gan.samples import Samples
from gan.visual import curves


def seen(count: int, shift: float, seed: int) -> Judged:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 4, generator=generator) + shift
    return Judged(features, features, torch.arange(count) % 4)


def test_a_run_that_comes_nearer() -> None:
    reference, held_out = seen(500, 0, 0), seen(80, 0, 1)
    steps = {300: seen(60, 0.0, 4), 100: seen(60, 3.0, 2), 200: seen(60, 1.0, 3)}
    history = over_training(steps.items(), reference, held_out)
    assert history.steps == (100, 200, 300)
    assert history.count == history.floor.distances.second_count == 60
    found = history.curves()
    for name in ("frechet", "kernel"):
        assert (np.diff(found[name][1]) < 0).all()
        floor = found[f"{name}_of_real_images"][1]
        assert floor.tolist() == [getattr(history.floor.distances, name)] * 3
    assert (np.diff(found["precision"][1]) > 0).all()
    assert found["frechet"][0].tolist() == [100, 200, 300]
    assert {tag for tags in PANELS.values() for tag in tags} == found.keys()
    assert b"Kernel distance" not in curves.draw({}, PANELS)
    assert curves.draw(found, PANELS).count(b'id="axes_') == len(PANELS)


def test_all_are_cut_to_one_size() -> None:
    history = over_training(
        [(1, seen(50, 0, 1)), (2, seen(20, 0, 2))], seen(90, 0, 0), seen(40, 0, 3)
    )
    assert history.count == 20
    assert [part.distances.second_count for part in (*history.figures, history.floor)] == [20] * 3


def test_no_snapshot_is_refused() -> None:
    with pytest.raises(ValueError, match="no snapshots given"):
        over_training([], seen(9, 0, 0), seen(9, 0, 1))


@pytest.mark.parametrize(
    ("most", "expected"), [(40, [5, 10, 15, 20, 25]), (3, [5, 15, 25]), (2, [5, 25]), (1, [5])]
)
def test_snapshots_are_spread_over_training(most: int, expected: list[int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 8, 6, 3), dtype=np.uint8)
    labels = np.array([0, 1, 0, 1])
    samples = Samples(images, labels, np.array([5, 10, 15, 20, 25]), {})
    found = list(snapshots(samples, most))
    assert [step for step, _, _ in found] == expected
    _, first, asked = found[0]
    assert np.array_equal(first, images[0].transpose(0, 3, 1, 2))
    assert asked is labels
