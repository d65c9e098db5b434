"""Several ranks, each a process of its own, train as one would."""

import os
import signal
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import Ranks
from states import assert_same_state
from torch import Tensor
from torch.distributed import TCPStore
from trainers import StopAt, assert_same_curves, build_trainer, products, quiet

from checkpoints import Store
from gan import config as configs
from gan import data, distributed, variants
from gan.batches import Batches
from gan.config import ACGANConfig, ClassifierConfig, ConfigError, RunConfig
from gan.distributed import PeerLost, Share, World, share_of
from gan.rng import Draws
from gan.variants import Variant

CPU = torch.device("cpu")
NEVER = 1 << 30


def with_batch(config: RunConfig, size: int) -> RunConfig:
    return replace(config, train=replace(config.train, batch_size=size))


def make_variant(config: RunConfig, world: World, share: Share) -> Variant:
    variant = variants.build(config, data.inspect(config.data), CPU)
    variant.world, variant.weight = world, share.weight
    return variant


def draws_of(config: RunConfig, step: int, share: Share) -> Draws:
    return Draws(config.seed, step, CPU, (share.start, share.stop, share.total))


def test_shares_are_the_whole_batch_without_gap_or_overlap() -> None:
    for size in range(1, 6):
        for total in range(size, 70):
            shares = [share_of(total, rank, size) for rank in range(size)]
            rows = [row for share in shares for row in range(share.start, share.stop)]
            assert rows == list(range(total))
            assert max(s.count for s in shares) - min(s.count for s in shares) <= 1
            assert sum(s.weight for s in shares) == pytest.approx(1)


def test_too_small_a_batch_for_the_ranks_is_refused(tiny_acgan: ACGANConfig) -> None:
    assert World(2, 3).share(6) == Share(4, 6, 6)
    assert World().share(1) == Share(0, 1, 1)
    with pytest.raises(ConfigError, match=r"batch_size is 5 for 3 ranks; allowed: 6 or more"):
        World(1, 3).share(5)
    with pytest.raises(ConfigError, match=r"batch_size is 3 for 2 ranks"):
        build_trainer(Path("unused"), with_batch(tiny_acgan, 3), world=World(0, 2))


def test_alone_nothing_is_communicated_or_copied() -> None:
    world, terms, gradient = World(), torch.ones(2), torch.full((3,), 7.0)
    assert world.average([gradient], terms, 1.0) is terms
    assert gradient.tolist() == [7, 7, 7]
    world.wants_stop = True
    assert not world.end_step()
    assert world.agree("terminated") == "terminated"
    assert world.broadcast(5) == 5
    assert world.leads


def test_ranks_that_do_not_all_come_are_not_waited_for_without_end() -> None:
    half = timedelta(seconds=0.5)
    store = TCPStore("127.0.0.1", 0, is_master=True, timeout=half, wait_for_workers=False)
    with pytest.raises(PeerLost, match="another rank does not answer"):
        distributed.connect(0, 2, store, CPU)


