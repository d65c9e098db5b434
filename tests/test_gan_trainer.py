"""Exact resume: however often and wherever a run is broken off, it ends in the same bits."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from states import assert_same_state
from trainers import KillAt, Killed, StopAt, assert_same_end, final_state, quiet

from checkpoints import CheckpointError
from gan import samples, scalars
from gan.config import ACGANConfig, ClassifierConfig, Game, RunConfig, saturation_step
from gan.trainer import Hooks, NonFiniteLoss, Trainer

Make = Callable[..., Trainer]


def fast(config: RunConfig) -> RunConfig:
    return replace(config, train=replace(config.train, precision="bfloat16", channels_last=True))


def dropping(config: ACGANConfig) -> ACGANConfig:
    """Random masks and a critic that compares the images of a batch, beside clipped weights."""
    model = replace(config.model, dropout=0.4, minibatch_kernels=3)
    return replace(config, model=model, game=Game(regulariser="clipping", auxiliary=True))


@pytest.fixture(
    params=[
        "acgan", "classifier", "fast acgan", "fast classifier", "dropping acgan",
        "simclr", "fast simclr", "encoder",
    ]
)  # fmt: skip
def config(request: pytest.FixtureRequest) -> RunConfig:
    change, _, name = request.param.rpartition(" ")
    tiny = request.getfixturevalue(f"tiny_{name}")
    return {"": lambda c: c, "fast": fast, "dropping": dropping}[change](tiny)


def test_stopped_anywhere_ends_in_the_same_bits(
    config: RunConfig, make_trainer: Make, tmp_path: Path
) -> None:
    straight = make_trainer(tmp_path / "a", config, quiet())
    assert straight.train() is None
    reasons = []
    # 22 steps an epoch: in the middle, in the evaluation and the sampling after an epoch, at once
    for count in (7, 0, 14, 1, 2, 9, 1000):
        broken = make_trainer(tmp_path / "b", config, quiet(StopAt(count)))
        reasons.append(broken.train())
    assert reasons == ["terminated"] * 6 + [None]
    assert_same_end(straight, broken, (tmp_path / "a", tmp_path / "b"))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_adams_counter_crosses_its_cap_through_stops(
    precision: str, tiny_acgan: ACGANConfig, make_trainer: Make, tmp_path: Path
) -> None:
    """With a beta of 0.3 it stands still from step 32 on; stopped before, there and after it."""
    config = replace(
        tiny_acgan,
        train=replace(tiny_acgan.train, precision=precision),
        optim=replace(tiny_acgan.optim, beta1=0.0, beta2=0.3),
    )
    assert saturation_step(0.3) == 32
    straight = make_trainer(tmp_path / "a", config, quiet())
    straight.train()
    for count in (33, 3, 0, 5, 1000):
        broken = make_trainer(tmp_path / "b", config, quiet(StopAt(count)))
        broken.train()
    assert_same_end(straight, broken, (tmp_path / "a", tmp_path / "b"))
    players = final_state(broken)["variant"]["optimizers"]
    counters = [kept["step"] for player in players.values() for kept in player.values()]
    assert counters
    assert {float(counter) for counter in counters} == {32.0}


def test_killed_anywhere_ends_in_the_same_bits(
    tiny_acgan: ACGANConfig,
    make_trainer: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    straight = make_trainer(tmp_path / "a", tiny_acgan, quiet())
    straight.train()

    for count in (3, 24, 23, 30, 1000):
        broken = make_trainer(tmp_path / "b", tiny_acgan, quiet(KillAt(count)))
        try:
            broken.train()
        except Killed:
            continue
    assert_same_end(straight, broken, (tmp_path / "a", tmp_path / "b"))


def test_saving_more_often_changes_nothing(
    tiny_acgan: ACGANConfig, make_trainer: Make, tmp_path: Path
) -> None:
    often = replace(tiny_acgan, train=replace(tiny_acgan.train, checkpoint_minutes=1e-9))
    trainers = [
        make_trainer(tmp_path / n, c, quiet()) for n, c in (("a", tiny_acgan), ("b", often))
    ]
    for trainer in trainers:
        trainer.train()
    assert_same_end(*trainers, (tmp_path / "a", tmp_path / "b"))


def test_a_slow_disk_makes_checkpoints_rarer_and_training_no_slower(
    tiny_acgan: ACGANConfig, make_trainer: Make, tmp_path: Path
) -> None:
    """The first save of all does not come to its end before 15 steps are done."""
    straight = make_trainer(tmp_path / "a", tiny_acgan, quiet())
    straight.train()
    often = replace(tiny_acgan, train=replace(tiny_acgan.train, checkpoint_minutes=1e-9))
    slow = make_trainer(tmp_path / "b", often, quiet())
    far_enough = threading.Event()
    waited: list[bool] = []
    slow.outputs.checkpoints.guard = lambda: waited.append(far_enough.wait(60))
    step = slow.train_step

    def noting() -> None:
        step()
        if slow.step == 15:
            far_enough.set()

    slow.train_step = noting
    slow.train()
    assert all(waited)
    assert_same_end(straight, slow, (tmp_path / "a", tmp_path / "b"))


def test_flipped_bit_falls_back_and_ends_the_same(
    tiny_classifier: ClassifierConfig, make_trainer: Make, tmp_path: Path
) -> None:
    straight = make_trainer(tmp_path / "a", tiny_classifier, quiet())
    straight.train()
    make_trainer(tmp_path / "b", tiny_classifier, quiet(StopAt(30))).train()
    state = tmp_path / "b" / "checkpoints" / "step-00000028" / "state.pt"
    data = bytearray(state.read_bytes())
    data[500] ^= 4
    state.write_bytes(data)
    said: list[str] = []
    broken = make_trainer(tmp_path / "b", tiny_classifier, Hooks(say=said.append))
    broken.train()
    assert any("checkpoint skipped" in line and "step-00000028" in line for line in said)
    assert "going on from step 22 (step-00000022)" in said
    assert_same_state(final_state(straight), final_state(broken))


def test_grid_is_the_same_noise_after_every_epoch(
    tiny_acgan: ACGANConfig, make_trainer: Make, tmp_path: Path
) -> None:
    trainer = make_trainer(tmp_path, tiny_acgan, quiet())
    trainer.train()
    content = samples.read(tmp_path / "samples.h5")
    assert content.images.shape == (2, 20, 8, 8, 1)
    assert content.labels.tolist() == list(range(10)) * 2
    assert content.steps.tolist() == [22, 44]
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == [
        "epoch-0001.png",
        "epoch-0002.png",
    ]


def test_log_holds_every_term_at_every_mark(
    tiny_acgan: ACGANConfig, make_trainer: Make, tmp_path: Path
) -> None:
    trainer = make_trainer(tmp_path, tiny_acgan, quiet())
    trainer.train()
    curves = scalars.read(tmp_path / "tensorboard")
    norms = {"train/gradient_norm_generator", "train/gradient_norm_discriminator"}
    terms = {f"train/{t}" for t in trainer.variant.terms}
    assert curves.keys() == {*terms, *norms, "test/accuracy"}
    assert all(curves[tag][0].tolist() == curves["train/accuracy"][0].tolist() for tag in norms)
    assert curves["train/accuracy"][0].tolist() == [5, 10, 15, 20, 22, 25, 30, 35, 40, 44]
    assert curves["test/accuracy"][0].tolist() == [22, 44]


def test_running_means_begin_anew_with_each_epoch(
    tiny_classifier: ClassifierConfig, make_trainer: Make, tmp_path: Path
) -> None:
    trainer = make_trainer(tmp_path, tiny_classifier, quiet())
    seen: list[torch.Tensor] = []
    update = trainer.variant.update
    trainer.variant.update = lambda *a: seen.append(update(*a)) or seen[-1]
    trainer.train()
    steps, values = scalars.read(tmp_path / "tensorboard")["train/loss"]
    expected = torch.stack(seen[22:30])[:, 0].double().mean().item()  # steps 23 to 30
    assert values[steps == 30].item() == pytest.approx(expected, rel=1e-6)


def test_gradient_norms_are_of_the_step_that_is_logged(
    tiny_acgan: ACGANConfig, make_trainer: Make, tmp_path: Path
) -> None:
    """However training was broken off: also where the generator has not moved since, and at an
    epoch's end that is logged by another process than trained it."""
    rarely = replace(tiny_acgan, game=replace(tiny_acgan.game, generator_every=7))
    trainer = make_trainer(tmp_path / "a", rarely, quiet())
    assert trainer.variant.resting == ("generator",)
    after: list[dict[str, float]] = []
    step = trainer.train_step
    trainer.train_step = lambda: (step(), after.append(trainer.gradient_norms()))
    trainer.train()
    broken = tmp_path / "b"
    for count in (9, 0, 13, 1, 17, 0, 1000):  # at step 9, at the end of epoch 1, at step 40
        make_trainer(broken, rarely, quiet(StopAt(count))).train()
    for folder in (tmp_path / "a", broken):
        curves = scalars.read(folder / "tensorboard")
        for tag in after[0]:
            steps, values = curves[tag]
            assert values.tolist() == [after[step - 1][tag] for step in steps]
    assert after[8] != after[9]


