"""A run that diverges: nothing bad is saved, and going back is exact however it is broken off."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import Ranks
from states import assert_same_state
from torch import Tensor
from trainers import (
    KillAt,
    Killed,
    StopAt,
    assert_same_end,
    build_trainer,
    final_state,
    products,
    quiet,
)  # fmt: skip

from checkpoints import CheckpointError, Store
from gan.config import ACGANConfig, ClassifierConfig, RunConfig
from gan.distributed import World
from gan.divergence import NonFiniteLoss, first_non_finite
from gan.rng import Draws
from gan.trainer import Hooks, Trainer

Poison = Callable[[Trainer], None]
AT = 26  # in the second of two epochs of 22 steps; the log, every 5 steps, comes upon it at 30


def with_train(config: RunConfig, **settings: Any) -> RunConfig:
    return replace(config, train=replace(config.train, **settings))


def rolling(config: RunConfig, **settings: Any) -> RunConfig:
    return with_train(config, on_nan="roll-back", **settings)


def spoil_a_weight(trainer: Trainer) -> None:
    with torch.no_grad():
        next(trainer.variant.critic.parameters()).view(-1)[0] = float("nan")


def spoil_adams_memory(trainer: Trainer) -> None:
    """As the square of a gradient that is too large: all that is multiplied by it stands still."""
    state = next(iter(trainer.variant.optimizers["discriminator"].state.values()))
    state["exp_avg_sq"].view(-1)[0] = float("inf")


def poison(
    trainer: Trainer, at: int = AT, spoil: Poison = spoil_a_weight, always: bool = False
) -> Trainer:
    """Have a step fail with the run's own random numbers, or with any; saves are waited for."""
    update = trainer.variant.update

    def failing(images: Tensor, labels: Tensor, draws: Draws) -> Tensor:
        trainer.saver.wait()
        if draws.step == at and (always or draws.seed == trainer.config.seed):
            spoil(trainer)
        return update(images, labels, draws)

    trainer.variant.update = failing  # type: ignore[method-assign]
    return trainer


def all_finite(store: Store) -> bool:
    return all(first_non_finite(store.open(step).load()) is None for step in store.steps())


def test_the_first_tensor_that_is_not_finite_is_named() -> None:
    good = {"a": {"b": torch.ones(3)}, "count": torch.tensor(1 << 60), "empty": torch.empty(0)}
    assert first_non_finite(good | {"note": "nan"}) is None
    assert first_non_finite({}) is None
    large = torch.tensor([1e30, -3e38])  # whose squares are not finite
    assert first_non_finite(good | {"large": large}) is None
    assert first_non_finite({"large": large, "bad": torch.tensor([float("nan")])}) == "bad"
    for bad in (float("nan"), float("inf"), -float("inf")):
        low = torch.tensor([1.0, bad], dtype=torch.bfloat16)
        assert first_non_finite(good | {"c": {"d": low, "e": low}}) == "c/d"


def test_stopping_keeps_every_checkpoint_from_before_and_none_from_after(
    tiny_acgan: ACGANConfig, tmp_path: Path
) -> None:
    """Though it would have been time to save after every step."""
    often, said = with_train(tiny_acgan, checkpoint_minutes=1e-9), list[str]()
    trainer = poison(build_trainer(tmp_path, often, Hooks(say=said.append)))
    with pytest.raises(NonFiniteLoss, match=r"train/fake_source is nan at step 30; .* of step 26,"):
        trainer.train()
    store = trainer.outputs.checkpoints
    assert store.steps() == [24, 25, 26]
    assert all_finite(store)
    refused = [line for line in said if line.startswith("not saved")]
    assert [line.rpartition(" ")[2] for line in refused] == ["27", "28", "29"]
    assert all(re.match(r"not saved: s\S+ is not finite at step", line) for line in refused)
    with pytest.raises(NonFiniteLoss, match=r"at step 30; .*a resume comes to the same place"):
        poison(build_trainer(tmp_path, often)).train()
    assert store.steps() == [24, 25, 26]


def test_state_that_no_loss_shows_is_not_saved_at_an_epochs_end(
    tiny_classifier: ClassifierConfig, tmp_path: Path
) -> None:
    often = with_train(tiny_classifier, checkpoint_minutes=1e-9)
    trainer = poison(build_trainer(tmp_path, often), 42, spoil_adams_memory)
    with pytest.raises(NonFiniteLoss, match=r"optimizers/discriminator/\S+/exp_avg_sq is not fin"):
        trainer.train()
    assert trainer.outputs.checkpoints.latest().step == 42
    assert all_finite(trainer.outputs.checkpoints)


