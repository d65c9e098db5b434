"""Games that cannot be played are refused by name, before anything is written or queued."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from trainers import build_trainer

from gan import config as configs
from gan import data
from gan.config import (
    VARIANTS,
    ACGANConfig,
    ACGANModel,
    AdamConfig,
    CatsConfig,
    ClassifierConfig,
    ConfigError,
    DataConfig,
    DCClassifierConfig,
    DCGANLabConfig,
    Game,
    GANConfig,
    GANModel,
    RunConfig,
    TrainConfig,
)
from gan.data import DataInfo
from gan.distributed import World
from jobs import pipeline
from jobs.cli import main

PENALISED = Game(loss="wasserstein", regulariser="gradient-penalty")
GANS = [config for config in VARIANTS.values() if issubclass(config, GANConfig)]
ONE_CLASS = DataInfo("folder", 500, 50, 3, ("image",), "")
LETTERS = DataInfo("letters", 500, 50, 1, tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), "")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"critic_scale": 0.0}, r"game\.critic_scale is 0\.0; allowed: above 0, finite"),
        ({"critic_scale": float("inf")}, r"game\.critic_scale is inf; allowed: above 0, finite"),
        ({"critic_scale": float("nan")}, r"game\.critic_scale is nan; allowed: above 0, finite"),
        ({"clip": -0.01}, r"game\.clip is -0\.01; allowed: above 0, finite"),
        ({"penalty_weight": -1.0}, r"game\.penalty_weight is -1\.0; allowed: 0 or more, finite"),
        ({"generator_every": 0}, r"game\.generator_every is 0; allowed: 1 or more"),
        ({"ema_decay": 1.0}, r"game\.ema_decay is 1\.0; allowed: 0 up to but not 1"),
    ],
)
def test_numbers_out_of_range_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Game(**settings)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Game(regulariser="gp"),
            r"game\.regulariser is 'gp'; allowed: none, clipping, gradient-penalty",
        ),
        (lambda: Game(loss="hinge"), r"game\.loss is 'hinge'; allowed: non-saturating, saturating"),
        (lambda: GANModel(noise="sphere"), r"model\.noise is 'sphere'; allowed: normal, uniform"),
        (lambda: AdamConfig(step_fix="on"), r"optim\.step_fix is 'on'; allowed: safe, off, legacy"),
        (
            lambda: DataConfig(emnist_split="small"),
            r"data\.emnist_split is 'small'; allowed: letters",
        ),
        (lambda: TrainConfig(precision="half"), r"train\.precision is 'half'; allowed: float32, b"),
    ],
)
def test_unknown_words_are_refused_in_python_too(make: Callable[[], Any], message: str) -> None:
    """A misspelt regulariser would be none at all."""
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent": 0}, r"model\.latent is 0; allowed: 1 or more"),
        ({"dropout": 1.0}, r"model\.dropout is 1\.0; allowed: 0 up to but not 1"),
        ({"minibatch_kernels": -1}, r"model\.minibatch_kernels is -1; allowed: 0 or more"),
    ],
)
def test_models_out_of_range_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        GANModel(**settings)


def test_wasserstein_needs_a_bound() -> None:
    with pytest.raises(
        ConfigError,
        match=r"game\.regulariser is 'none' with the Wasserstein loss, .* allowed: gradient-penalty"
        " or clipping",
    ):
        Game(loss="wasserstein")
    assert Game(loss="wasserstein", regulariser="clipping").clip == 0.01


@pytest.mark.parametrize("kind", GANS, ids=lambda kind: kind.variant)
def test_penalty_is_refused_exactly_where_the_critic_mixes_samples(kind: type[GANConfig]) -> None:
    """The gradient of one image's score would hold other images' part too."""
    plain = kind()
    if plain.batch_statistics:
        with pytest.raises(
            ConfigError,
            match=r"game\.regulariser is 'gradient-penalty' with a critic that has BatchNorm: .* "
            "depends on one image alone; allowed: none or clipping, or another critic",
        ):
            replace(plain, game=PENALISED)
    else:
        assert replace(plain, game=PENALISED).mixes_samples is None
    with pytest.raises(ConfigError, match="critic that has minibatch discrimination: the penalty"):
        replace(plain, game=PENALISED, model=replace(plain.model, minibatch_kernels=5))


def test_batchnorm_critics_are_those_of_s1_and_s2() -> None:
    assert {kind for kind in GANS if kind.batch_statistics} == {DCGANLabConfig, CatsConfig}


def test_every_other_game_is_allowed_with_every_network() -> None:
    for kind in GANS:
        for loss in ("non-saturating", "saturating", "least-squares", "wasserstein"):
            for auxiliary in (False, True):
                game = Game(loss=loss, regulariser="clipping", auxiliary=auxiliary)
                assert replace(kind(), game=game).game.loss == loss


def test_class_term_needs_two_classes() -> None:
    with pytest.raises(
        ConfigError,
        match=r"game\.auxiliary needs classes to name; folder has 1; allowed: data with two "
        r"classes or more, or --game\.no-auxiliary",
    ):
        data.check(ACGANConfig(), ONE_CLASS)
    unconditional = replace(ACGANConfig(), game=PENALISED)
    data.check(unconditional, ONE_CLASS)


@pytest.mark.parametrize("kind", [ClassifierConfig, DCClassifierConfig])
def test_a_classifier_needs_two_classes(kind: type[RunConfig]) -> None:
    with pytest.raises(ConfigError, match="classifier needs classes to name; folder has 1; allow"):
        data.check(kind(), ONE_CLASS)
    data.check(kind(), LETTERS)


def test_noise_must_have_room_for_the_label() -> None:
    small = replace(ACGANConfig(), model=replace(ACGANConfig().model, latent=25))
    with pytest.raises(ConfigError, match=r"model\.latent is 25; allowed: 26 or more, since the"):
        data.check(small, LETTERS)
    data.check(replace(small, model=replace(small.model, latent=26)), LETTERS)
    data.check(replace(small, game=PENALISED), LETTERS)  # no label in it


def test_minibatch_discrimination_needs_the_whole_batch_in_one_process(tmp_path: Path) -> None:
    config = ACGANConfig(
        data=DataConfig(image_size=8),
        model=ACGANModel(width=2, minibatch_kernels=5),
        game=Game(auxiliary=True),
    )
    assert config.whole_batch == "minibatch discrimination"
    with pytest.raises(
        ConfigError,
        match="minibatch discrimination needs the whole batch in one process; given were 2 ranks, "
        "allowed: 1",
    ):
        build_trainer(tmp_path / "run", config, world=World(0, 2))
    assert not (tmp_path / "run").exists()


def test_refusal_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):  # found while the command line is read
        main(["run", "acgan-digits", "--game.regulariser", "none"])
    assert main(["run", "acgan-digits", "--model.latent", "9"]) == 2  # with the data's classes
    told = capsys.readouterr().err
    assert "game.regulariser is 'none' with the Wasserstein" in told
    assert "model.latent is 9; allowed: 10 or more" in told
    assert not list(tmp_path.iterdir())


def test_every_setting_of_the_game_is_part_of_a_runs_identity() -> None:
    config = ACGANConfig()
    others = {
        "loss": "least-squares", "regulariser": "clipping", "auxiliary": False,
        "critic_scale": 0.5, "penalty_weight": 1.0, "clip": 0.1, "critic_first": True,
        "generator_every": 5, "ema_decay": 0.5,
    }  # fmt: skip
    assert others.keys() == {field.name for field in fields(Game)}
    changed = [replace(config, game=replace(config.game, **{n: v})) for n, v in others.items()]
    assert len({configs.identity(each) for each in [config, *changed]}) == 1 + len(others)


def test_games_go_through_the_runs_folder(tmp_path: Path) -> None:
    chosen = replace(
        pipeline.plan("acgan-digits"),
        game=Game(loss="saturating", auxiliary=True, generator_every=3, critic_first=True),
    )
    run = pipeline.prepare("acgan-digits", chosen, tmp_path / "run", threads=1)
    assert run.config() == chosen
