"""Classifiers on encoders: what is frozen stays so, and where the encoder comes from."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from states import assert_same_state
from trainers import StopAt, build_trainer, quiet

from checkpoints import CheckpointError
from gan import config as configs
from gan import data, pretrained, variants
from gan.config import (
    ConfigError,
    EncoderClassifierConfig,
    EncoderClassifierModel,
    Pretrained,
    SimCLRConfig,
    SimCLRModel,
)
from gan.distributed import World
from gan.variants.base import Variant

FROZEN = EncoderClassifierModel(encoder="small", width=4, frozen=True)


@pytest.fixture
def source(tiny_simclr: SimCLRConfig, tmp_path: Path) -> Pretrained:
    """A finished SimCLR run."""
    build_trainer(tmp_path / "simclr", tiny_simclr, quiet()).train()
    return Pretrained(str(tmp_path / "simclr"), configs.identity(tiny_simclr))


@pytest.fixture
def probe(tiny_encoder: EncoderClassifierConfig, source: Pretrained) -> EncoderClassifierConfig:
    return replace(tiny_encoder, model=FROZEN, pretrained=source)


def encoder_state(variant: Variant) -> dict[str, torch.Tensor]:
    encoder = variant.networks["classifier"].encoder
    return {name: tensor.clone() for name, tensor in encoder.state_dict().items()}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_frozen_encoder_stays_as_it_was_pretrained(
    probe: EncoderClassifierConfig, tmp_path: Path, precision: str
) -> None:
    probe = replace(probe, train=replace(probe.train, precision=precision))
    trainer = build_trainer(tmp_path / "probe", probe, quiet())
    head = trainer.variant.model.head[1].weight.detach().clone()
    assert trainer.train() is None
    weights = pretrained.read(Path(probe.pretrained.run), probe.pretrained.identity)
    after = encoder_state(trainer.variant)
    assert after.keys() == weights.keys()
    assert any("running_mean" in name for name in after)
    assert any("num_batches_tracked" in name for name in after)
    for name, tensor in after.items():  # every parameter and every buffer
        assert torch.equal(tensor, weights[name]), name
    assert not torch.equal(trainer.variant.model.head[1].weight, head)
    saved = trainer.outputs.checkpoints.latest().load()["variant"]
    assert_same_state(pretrained.encoder_part(saved["networks"]), weights)
    assert saved["optimizers"]["classifier"].keys() == {"head.1.weight", "head.1.bias"}


def test_an_untrained_frozen_encoder_stays_too(
    tiny_encoder: EncoderClassifierConfig, tmp_path: Path
) -> None:
    trainer = build_trainer(tmp_path, replace(tiny_encoder, model=FROZEN), quiet())
    before = encoder_state(trainer.variant)
    trainer.train()
    assert_same_state(encoder_state(trainer.variant), before)


def test_a_frozen_encoder_is_in_eval_mode_while_the_layer_trains(
    probe: EncoderClassifierConfig, tmp_path: Path
) -> None:
    trainer = build_trainer(tmp_path / "probe", probe, quiet(StopAt(3)))
    modes = set()
    encoder, head = trainer.variant.model.encoder, trainer.variant.model.head
    head.register_forward_hook(lambda *_: modes.add((encoder.training, head.training)))
    trainer.train()
    assert modes == {(False, True)}


def test_fine_tuning_begins_there_and_moves_on(
    probe: EncoderClassifierConfig, tmp_path: Path
) -> None:
    tuning = replace(probe, model=replace(FROZEN, frozen=False))
    trainer = build_trainer(tmp_path / "tuning", tuning, quiet(StopAt(0)))
    trainer.train()
    weights = pretrained.read(Path(probe.pretrained.run), probe.pretrained.identity)
    assert_same_state(encoder_state(trainer.variant), weights)
    going_on = build_trainer(tmp_path / "tuning", tuning, quiet())
    going_on.train()
    for name, tensor in encoder_state(going_on.variant).items():
        assert not torch.equal(tensor, weights[name]), name


@pytest.mark.parametrize("frozen", [True, False], ids=["probe", "fine-tuning"])
def test_resume_is_exact_and_needs_the_pretrained_run_no_more(
    probe: EncoderClassifierConfig, tmp_path: Path, frozen: bool
) -> None:
    config = replace(probe, model=replace(FROZEN, frozen=frozen))
    straight = build_trainer(tmp_path / "a", config, quiet())
    assert straight.train() is None
    assert build_trainer(tmp_path / "b", config, quiet(StopAt(7))).train() == "terminated"
    shutil.rmtree(config.pretrained.run)
    for count in (0, 5, 20, 1000):
        broken = build_trainer(tmp_path / "b", config, quiet(StopAt(count)))
        broken.train()
    ends = [t.outputs.checkpoints.latest().load() for t in (straight, broken)]
    assert ends[0]["step"] == 44
    assert_same_state(*ends)
    assert broken.variant.facts() == straight.variant.facts()
    assert len(broken.variant.facts()["encoder_sha256"]) == 64


def test_another_encoder_in_the_same_place_is_refused_on_resume(
    probe: EncoderClassifierConfig, tiny_simclr: SimCLRConfig, tmp_path: Path
) -> None:
    build_trainer(tmp_path / "probe", probe, quiet(StopAt(7))).train()
    shutil.rmtree(probe.pretrained.run)
    # The same settings that came to other bits, as on another machine: stopped early stands for it
    build_trainer(tmp_path / "simclr", tiny_simclr, quiet(StopAt(3))).train()
    with pytest.raises(CheckpointError, match=r"this run began with encoder \w{12}, .* now holds"):
        build_trainer(tmp_path / "probe", probe, quiet()).train()


def test_the_pretrained_run_must_be_there_to_begin(
    probe: EncoderClassifierConfig, tmp_path: Path
) -> None:
    gone = replace(probe, pretrained=replace(probe.pretrained, run=str(tmp_path / "gone")))
    with pytest.raises(CheckpointError, match="gone has no checkpoints to take an encoder from"):
        build_trainer(tmp_path / "probe", gone, quiet()).train()
    other = replace(probe, pretrained=replace(probe.pretrained, identity="0" * 64))
    with pytest.raises(CheckpointError, match="belongs to another config"):
        build_trainer(tmp_path / "probe", other, quiet()).train()
    assert not (tmp_path / "probe" / "checkpoints").exists()


def test_an_encoder_of_another_shape_is_refused(
    probe: EncoderClassifierConfig, tmp_path: Path
) -> None:
    wider = replace(probe, model=replace(FROZEN, width=5))
    with pytest.raises(CheckpointError, match=r"simclr holds another encoder: .*size mismatch"):
        build_trainer(tmp_path / "probe", wider, quiet()).train()


def test_an_encoder_may_come_from_a_classifier(
    probe: EncoderClassifierConfig, tiny_encoder: EncoderClassifierConfig, tmp_path: Path
) -> None:
    build_trainer(tmp_path / "scratch", tiny_encoder, quiet()).train()
    place = Pretrained(str(tmp_path / "scratch"), configs.identity(tiny_encoder))
    trainer = build_trainer(tmp_path / "probe", replace(probe, pretrained=place), quiet())
    trainer.train()
    weights = pretrained.read(tmp_path / "scratch", place.identity)
    assert_same_state(encoder_state(trainer.variant), weights)


def test_checksum_tells_encoders_apart() -> None:
    weights = {"a": torch.tensor([1.0, 2.0]), "b": torch.zeros(2, 2, dtype=torch.int64)}
    known = pretrained.checksum(weights)
    assert known == pretrained.checksum(dict(reversed(weights.items())))
    changed = [
        weights | {"a": torch.tensor([1.0, 2.0000002])},
        weights | {"b": torch.zeros(4, dtype=torch.int64)},
        weights | {"b": torch.zeros(2, 2, dtype=torch.int32)},
        {"c": weights["a"], "b": weights["b"]},
    ]
    assert len({known, *map(pretrained.checksum, changed)}) == 5


def test_buffers_of_a_frozen_encoder_are_not_averaged(
    probe: EncoderClassifierConfig, tiny_encoder: EncoderClassifierConfig
) -> None:
    info = data.inspect(probe.data)
    frozen, whole = (
        variants.build(config, info, torch.device("cpu")) for config in (probe, tiny_encoder)
    )
    for variant in (frozen, whole):
        variant.world = World(rank=0, size=2)
    assert len(frozen._buffers()) == 2
    assert len(whole._buffers()) == 2 + 2 * 4


def test_data_needs_classes(tiny_encoder: EncoderClassifierConfig) -> None:
    info = replace(data.inspect(tiny_encoder.data), classes=("image",))
    with pytest.raises(
        ConfigError, match="needs classes to name; digits has 1; allowed: data with"
    ):
        data.check(tiny_encoder, info)


def test_the_encoder_is_part_of_the_identity(tiny_encoder: EncoderClassifierConfig) -> None:
    def identity(pretrained: Pretrained) -> str:
        return configs.identity(replace(tiny_encoder, pretrained=pretrained))

    assert identity(Pretrained("a", "1" * 64)) == identity(Pretrained("b", "1" * 64))
    assert identity(Pretrained("a", "1" * 64)) != identity(Pretrained("a", "2" * 64))


def test_simclr_recipe_and_its_probe_have_the_same_encoder() -> None:
    assert SimCLRModel().encoder == EncoderClassifierModel().encoder