def test_two_ranks_on_one_gpu_are_refused() -> None:
    distributed.refuse_shared_gpus(["", ""])
    distributed.refuse_shared_gpus(["a", "b"])
    with pytest.raises(ConfigError, match="2 ranks share GPU b; allowed: a GPU for each rank"):
        distributed.refuse_shared_gpus(["a", "b", "b"])


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, torch.AcceleratorError])
def test_trouble_of_ones_own_is_not_put_on_the_peers(
    kind: type[RuntimeError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise kind("CUDA out of memory")

    monkeypatch.setattr(distributed.dist, "all_reduce", fail)
    with pytest.raises(kind, match="out of memory"):
        World(0, 2).average([torch.ones(1)], torch.ones(1), 0.5)


def one_update(world: World, config: RunConfig) -> tuple[dict[str, Tensor], Tensor]:
    """The averaged gradients of the first critic update, and its terms."""
    share = world.share(config.train.batch_size)
    variant, draws = make_variant(config, world, share), draws_of(config, 0, share)
    images, labels = Batches(data.load(config.data), config, CPU, share).at(0, draws)
    if isinstance(config, ACGANConfig):
        variant.networks["generator"].eval()
        terms = variant.update_critic(images, labels, draws)
    else:
        terms = variant.update(images, labels, draws)
    # `fc1` has no gradient in a classifier.
    named = variant.critic.named_parameters()
    return {name: p.grad for name, p in named if p.grad is not None}, terms


@pytest.mark.parametrize(("size", "batch"), [(2, 64), (3, 8)])
@pytest.mark.parametrize("variant", ["acgan", "classifier"])
def test_averaged_gradients_and_terms_are_those_of_one_process(
    variant: str, size: int, batch: int, ranks: Ranks, request: pytest.FixtureRequest
) -> None:
    """For whatever is a mean over images, on an even split and an uneven one (3, 3 and 2 images).

    The generator's BatchNorm takes its statistics from a rank's own share, so neither its gradients
    nor the images that it makes in training can be those of one process. The GAN's critic is
    therefore compared on images of a generator in evaluation mode.
    """
    config = with_batch(request.getfixturevalue(f"tiny_{variant}"), batch)
    expected, expected_terms = one_update(World(), config)
    assert expected
    for gradients, terms in ranks.connected(size, one_update, config):
        assert gradients.keys() == expected.keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(terms, expected_terms, rtol=1e-4, atol=1e-6)


def generator_statistics(world: World, config: ACGANConfig, share: Share) -> dict[str, Tensor]:
    """BatchNorm's running statistics after one update of the generator."""
    variant = make_variant(config, world, share)
    variant.update_generator(share.count, draws_of(config, 0, share))
    named = variant.networks["generator"].named_buffers()
    return {name: buffer for name, buffer in named if buffer.is_floating_point()}


def own_statistics(world: World, config: ACGANConfig) -> dict[str, Tensor]:
    return generator_statistics(world, config, world.share(config.train.batch_size))


def test_running_statistics_become_the_weighted_mean_of_all_ranks(
    tiny_acgan: ACGANConfig, ranks: Ranks
) -> None:
    config = with_batch(tiny_acgan, 9)
    shares = [share_of(9, rank, 2) for rank in range(2)]
    alone = [generator_statistics(World(), config, share) for share in shares]
    first, second = ranks.connected(2, own_statistics, config)
    for name, buffer in first.items():
        assert torch.equal(buffer, second[name])
        assert not torch.equal(alone[0][name], alone[1][name])
        mean = (5 * alone[0][name] + 4 * alone[1][name]) / 9
        torch.testing.assert_close(buffer, mean, rtol=1e-5, atol=1e-7)


def state_after(world: World, config: RunConfig, steps: int) -> dict[str, Any]:
    share = world.share(config.train.batch_size)
    variant = make_variant(config, world, share)
    batches = Batches(data.load(config.data), config, CPU, share)
    terms = []
    for step in range(steps):
        draws = draws_of(config, step, share)
        terms.append(variant.update(*batches.at(step, draws), draws))
    return variant.state() | {"terms": torch.stack(terms)}


@pytest.mark.parametrize("size", [2, 3])
def test_all_ranks_hold_the_same_bits_after_every_step(
    size: int, tiny_acgan: ACGANConfig, ranks: Ranks
) -> None:
    """Parameters, running statistics, the average for sampling, the optimisers, the terms."""
    first, *others = ranks.connected(size, state_after, with_batch(tiny_acgan, 20), 5)
    for other in others:
        assert_same_state(first, other)
    assert not torch.equal(first["terms"][0], first["terms"][4])


def conversation(world: World) -> dict[str, Any]:
    tensors = [torch.arange(4) + world.rank, torch.full((2, 2), 0.1 + world.rank)]
    world.align(tensors)
    told = []
    for step in range(6):
        world.wants_stop = world.rank == 1 and step == 2
        world.average([torch.ones(2)], torch.ones(1), 0.5)
        told.append(world.end_step())
    return {
        "aligned": tensors,
        "told": told,
        "nobody": world.agree(None),
        "one": world.agree("preempted" if world.rank == 1 else None),
        "both": world.agree(f"reason {world.rank}"),
        "of rank 0": world.broadcast({"step": world.rank + 7}),
        "leads": world.leads,
    }


def test_all_ranks_hear_the_same(ranks: Ranks) -> None:
    for rank, heard in enumerate(ranks.connected(2, conversation)):
        assert heard["aligned"][0].tolist() == [0, 1, 2, 3]
        assert torch.equal(heard["aligned"][1], torch.full((2, 2), 0.1))
        # Wished for in step 2; known to all, the rank that wished too, after step 3.
        assert heard["told"] == [False, False, False, True, False, False]
        assert heard["nobody"] is None
        assert heard["one"] == "preempted"
        assert heard["both"] == "reason 0"
        assert heard["of rank 0"] == {"step": 7}
        assert heard["leads"] == (rank == 0)


def train(
    world: World, folders: list[Path], config: RunConfig, stop_at: dict[int, int]
) -> dict[str, Any]:
    """Train in each rank's folder until the rank's stop hook has been asked so many times."""
    reported: list[int] = []
    hooks = replace(
        quiet(StopAt(stop_at.get(world.rank, NEVER))),
        report=lambda progress: reported.append(progress.step),
    )
    trainer = build_trainer(folders[world.rank], config, hooks, world)
    used: dict[int, list[int]] = {}
    indices = trainer.batches.indices

    def noting(step: int) -> Tensor:
        found = indices(step)
        used[step] = found.tolist()
        return found

    trainer.batches.indices = noting  # type: ignore[method-assign]
    reason = trainer.train()
    return {"reason": reason, "step": trainer.step, "used": used, "reported": reported}


def final_state(folder: Path, config: RunConfig) -> dict[str, Any]:
    return Store(folder / "checkpoints", configs.identity(config)).latest().load()


def test_two_ranks_stopped_by_one_of_them_end_in_the_same_bits(
    tiny_acgan: ACGANConfig, ranks: Ranks, tmp_path: Path
) -> None:
    config = with_batch(tiny_acgan, 65)
    apart, shared = [tmp_path / "a", tmp_path / "other"], [tmp_path / "b"] * 2
    ends = ranks.connected(2, train, apart, config, {})
    assert [(end["reason"], end["step"]) for end in ends] == [(None, 44)] * 2
    assert ends[0]["reported"]
    assert not ends[1]["reported"]
    assert not apart[1].exists()  # only rank 0 writes
    # The hook is asked before each step of an epoch's 22: where the curves get a point, by the
    # other rank, and before the epoch's last step, of which all hear only after the next one.
    for stop_at, step in (({1: 8}, 10), ({0: 3}, 15), ({1: 6}, 23), ({}, 44)):
        ends = ranks.connected(2, train, shared, config, stop_at)
        reason = "terminated" if stop_at else None
        assert [(end["reason"], end["step"]) for end in ends] == [(reason, step)] * 2
    first, second = final_state(apart[0], config), final_state(shared[0], config)
    assert first["step"] == 44
    assert_same_state(first, second)
    assert products(apart[0]) == products(shared[0])
    assert_same_curves(apart[0], shared[0])


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (2, 3)])
def test_another_number_of_ranks_uses_the_same_images_in_the_same_order(
    before: int, after: int, tiny_classifier: ClassifierConfig, ranks: Ranks, tmp_path: Path
) -> None:
    config = with_batch(tiny_classifier, 61)
    whole = Batches(data.load(config.data), config, CPU)
    folders = [tmp_path] * 3
    used: list[list[int]] = []
    for size, stop_at in ((before, {before - 1: 9}), (after, {})):
        ends = ranks.connected(size, train, folders, config, stop_at)
        for step in range(len(used), ends[0]["step"]):
            used.append([index for end in ends for index in end["used"][step]])
        assert [end["used"].keys() for end in ends] == [ends[0]["used"].keys()] * size
    assert 9 <= min(ends[0]["used"]) <= 11
    total = 2 * whole.steps_per_epoch
    assert used == [whole.indices(step).tolist() for step in range(total)]


def reduce_until_lost(world: World) -> str:
    for step in range(NEVER):
        if world.rank == 2 and step == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            world.average([torch.ones(1000)], torch.ones(1), 1 / 3)
        except PeerLost as error:
            return str(error)
    return ""


def test_killed_rank_is_missed_by_all_others(ranks: Ranks) -> None:
    first, second, killed = ranks.connected(3, reduce_until_lost)
    assert killed == -signal.SIGKILL
    for told in (first, second):
        assert told.startswith("another rank does not answer: ")
        assert told.isascii()
