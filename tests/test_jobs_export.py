"""Exported networks give the same images as the run they came from."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from trainers import build_trainer, made_run, quiet

import gan
from checkpoints import CheckpointError
from gan.config import ACGANConfig, ClassifierConfig, TrainConfig, identity
from gan.loading import Model
from gan.recipes import RECIPES
from gan.stored import RunError
from jobs.cli import main
from jobs.export import export
from jobs.run import Run, find, list_runs

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, tiny_acgan: ACGANConfig) -> Run:
    return made_run(tmp_path / "runs" / "mine", tiny_acgan)


def assert_same(first: Model, second: Model) -> None:
    assert first.networks.keys() == second.networks.keys()
    for name, network in first.networks.items():
        theirs = second.networks[name].state_dict()
        assert all(torch.equal(value, theirs[key]) for key, value in network.state_dict().items())
    assert (first.step, first.checksum, first.info) == (second.step, second.checksum, second.info)


def test_an_unfinished_run_is_exported_with_its_step(
    run: Run, tmp_path: Path, ganymede: Call
) -> None:
    done = ganymede("export", "mine", "given/away")
    assert done.returncode == 0, done.stderr
    assert "generator_ema after step 3 of 44; training is not finished" in done.stdout
    folder = tmp_path / "given" / "away"
    names = ["README.md", "config.json", "weights.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == names
    run_model, model = gan.load(run.path), gan.load(folder)
    assert_same(run_model, model)
    assert torch.equal(run_model.sample(3, seed=1), model.sample(3, seed=1))
    settings = json.loads((folder / "config.json").read_text())
    assert settings["identity"] == run.settings()["identity"]
    assert settings["versions"]["torch"] == torch.__version__
    assert str(tmp_path) not in (folder / "config.json").read_text()


def test_nobodys_folders_are_given_away(tmp_path: Path, tiny_acgan: ACGANConfig) -> None:
    place = replace(tiny_acgan.data, root=str(tmp_path))
    config = replace(tiny_acgan, data=place, train=replace(tiny_acgan.train, log_every=7))
    export(made_run(tmp_path / "run", config, steps=1), tmp_path / "x")
    assert str(tmp_path) not in (tmp_path / "x" / "config.json").read_text()
    model = gan.load(tmp_path / "x")
    assert identity(model.config) == identity(config)
    assert model.config.data == tiny_acgan.data
    assert model.config.train == replace(tiny_acgan.train, log_every=TrainConfig().log_every)


SYSTEMS = {recipe().variant: name for name, recipe in RECIPES.items() if name.endswith("-digits")}


@pytest.mark.parametrize("name", SYSTEMS.values(), ids=SYSTEMS)
def test_every_system_comes_back_from_an_export(name: str, tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", RECIPES[name](), name, steps=1)
    export(run, tmp_path / "x")
    model = gan.load(tmp_path / "x")
    assert_same(gan.load(run.path), model)
    side = model.config.data.image_size
    if model.generator is not None:
        images = model.sample(2)
        assert images.shape == (2, 1, side, side)
        assert images.abs().max() <= 1
    if model.variant.classifies:
        assert model.classify(torch.zeros(3, 1, side, side)).shape == (3, 10)
    example = (tmp_path / "x" / "README.md").read_text()
    uses = ("model.sample", "model.classify", "model.encoder")
    assert sum(use in example for use in uses) == 1


def test_another_step_may_be_chosen(run: Run, tmp_path: Path, tiny_acgan: ACGANConfig) -> None:
    build_trainer(run.path, tiny_acgan, quiet()).train()
    (said,) = export(run, tmp_path / "last")
    assert said.endswith("after step 44 of 44")
    (said,) = export(run, tmp_path / "first", step=3)
    assert "after step 3 of 44" in said
    assert_same(gan.load(run.path, step=3), gan.load(tmp_path / "first"))
    with pytest.raises(RunError, match=r"step is 3; .*last was exported at step 44"):
        gan.load(tmp_path / "last", step=3)


def test_a_pipeline_is_exported_member_by_member(
    tmp_path: Path, tiny_acgan: ACGANConfig, tiny_classifier: ClassifierConfig
) -> None:
    both = Run(tmp_path / "runs" / "both")
    for name, config in (("classifier", tiny_classifier), ("gan", tiny_acgan)):
        made_run(both.path / name, config)
    both.write_pipeline("demo", ["classifier", "gan"], "comparison")
    assert len(export(both, tmp_path / "all")) == 2
    for name in ("classifier", "gan"):
        assert_same(gan.load(both.path / name), gan.load(tmp_path / "all" / name))
    assert "gan.load('classifier')" in (tmp_path / "all" / "classifier" / "README.md").read_text()
    with pytest.raises(RunError, match=r"there are: .*all/classifier, .*all/gan"):
        gan.load(tmp_path / "all")


def test_nothing_is_overwritten_or_left_half(
    run: Run, tmp_path: Path, tiny_acgan: ACGANConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").write_text("precious")
    before = sorted(tmp_path.rglob("*"))
    flags = ("--runs", str(tmp_path / "runs"))
    assert main(["export", "mine", str(tmp_path / "taken"), *flags]) == 2
    assert "taken is there already; give a folder that is not" in capsys.readouterr().err
    assert main(["export", "mine", str(tmp_path / "x"), "--step", "4", *flags]) == 2
    assert "step is 4; allowed: 3" in capsys.readouterr().err
    state = run.store().path(3) / "state.pt"
    state.write_bytes(state.read_bytes()[:-1])
    assert main(["export", "mine", str(tmp_path / "x"), *flags]) == 2
    assert "none of the 1 checkpoints" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_member_without_a_checkpoint_keeps_the_whole_back(
    tmp_path: Path, tiny_acgan: ACGANConfig, run: Run
) -> None:
    young = Run(run.path / "young")
    young.write("x", tiny_acgan, gan.load(run.path).info, 1)
    made_run(run.path / "old", tiny_acgan)
    both = Run(tmp_path / "runs" / "mine")
    settings = {"format": 1, "recipe": "r", "members": ["old", "young"], "kind": "sweep"}
    both.config_file.write_text(json.dumps(settings))
    with pytest.raises(RunError, match="young has no checkpoint yet"):
        export(both, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_an_exported_folder_among_the_runs_is_none(run: Run, tmp_path: Path) -> None:
    export(run, tmp_path / "runs" / "given")
    assert list_runs(tmp_path / "runs") == [run]
    with pytest.raises(RunError, match="no run 'given'"):
        find("given", tmp_path / "runs")


def test_a_copy_without_its_weights_is_refused(run: Run, tmp_path: Path) -> None:
    export(run, tmp_path / "x")
    (tmp_path / "x" / "weights.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"weights\.safetensors is missing"):
        gan.load(tmp_path / "x")