def test_told_to_stop_it_does_not_save_what_is_not_finite(
    tiny_classifier: ClassifierConfig, tmp_path: Path
) -> None:
    # Asked before every step, and a few times in the evaluation after 22 of them.
    for count in range(26, 40):
        trainer = poison(
            build_trainer(tmp_path / str(count), tiny_classifier, quiet(StopAt(count)))
        )
        try:
            assert trainer.train() == "terminated"
        except NonFiniteLoss:
            if trainer.step == 30:
                break
            assert AT < trainer.step < 30
            assert trainer.outputs.checkpoints.latest().step == 22
            return
        assert trainer.step <= AT
    pytest.fail("never told to stop between the fault and the log")


def test_rolled_back_and_broken_off_anywhere_ends_in_the_same_bits(
    tiny_acgan: ACGANConfig, tmp_path: Path
) -> None:
    """However often it is saved in between, too."""
    config = rolling(tiny_acgan)
    straight = poison(build_trainer(tmp_path / "a", config))
    assert straight.train() is None
    (entry,) = straight.went_back()["rollbacks"]
    assert (entry["found_step"], entry["to_step"]) == (30, 22)
    assert entry["found"] == "train/fake_source is nan at step 30"
    often = with_train(config, checkpoint_minutes=1e-9)
    dead = 0
    for stop in (
        KillAt(25), StopAt(3), KillAt(2), KillAt(9), StopAt(14), KillAt(1), KillAt(6), StopAt(1000)
    ):  # fmt: skip
        broken = poison(build_trainer(tmp_path / "b", often, quiet(stop)))
        try:
            broken.train()
        except Killed:
            dead += 1
    assert dead == 5
    assert all_finite(broken.outputs.checkpoints)
    assert final_state(broken)["rollbacks"] == 1
    assert_same_end(straight, broken, (tmp_path / "a", tmp_path / "b"))
    undisturbed = build_trainer(tmp_path / "c", tiny_acgan)
    undisturbed.train()
    first, second = (final_state(t)["variant"]["networks"] for t in (undisturbed, straight))
    name, weight = next(iter(first["generator"].items()))
    assert not torch.equal(weight, second["generator"][name])  # other random numbers