def test_a_save_looks_at_no_gradient_that_the_next_step_replaces(
    tiny_acgan: ACGANConfig, make_trainer: Make, tmp_path: Path
) -> None:
    """It would keep training waiting."""
    trainer = make_trainer(tmp_path, tiny_acgan, quiet(StopAt(9)))
    assert trainer.train() == "terminated"
    assert trainer.state()["gradient_norms"] == {}
    rarely = replace(tiny_acgan, game=replace(tiny_acgan.game, generator_every=7))
    trainer = make_trainer(tmp_path / "rarely", rarely, quiet(StopAt(9)))
    assert trainer.train() == "terminated"
    assert trainer.state()["gradient_norms"].keys() == {"generator"}


def test_a_checkpoint_of_an_earlier_version_is_gone_on_from(
    tiny_classifier: ClassifierConfig, make_trainer: Make, tmp_path: Path
) -> None:
    trainer = make_trainer(tmp_path, tiny_classifier, quiet(StopAt(22)))
    state, later = trainer.state, ("gradient_norms", "rollbacks")
    trainer.state = lambda: {k: v for k, v in state().items() if k not in later}
    assert trainer.train() == "terminated"  # in the evaluation after the first epoch
    assert make_trainer(tmp_path, tiny_classifier, quiet()).train() is None
    steps, _ = scalars.read(tmp_path / "tensorboard")["train/gradient_norm_discriminator"]
    assert steps.tolist() == [5, 10, 15, 20, 25, 30, 35, 40, 44]  # not 22: nobody knows it


