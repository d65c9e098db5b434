import numpy as np
import pytest
import torch

from gan import rng
from gan.distributed import share_of
from gan.rng import Draws, Stream


def test_draws_are_a_function_of_seed_stream_and_step() -> None:
    first, again = Draws(7, 1234), Draws(7, 1234)
    assert torch.equal(first.normal(Stream.PENALTY, 3, 4), again.normal(Stream.PENALTY, 3, 4))
    assert torch.equal(first.uniform(Stream.AUGMENT, 5), again.uniform(Stream.AUGMENT, 5))
    assert torch.equal(first.labels(Stream.ORDER, 9, 10), again.labels(Stream.ORDER, 9, 10))


def test_no_two_seeds_streams_or_steps_draw_alike() -> None:
    keys = [
        (seed, stream, step) for seed in (0, 1, 1 << 33) for stream in Stream for step in range(20)
    ]
    drawn = {rng.generator(*key).bytes(16) for key in keys}
    assert len(drawn) == len(keys)


def test_shapes_types_and_ranges() -> None:
    draws = Draws(0, 0)
    normal, uniform = draws.normal(Stream.GRID, 500, 20), draws.uniform(Stream.GRID, 500, 20)
    labels = draws.labels(Stream.GRID, 5000, 10)
    assert normal.shape == uniform.shape == (500, 20)
    assert normal.dtype == uniform.dtype == torch.float32
    assert abs(normal.mean().item()) < 0.05
    assert abs(normal.std().item() - 1) < 0.05
    assert 0 <= uniform.min() < uniform.max() < 1
    assert labels.dtype == torch.int64
    assert set(labels.tolist()) == set(range(10))


def test_torchs_generators_follow_too() -> None:
    rng.seed_torch(3, Stream.INIT)
    first = torch.randn(4)
    rng.seed_torch(3, Stream.INIT)
    assert torch.equal(torch.randn(4), first)
    rng.seed_torch(3, Stream.DROPOUT)
    assert not np.array_equal(torch.randn(4), first)


@pytest.mark.parametrize(("total", "size"), [(64, 2), (65, 2), (7, 3), (4, 4)])
def test_draws_of_all_ranks_are_those_of_one_process(total: int, size: int) -> None:
    shares = [share_of(total, rank, size) for rank in range(size)]
    whole = Draws(7, 3)
    parts = [(s.count, Draws(7, 3, share=(s.start, s.stop, s.total))) for s in shares]
    normal = torch.cat([draws.normal(Stream.CRITIC_NOISE, n, 4, 2) for n, draws in parts])
    uniform = torch.cat([draws.uniform(Stream.AUGMENT, n, 8) for n, draws in parts])
    labels = torch.cat([draws.labels(Stream.CRITIC_LABELS, n, 10) for n, draws in parts])
    assert torch.equal(normal, whole.normal(Stream.CRITIC_NOISE, total, 4, 2))
    assert torch.equal(uniform, whole.uniform(Stream.AUGMENT, total, 8))
    assert torch.equal(labels, whole.labels(Stream.CRITIC_LABELS, total, 10))


def test_more_or_fewer_rows_than_the_share_are_refused() -> None:
    draws = Draws(0, 0, share=(2, 5, 7))
    with pytest.raises(ValueError, match="7 rows were asked for; this rank's share is 3"):
        draws.normal(Stream.CRITIC_NOISE, 7, 4)