@pytest.mark.parametrize("left", [0, 1, 2])
def test_killed_while_it_goes_back_it_goes_on_as_if_it_was_not(
    left: int, tiny_classifier: ClassifierConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the checkpoints that are given up are removed, between two, and after the last."""
    config = rolling(tiny_classifier)
    straight = poison(build_trainer(tmp_path / "a", config))
    straight.train()
    often = with_train(config, checkpoint_minutes=1e-9)
    drop = Store.drop_after

    def dying(store: Store, step: int) -> None:
        for later in reversed(store.steps()):
            if len([known for known in store.steps() if known > step]) <= left:
                break
            drop(store, later - 1)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Store, "drop_after", dying)
        with pytest.raises(Killed):
            poison(build_trainer(tmp_path / "b", often)).train()
    store = straight.outputs.checkpoints
    left_over = Store(tmp_path / "b" / "checkpoints", store.identity).steps()
    assert len([step for step in left_over if step > 22]) == left
    broken = poison(build_trainer(tmp_path / "b", often))
    assert broken.train() is None
    assert_same_end(straight, broken, (tmp_path / "a", tmp_path / "b"))


def test_the_first_epoch_is_gone_back_from_to_the_beginning(
    tiny_acgan: ACGANConfig, tmp_path: Path
) -> None:
    config = rolling(tiny_acgan)
    straight = poison(build_trainer(tmp_path / "a", config), at=3)
    straight.train()
    assert straight.went_back()["rollbacks"][0]["to_step"] == 0
    for stop in (KillAt(5), KillAt(4), StopAt(4), StopAt(1000)):
        broken = poison(build_trainer(tmp_path / "b", config, quiet(stop)), at=3)
        try:
            broken.train()
        except Killed:
            continue
    assert_same_end(straight, broken, (tmp_path / "a", tmp_path / "b"))


def test_it_goes_back_only_so_often_and_then_always_stops_there(
    tiny_classifier: ClassifierConfig, tmp_path: Path
) -> None:
    config = rolling(tiny_classifier, most_rollbacks=2)
    for _ in range(2):
        trainer = poison(build_trainer(tmp_path, config), always=True)
        with pytest.raises(NonFiniteLoss, match=r"loss is nan at step 30, after 2 rollbacks: as m"):
            trainer.train()
        assert trainer.outputs.checkpoints.latest().step == 22
        assert len(trainer.rollbacks.list()) == 2
    more = poison(build_trainer(tmp_path, rolling(tiny_classifier)), always=True)
    with pytest.raises(NonFiniteLoss, match="after 3 rollbacks"):
        more.train()


def test_asked_for_after_it_stopped_it_goes_back_and_on(
    tiny_classifier: ClassifierConfig, tmp_path: Path
) -> None:
    """Also where no epoch has ended yet, and there is only what was saved in between."""
    often = with_train(tiny_classifier, checkpoint_minutes=1e-9)
    with pytest.raises(NonFiniteLoss):
        poison(build_trainer(tmp_path, often), at=12).train()
    trainer = poison(build_trainer(tmp_path, rolling(tiny_classifier)), at=12)
    assert trainer.train() is None
    assert trainer.went_back()["rollbacks"][0]["to_step"] == 12


def test_a_list_that_is_lost_or_damaged(tiny_classifier: ClassifierConfig, tmp_path: Path) -> None:
    """A checkpoint knows by itself how often the run had gone back; a damaged list is refused."""
    config = rolling(tiny_classifier)
    trainer = poison(build_trainer(tmp_path, config, quiet(StopAt(40))))
    assert trainer.train() == "terminated"
    assert trainer.rolled_back == 1
    assert trainer.step > 22
    file = trainer.rollbacks.file
    kept = file.read_bytes()
    for wrong in (b"{", json.dumps(json.loads(kept) | {"format": 9}).encode()):
        file.write_bytes(wrong)
        with pytest.raises(CheckpointError, match=r"rollbacks\.json"):
            build_trainer(tmp_path, config).train()
    file.unlink()
    again = build_trainer(tmp_path, config)
    again.restore()
    assert (again.rolled_back, again.seed) == (1, trainer.seed)


def test_a_checkpoint_that_comes_late_from_before_a_rollback_is_not_gone_on_from(
    tiny_classifier: ClassifierConfig, tmp_path: Path
) -> None:
    """By an attempt that was suspended in the middle of a commit."""
    config = rolling(tiny_classifier)
    straight = poison(build_trainer(tmp_path / "a", config))
    straight.train()
    first = build_trainer(tmp_path / "b", config, quiet(StopAt(29)))
    first.train()
    kept = tmp_path / "kept"
    shutil.copytree(first.outputs.checkpoints.path(first.step), kept)
    poison(build_trainer(tmp_path / "b", config, quiet(StopAt(0)))).train()
    first.outputs.checkpoints.drop_after(22)
    again = poison(build_trainer(tmp_path / "b", config, quiet(KillAt(13))))
    with pytest.raises(Killed):
        again.train()
    assert again.rolled_back == 1
    kept.rename(first.outputs.checkpoints.path(first.step))
    said: list[str] = []
    last = poison(build_trainer(tmp_path / "b", config, Hooks(say=said.append)))
    assert last.train() is None
    assert any("is from before the run was rolled back" in line for line in said)
    assert_same_end(straight, last, (tmp_path / "a", tmp_path / "b"))


def test_one_that_was_taken_over_does_not_go_back(
    tiny_classifier: ClassifierConfig, tmp_path: Path
) -> None:
    class TakenOver(Exception):
        pass

    def guard() -> None:
        if trainer.step == 30:
            raise TakenOver

    trainer = poison(build_trainer(tmp_path, rolling(tiny_classifier)))
    trainer.outputs.checkpoints.guard = guard
    with pytest.raises(TakenOver):
        trainer.train()
    assert not trainer.rollbacks.file.exists()


def train(world: World, folder: Path, config: RunConfig, stop_at: int) -> tuple[str | None, int]:
    """One of the ranks computes nonsense: its gradients carry it to all."""
    trainer = build_trainer(folder, config, quiet(StopAt(stop_at)), world)
    if world.rank == 1:
        poison(trainer)
    return trainer.train(), trainer.rolled_back


def stopped(world: World, folder: Path, config: RunConfig) -> str:
    try:
        return str(train(world, folder, config, 1 << 30))
    except NonFiniteLoss as error:
        return str(error)


def test_two_ranks_stop_or_go_back_together(
    tiny_acgan: ACGANConfig, ranks: Ranks, tmp_path: Path
) -> None:
    told = ranks.connected(2, stopped, tmp_path / "s", tiny_acgan)
    assert all(words.startswith("train/fake_source is nan at step 30; ") for words in told)
    config = rolling(tiny_acgan)
    assert ranks.connected(2, train, tmp_path / "a", config, 1 << 30) == [(None, 1)] * 2
    for count, back in ((32, 1), (7, 1), (1 << 30, 1)):
        ends = ranks.connected(2, train, tmp_path / "b", config, count)
        assert [times for _, times in ends] == [back] * 2
    first, second = (
        build_trainer(tmp_path / name, config).outputs.checkpoints.latest() for name in "ab"
    )
    assert first.step == second.step == 44
    assert_same_state(first.load(), second.load())
    assert products(tmp_path / "a") == products(tmp_path / "b")