def test_learning_rate_drops_at_its_epochs(
    tiny_classifier: ClassifierConfig, make_trainer: Make, tmp_path: Path
) -> None:
    dropping = replace(tiny_classifier, optim=replace(tiny_classifier.optim, drop_epochs=(1,)))
    trainer = make_trainer(tmp_path, dropping, quiet())
    rates = []
    update = trainer.variant.update

    def noting(*arguments: object) -> torch.Tensor:
        rates.append(trainer.variant.optimizers["discriminator"].param_groups[0]["lr"])
        return update(*arguments)

    trainer.variant.update = noting
    trainer.train()
    assert rates == [1e-3] * 22 + [1e-4] * 22


def test_nan_stops_with_the_term_and_keeps_the_checkpoints(
    tiny_classifier: ClassifierConfig, make_trainer: Make, tmp_path: Path
) -> None:
    trainer = make_trainer(tmp_path, tiny_classifier, quiet())
    update = trainer.variant.update

    def failing(images: torch.Tensor, labels: torch.Tensor, draws: object) -> torch.Tensor:
        return update(images, labels, draws) * (float("nan") if draws.step == 26 else 1)

    trainer.variant.update = failing
    with pytest.raises(NonFiniteLoss, match="train/loss is nan at step 30"):
        trainer.train()
    assert trainer.outputs.checkpoints.latest().step == 22


def test_checkpoint_of_another_network_is_refused(
    tiny_classifier: ClassifierConfig, make_trainer: Make, tmp_path: Path
) -> None:
    make_trainer(tmp_path, tiny_classifier, quiet(StopAt(3))).train()
    wider = replace(tiny_classifier, model=replace(tiny_classifier.model, width=5))
    other = make_trainer(tmp_path, wider, quiet())
    with pytest.raises(CheckpointError, match="belongs to another config"):
        other.train()
    other.outputs.checkpoints.identity = make_trainer(
        tmp_path, tiny_classifier
    ).outputs.checkpoints.identity
    with pytest.raises(CheckpointError, match="is of another network"):
        other.train()


def test_full_disk_while_saving_stops_and_keeps_the_checkpoint_before(
    tiny_classifier: ClassifierConfig, make_trainer: Make, small_disk: Path
) -> None:
    trainer = make_trainer(small_disk, tiny_classifier, quiet())
    ballast = small_disk / "ballast"
    update = trainer.variant.update

    def fill_the_disk(images: torch.Tensor, labels: torch.Tensor, draws: object) -> torch.Tensor:
        if draws.step == 30:
            with pytest.raises(OSError, match="No space"), ballast.open("wb") as file:
                while True:
                    file.write(bytes(1 << 14))
                    file.flush()
        return update(images, labels, draws)

    trainer.variant.update = fill_the_disk
    with pytest.raises(OSError, match="No space left"):
        trainer.train()
    assert trainer.outputs.checkpoints.latest().step == 22
    assert trainer.outputs.checkpoints.problems() == []
    ballast.unlink()
    again = make_trainer(small_disk, tiny_classifier, quiet())
    assert again.train() is None
    assert again.step == 44


def test_a_stopped_run_leaves_a_verified_checkpoint(
    tiny_acgan: ACGANConfig, make_trainer: Make, tmp_path: Path
) -> None:
    trainer = make_trainer(tmp_path, tiny_acgan, quiet(StopAt(5)))
    assert trainer.train() == "terminated"
    assert trainer.outputs.checkpoints.latest().step == trainer.step == 5


