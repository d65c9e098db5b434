"""A run's networks in the user's hands: what training had, to the last bit."""

import io
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from trainers import build_trainer, made_run, quiet

import gan
from checkpoints import CheckpointError
from gan import batches, evaluation, recipes, rng, variants
from gan import data as data_sets
from gan.config import ACGANConfig, ClassifierConfig, RunConfig
from gan.stored import RunError
from jobs.run import Run


@pytest.fixture
def run(tmp_path: Path, tiny_acgan: ACGANConfig) -> Run:
    return made_run(tmp_path / "run", tiny_acgan)


def saved_networks(run: Run, step: int) -> dict[str, dict[str, torch.Tensor]]:
    return run.store().open(step).load()["variant"]["networks"]


@pytest.mark.parametrize("name", ["acgan", "classifier"])
def test_networks_are_those_of_the_latest_checkpoint(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    config: RunConfig = request.getfixturevalue(f"tiny_{name}")
    run = made_run(tmp_path / "run", config)
    model = gan.load(str(run.path))
    assert model.step == 3
    assert model.config == config
    assert model.info.classes == tuple("0123456789")
    assert model.checksum == run.store().open(3).manifest.files["state.pt"].sha256
    for network, tensors in saved_networks(run, 3).items():
        own = model.networks[network].state_dict()
        assert own.keys() == tensors.keys()
        assert all(torch.equal(own[key], tensors[key]) for key in own)
        assert not model.networks[network].training
        assert not any(p.requires_grad for p in model.networks[network].parameters())
    assert model.critic is model.networks["discriminator"]
    assert model.generator is model.networks.get("generator_ema")  # None for a classifier
    assert (model.generator is None) == (name == "classifier")
    assert model.encoder is None


def test_any_checkpoint_may_be_asked_for(run: Run, tiny_acgan: ACGANConfig) -> None:
    build_trainer(run.path, tiny_acgan, quiet()).train()
    assert gan.load(run.path).step == 44
    for model in (
        gan.load(run.path, step=3),
        gan.load(run.store().path(3)),
        gan.load(run.store().path(3), step=3),
    ):
        assert model.step == 3
        weight = model.networks["generator"].fc1[0].weight
        assert torch.equal(weight, saved_networks(run, 3)["generator"]["fc1.0.weight"])
    with pytest.raises(RunError, match="step is 4; allowed: 3, 22, 44"):
        gan.load(run.path, step=4)
    with pytest.raises(RunError, match=r"step is 22; .*step-00000003 is of step 3"):
        gan.load(run.store().path(3), step=22)


def test_samples_are_what_the_generator_makes_of_the_seed(run: Run) -> None:
    model = gan.load(run.path)
    images = model.sample(12, seed=5)
    assert images.shape == (12, 1, 8, 8)
    assert images.dtype == torch.float32
    labels = torch.arange(128) % 10
    noise = model.variant.noise(labels, rng.Stream.SAMPLE, rng.Draws(5, 0))
    assert torch.equal(images, model.generator(noise)[:12])
    assert torch.equal(images, model.sample(12, seed=5))
    assert not torch.equal(images, model.sample(12, seed=6))
    assert np.array_equal(model.pictures(12, seed=5), batches.to_bytes(images))


def test_a_class_is_asked_for_by_name_or_number(tmp_path: Path, run: Run) -> None:
    config = json.loads(run.config_file.read_text())
    config["data"]["classes"] = ["one", "two", "0", "T-shirt/top", *"abcdef"]
    run.config_file.write_text(json.dumps(config))
    model = gan.load(run.path)
    numbers = {"two": 1, 1: 1, "1": 1, "0": 2, 0: 0, "T-shirt/top": 3, "9": 9}
    for given, number in numbers.items():
        assert model.class_number(given) == number
    assert torch.equal(model.sample(3, label="two"), model.sample(3, label=1))
    assert not torch.equal(model.sample(3, label="two"), model.sample(3, label="one"))
    for given in ("three", "10", "-1", -1, 10, "²"):
        with pytest.raises(RunError, match=r"allowed: one, two, 0, T-shirt/top, .* or 0 to 9"):
            model.sample(3, label=given)


def test_an_encoder_is_found_where_it_is(tmp_path: Path) -> None:
    config = recipes.RECIPES["simclr-pretrain-digits"]()
    model = gan.load(made_run(tmp_path / "run", config, steps=1).path)
    assert model.encoder is model.variant.model.encoder
    size = config.data.image_size
    with pytest.raises(RunError, match="simclr has no generator; it makes no images"):
        model.sample(1)
    features = model.encoder(torch.zeros(3, 1, size, size))
    assert features.ndim == 2
    assert len(features) == 3


def test_what_a_model_cannot_do_is_refused_by_name(
    tmp_path: Path, tiny_acgan: ACGANConfig, tiny_classifier: ClassifierConfig
) -> None:
    unlabelled = replace(tiny_acgan, game=replace(tiny_acgan.game, auxiliary=False))
    model = gan.load(made_run(tmp_path / "gan", unlabelled).path)
    assert model.sample(2).shape == (2, 1, 8, 8)
    with pytest.raises(RunError, match="class is '3', but this generator was trained without"):
        model.sample(2, label=3)
    with pytest.raises(RunError, match="count is 0; allowed: 1 or more"):
        model.sample(0)
    with pytest.raises(RunError, match="acgan was trained without classes"):
        model.classify(torch.zeros(1, 1, 8, 8))
    judge = gan.load(made_run(tmp_path / "classifier", tiny_classifier).path)
    with pytest.raises(RunError, match="classifier has no generator; it makes no images"):
        judge.sample(2)
    for shape in ((1, 8, 8), (1, 3, 8, 8), (2, 1, 16, 16), (0, 1, 8, 8)):
        with pytest.raises(RunError, match=r"images are \(.*\); allowed: \(N, 1, 8, 8\)"):
            judge.classify(torch.zeros(shape))


def test_images_are_classified_as_floats_or_bytes(run: Run) -> None:
    model = gan.load(run.path)
    pictures = np.random.default_rng(0).integers(0, 256, (300, 1, 8, 8), dtype=np.uint8)
    logits = model.classify(pictures)
    assert logits.shape == (300, 10)
    scaled = batches.to_unit(torch.from_numpy(pictures))
    assert torch.equal(logits, model.classify(scaled))
    expected = evaluation.predict(lambda x: model.critic(x)[1], pictures, torch.device("cpu"))
    assert torch.equal(logits, expected)


def test_loading_leaves_the_users_random_numbers_alone(run: Run) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    gan.load(run.path)
    assert torch.equal(torch.rand(3), expected)


def test_neither_the_images_nor_the_jobs_are_needed(
    tmp_path: Path, tiny_acgan: ACGANConfig
) -> None:
    (tmp_path / "pictures").mkdir()
    for number in range(20):
        Image.effect_noise((8, 8), 50).convert("RGB").save(tmp_path / "pictures" / f"{number}.png")
    config = replace(
        tiny_acgan,
        data=replace(tiny_acgan.data, name="folder", root=str(tmp_path / "pictures")),
        train=replace(tiny_acgan.train, batch_size=4),
        game=replace(tiny_acgan.game, auxiliary=False),
    )
    made_run(tmp_path / "run", config)
    shutil.rmtree(tmp_path / "pictures")
    program = (
        "import sys, gan; assert 'torch' not in sys.modules;"
        "model = gan.load('run'); assert model.sample(1).shape[2:] == (8, 8);"
        "assert not {'jobs', 'slurm', 'sklearn'} & sys.modules.keys()"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_damaged_checkpoints_are_passed_over_or_refused(run: Run, tiny_acgan: ACGANConfig) -> None:
    build_trainer(run.path, tiny_acgan, quiet()).train()
    state = run.store().path(44) / "state.pt"
    state.write_bytes(state.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="checkpoint skipped: .*step-00000044"):
        assert gan.load(run.path).step == 22
    with pytest.raises(CheckpointError, match="step-00000044"):
        gan.load(run.path, step=44)


def test_what_cannot_be_loaded_is_named(run: Run, tmp_path: Path, tiny_acgan: ACGANConfig) -> None:
    with pytest.raises(RunError, match=r"nothing is no run: it has no config\.json"):
        gan.load(tmp_path / "nothing")
    with pytest.raises(RunError, match=rf"is no run: .*; there are: {run.path}"):
        gan.load(tmp_path)
    young = Run(tmp_path / "young")
    young.write("x", tiny_acgan, gan.load(run.path).info, 1)
    with pytest.raises(RunError, match="young has no checkpoint yet"):
        gan.load(young.path)
    with pytest.raises(RunError, match="step is 3; allowed: none yet"):
        gan.load(young.path, step=3)
    pipeline = Run(tmp_path / "both")
    pipeline.write_pipeline("demo", ["classifier", "gan"], "comparison")
    with pytest.raises(
        RunError, match=r"holds several runs; allowed: one of them, as .*both/class"
    ):
        gan.load(pipeline.path)
    other = Run(tmp_path / "other")
    other.write("x", replace(tiny_acgan, seed=1), gan.load(run.path).info, 1)
    shutil.copytree(run.checkpoints, other.checkpoints)
    with pytest.raises(CheckpointError, match="belongs to another config"):
        gan.load(other.path, step=3)
    run.config_file.write_text(run.config_file.read_text().replace('"format": 1', '"format": 9'))
    with pytest.raises(RunError, match="has format 9; this version reads format 1"):
        gan.load(run.path)


def test_weights_of_another_network_are_refused(run: Run) -> None:
    """The classes stand in no setting: that data of others were used is seen in the weights."""
    text = run.config_file.read_text().replace('"channels": 1', '"channels": 3')
    run.config_file.write_text(text)
    with pytest.raises(CheckpointError) as error:
        gan.load(run.path)
    told = str(error.value).partition("step-00000003 ")[2]
    assert told == (
        "is of another network: in its generator, conv8.weight is (1, 4, 3, 3) where the config "
        "makes it (3, 4, 3, 3); conv8.bias is (1,) where the config makes it (3,)"
    )


def test_of_many_tensors_that_do_not_fit_a_few_are_named(run: Run, tiny_acgan: ACGANConfig) -> None:
    wider = replace(tiny_acgan, model=replace(tiny_acgan.model, width=6))
    variant = variants.build(wider, data_sets.inspect(wider.data), torch.device("cpu"))
    stream = io.BytesIO()
    torch.save({"variant": variant.state()}, stream)
    run.store().commit(4, stream.getbuffer())
    named = r"in its generator, fc1\.0\.weight is \(96, 100\) where .*; and \d+ more$"
    with pytest.raises(CheckpointError, match=named) as error:
        gan.load(run.path)
    assert len(str(error.value).partition(" is of another")[2]) < 400


def test_a_generator_on_batch_statistics_makes_one_image(tmp_path: Path) -> None:
    config = recipes.RECIPES["dcgan-digits"]()
    config = replace(config, model=replace(config.model, width=4))
    model = gan.load(made_run(tmp_path / "run", config, steps=1).path)
    few, many = model.sample(1), model.sample(200)
    assert many.shape == (200, 1, 16, 16)
    assert torch.equal(few, many[:1])
    assert torch.equal(model.sample(150), many[:150])
    assert few.std() > 0
