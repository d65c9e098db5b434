"""One recipe many times: the runs of a sweep, and what cannot be swept."""

from pathlib import Path

import pytest

from gan.config import ACGANConfig, ConfigError
from jobs.pipeline import prepare, stages
from jobs.run import RunError
from jobs.sweep import sweep


def test_all_combinations_are_run_and_named_after_their_values(tiny_acgan: ACGANConfig) -> None:
    runs = sweep(tiny_acgan, ["model.width=4,8", "seed=0..2"]).members()
    assert list(runs) == [
        "model.width-4_seed-0", "model.width-4_seed-1", "model.width-4_seed-2",
        "model.width-8_seed-0", "model.width-8_seed-1", "model.width-8_seed-2",
    ]  # fmt: skip
    chosen = [(config.model.width, config.seed) for config in runs.values()]
    assert chosen == [(4, 0), (4, 1), (4, 2), (8, 0), (8, 1), (8, 2)]
    assert {config.train for config in runs.values()} == {tiny_acgan.train}


def test_values_have_their_settings_type(tiny_acgan: ACGANConfig) -> None:
    runs = sweep(tiny_acgan, ["optim.learning-rate=1e-3,2e-4", "data.flip=true,false"]).members()
    assert [(c.optim.learning_rate, c.data.flip) for c in runs.values()] == [
        (1e-3, True), (1e-3, False), (2e-4, True), (2e-4, False)
    ]  # fmt: skip
    assert "optim.learning_rate-1e-3_data.flip-true" in runs


def test_settings_that_go_together_vary_together(tiny_acgan: ACGANConfig) -> None:
    pairs = "game.loss,game.regulariser=non-saturating:none,wasserstein:gradient-penalty"
    runs = sweep(tiny_acgan, [pairs, "seed=0..1"]).members()
    found = [(c.game.loss, c.game.regulariser, c.seed) for c in runs.values()]
    assert found == [
        ("non-saturating", "none", 0), ("non-saturating", "none", 1),
        ("wasserstein", "gradient-penalty", 0), ("wasserstein", "gradient-penalty", 1),
    ]  # fmt: skip
    assert "game.loss-wasserstein_game.regulariser-gradient-penalty_seed-1" in runs


def test_a_value_alone_may_hold_a_colon(tiny_acgan: ACGANConfig) -> None:
    (config,) = sweep(tiny_acgan, ["data.root=a:b"]).members().values()
    assert config.data.root == "a:b"


def test_a_name_holds_nothing_that_a_folder_could_not(tiny_acgan: ACGANConfig) -> None:
    (name,) = sweep(tiny_acgan, ["data.root=/some where/$(x)"]).members()
    assert name == "data.root--some-where-x-"


@pytest.mark.parametrize(
    ("specifications", "message"),
    [
        (["model.widht=4"], "sweep is 'model.widht=4'; allowed: setting=value,value .* data.crop"),
        (["seed"], "sweep is 'seed'; allowed: setting=value"),
        (["seed="], "sweep is 'seed='; allowed: no empty values"),
        (["seed=1,,2"], "sweep is 'seed=1,,2'; allowed: no empty values"),
        (["seed=3..1"], r"sweep has '3..1'; allowed: first\.\.last, ascending"),
        (["seed=0..100000"], r"sweep has '0..100000'; allowed: first\.\.last, ascending"),
        (["model.width=4,wide"], "sweep model.width=wide: Expected `int`"),
        (["model.width=0"], "sweep model.width=0: model.width is 0; allowed: 1 or more"),
        (["seed=1,1"], "sweep has seed-1 twice; allowed: each combination once"),
        (["optim.learning_rate=1e-3,0.001"], "sweep has optim.learning_rate-1e-3 twice"),
        (["data.root=a b,a-b"], "sweep has data.root-a-b twice"),
        (["seed=0,1", "seed=2"], "sweep has seed twice; allowed: each setting once"),
        (["seed,seed=1:2"], "sweep has seed twice; allowed: each setting once"),
        (["seed,model.width=1:4", "seed=2"], "sweep has seed twice; allowed: each setting once"),
        (
            ["seed,model.width=1:4,2"],
            "has '2'; allowed: 2 values with : between them, one for each",
        ),
        (["seed,model.width=1:4:5"], "has '1:4:5'; allowed: 2 values with :"),
        (["seed,model.width=0..3"], "has '0'; allowed: 2 values with :"),
        (["seed,model.width=1:"], "sweep is 'seed,model.width=1:'; allowed: no empty values"),
        (["seed,model.widht=1:4"], "allowed: setting=value,value .* setting,setting=value:value"),
        (
            ["game.loss,game.auxiliary=wasserstein:true", "game.regulariser=none"],
            "sweep game.loss=wasserstein, .*=none: game.regulariser is 'none' with the Wasserstein",
        ),
        (["data.root=" + "x" * 300], "allowed: names of up to 200 letters"),
    ],
)
def test_what_cannot_be_swept_is_told(
    tiny_acgan: ACGANConfig, specifications: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        sweep(tiny_acgan, specifications)


def test_each_run_of_a_sweep_has_its_own_stages(tmp_path: Path, tiny_acgan: ACGANConfig) -> None:
    run = prepare("acgan-digits", sweep(tiny_acgan, ["seed=0,1"]), tmp_path / "s", 1)
    assert run.is_sweep
    graph = stages(run)
    found = [(s.run.path.name, s.name, [a.name for a in s.after]) for s in graph]
    assert found == [
        (name, stage, after)
        for name in ("seed-0", "seed-1")
        for stage, after in (("train", []), ("sample", ["train"]), ("report", ["train", "sample"]))
    ]
    assert all(need.run == stage.run for stage in graph for need in stage.after)


def test_runs_of_a_sweep_do_not_share_threads(tmp_path: Path, tiny_acgan: ACGANConfig) -> None:
    run = prepare("acgan-digits", sweep(tiny_acgan, ["seed=0,1"]), tmp_path / "s", 8)
    assert [member.threads for member in run.members().values()] == [8, 8]


def test_the_same_sweep_is_found_again_and_another_refused(
    tmp_path: Path, tiny_acgan: ACGANConfig
) -> None:
    for _ in range(2):
        run = prepare("acgan-digits", sweep(tiny_acgan, ["seed=0,1"]), tmp_path / "s", 1)
    assert list(run.members()) == ["seed-0", "seed-1"]
    before = sorted(tmp_path.rglob("*"))
    made_by = r"was made by 'acgan-digits' \(seed-0, seed-1\), given was 'acgan-digits'"
    with pytest.raises(RunError, match=rf"{made_by} \(seed-0, seed-1, seed-2, seed-3, \.\.\.\)"):
        prepare("acgan-digits", sweep(tiny_acgan, ["seed=0..9"]), tmp_path / "s", 1)
    with pytest.raises(RunError, match=rf"{made_by}; give another --name"):
        prepare("acgan-digits", tiny_acgan, tmp_path / "s", 1)
    assert sorted(tmp_path.rglob("*")) == before