def strides(trainer: Trainer) -> dict[str, tuple[int, ...]]:
    """Memory layout of every weight and of all that Adam keeps of it."""
    found = {}
    for player, optimizer in trainer.variant.optimizers.items():
        for name, parameter in trainer.variant.networks[player].named_parameters():
            kept = optimizer.state.get(parameter, {}) | {"weight": parameter}
            found |= {
                f"{player}/{name}/{key}": value.stride()
                for key, value in kept.items()
                if value.shape == parameter.shape
            }
    return found


def test_channels_stay_innermost_through_a_save(
    tiny_acgan: ACGANConfig, make_trainer: Make, tmp_path: Path
) -> None:
    """Other strides mean other kernels, and other last bits."""
    first = make_trainer(tmp_path, fast(tiny_acgan), quiet(StopAt(3)))
    assert first.train() == "terminated"
    second = make_trainer(tmp_path, fast(tiny_acgan), quiet(StopAt(0)))
    second.train()
    assert second.step == 3
    assert strides(first) == strides(second)
    weights = [p for p in second.variant.critic.parameters() if p.dim() == 4 and p.shape[1] > 1]
    assert weights
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in weights)
    assert not any(w.is_contiguous() for w in weights)
    for network in second.variant.networks.values():  # the average of the generator too
        four = [p for p in network.parameters() if p.dim() == 4]
        assert all(w.is_contiguous(memory_format=torch.channels_last) for w in four)


def terms_of(trainer: Trainer, steps: int) -> list[torch.Tensor]:
    terms = []
    update = trainer.variant.update
    trainer.variant.update = lambda *a: terms.append(update(*a)) or terms[-1]
    for _ in range(steps):
        trainer.train_step()
    return terms


def test_options_that_are_off_touch_nothing(
    config: RunConfig, make_trainer: Make, tmp_path: Path
) -> None:
    """float32 is the plain eager arithmetic; bfloat16 is another, close to it."""
    train = replace(config.train, precision="float32", channels_last=False)
    plain = make_trainer(tmp_path / "a", replace(config, train=train))
    bare = make_trainer(tmp_path / "b", replace(config, train=train))
    bare.variant.mixed = contextlib.nullcontext
    assert all(
        p.is_contiguous() for net in plain.variant.networks.values() for p in net.parameters()
    )
    found, expected = terms_of(plain, 3), terms_of(bare, 3)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    low = replace(config, train=replace(train, precision="bfloat16"))
    coarse = terms_of(make_trainer(tmp_path / "c", low), 1)[0]
    assert coarse.dtype == torch.float32
    assert not torch.equal(coarse, found[0])
    torch.testing.assert_close(coarse, found[0], rtol=0.05, atol=0.15)


def masks(trainer: Trainer, steps: int) -> list[torch.Tensor]:
    """What dropout keeps of ones, in the critic's first training pass of each step."""
    seen: list[torch.Tensor] = []
    dropout = trainer.variant.critic.dropout
    dropout.register_forward_hook(lambda module, given, out: seen.append((out != 0).float()))
    marks = []
    for _ in range(steps):
        marks.append(len(seen))
        trainer.train_step()
    return [seen[mark] for mark in marks]


def test_dropout_is_a_function_of_seed_and_step(
    tiny_acgan: ACGANConfig, make_trainer: Make, tmp_path: Path
) -> None:
    config = dropping(tiny_acgan)
    whole = masks(make_trainer(tmp_path / "a", config), 4)
    make_trainer(tmp_path / "b", config, quiet(StopAt(2))).train()
    resumed = make_trainer(tmp_path / "b", config)
    resumed.restore()
    assert resumed.step == 2
    torch.manual_seed(99)  # whatever the process drew before
    assert all(torch.equal(a, b) for a, b in zip(whole[2:], masks(resumed, 2), strict=True))
    assert not torch.equal(whole[0], whole[1])
    other = masks(make_trainer(tmp_path / "c", replace(config, seed=1)), 1)
    assert not torch.equal(whole[0], other[0])
    kept = torch.stack(whole).mean().item()
    assert kept == pytest.approx(1 - 0.4, abs=0.06)


def test_one_step_uses_different_masks_for_each_of_its_passes(
    tiny_acgan: ACGANConfig, make_trainer: Make, tmp_path: Path
) -> None:
    trainer = make_trainer(tmp_path, dropping(tiny_acgan))
    seen: list[torch.Tensor] = []
    trainer.variant.critic.dropout.register_forward_hook(
        lambda module, given, out: seen.append(out.detach() != 0)
    )
    trainer.train_step()
    assert len(seen) == 3  # for the generator; real; generated
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])
