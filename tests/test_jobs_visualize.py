"""A pipeline whose networks can do less than S0's: what cannot be drawn or measured is left out."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import s0_step
import small_networks
import torch
import untrained
from PIL import Image
from small_networks import KINDS

from gan import batches, recipes
from gan.config import DataConfig, GANConfig, RunConfig
from gan.visual.maximisation import Ascent
from gan.visual.refined import Refined
from jobs import pipeline, records, report, trained
from jobs.drawing import maximising
from jobs.drawing.maximising import chosen_layers, file_name
from jobs.drawing.subject import Drawn, Subject
from jobs.pipeline import prepare, stages
from jobs.run import Run
from jobs.views import Views
from jobs.visualize import Visualize


def _short(config: RunConfig) -> RunConfig:
    train = replace(config.train, epochs=1, passes_per_epoch=1, final_samples=40)
    return replace(config, train=train, model=replace(config.model, width=2))


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All of `dcgan-digits-judged`, small: a GAN without classes, critics without S0's layers."""
    chosen = pipeline.dcgan_digits_judged()
    chosen = replace(chosen, classifier=_short(chosen.classifier), gan=_short(chosen.gan))
    run = prepare("dcgan-digits-judged", chosen, tmp_path_factory.mktemp("runs") / "judged", 1)
    for stage in stages(run):
        assert stage.job() == "finished"
    return run


def test_what_a_network_cannot_do_is_left_out(judged: Run) -> None:
    drawn = records.require(judged, "visualize")
    layers = [f"{rule}-body.{place}.png" for place in (0, 3) for rule in ("max", "refined")]
    of_both = [*layers, "receptive.svg"]
    of_classes = [
        "altered.png", "attacked.png", "attacks.svg", "gradients.png", "line.svg",
        "max-class.png", "real.png", "refined-class.png",
    ]  # fmt: skip
    assert sorted(drawn["outputs"]) == sorted(
        [f"figures/classifier-{title}" for title in of_classes + of_both]
        + [f"figures/gan-{title}" for title in of_both]
    )
    facts = drawn["result"]
    assert facts["gan"]["layers"] == facts["classifier"]["layers"] == ["body.0", "body.3"]
    assert "epsilon" not in facts["gan"]
    assert [table["title"] for table in facts["gan"]["tables"]] == ["Responses of channels"]
    with Image.open(judged.figures / "classifier-max-class.png") as picture:
        assert picture.size == ((10 * 18 + 2) * 4, (18 + 2) * 4)
    with Image.open(judged.figures / "gan-max-body.3.png") as picture:  # 4 channels
        assert picture.size == ((2 * 18 + 2) * 4, (2 * 18 + 2) * 4)
        assert picture.text["weights_sha256"] == facts["gan"]["weights_sha256"]
        assert "made by raising the response" in picture.text["Description"]


def test_the_figures_of_s0s_step_are_kept_by_name(judged: Run) -> None:
    facts = records.require(judged, "visualize")["result"]["classifier"]
    assert (facts["epsilon"], facts["images"], facts["iterated_images"]) == (8, 359, 256)
    steps = facts["by_epsilon"]
    assert [step["epsilon"] for step in steps] == [1, 2, 4, 16, 32]
    model = trained.load(judged.members()["classifier"])
    images = batches.to_unit(torch.from_numpy(model.data.test_images))
    labels = torch.from_numpy(model.data.test_labels)
    control = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    for step in [*steps, facts]:
        known = s0_step.perturb(model.variant.classify, images, labels, control, step["epsilon"])
        for name in ("accuracy_before", "accuracy_after", "hit_rate"):
            assert step[name] == pytest.approx(getattr(known, name)), name
        assert step["control_accuracy"] == pytest.approx(known.control_accuracy, abs=0.1)
    table = facts["tables"][0]
    assert [row[0] for row in table["rows"]] == [f"{n}/255" for n in (1, 2, 4, 8, 16, 32)]
    assert table["rows"][3][1:3] == [facts["accuracy_after"], facts["hit_rate"]]
    assert table["rows"][3][-1] == facts["control_accuracy"]
    assert len(table["columns"]) == len(table["units"]) == len(table["rows"][0])


def test_both_rules_are_compared_where_their_logits_are_equal(judged: Run) -> None:
    facts = records.require(judged, "visualize")["result"]["classifier"]
    _, classes, channels = facts["tables"]
    assert [row[0] for row in classes["rows"]] == list("0123456789")
    for _, before, plain, refined, level, *rough in classes["rows"]:
        assert before < min(plain, refined)
        assert before < level <= max(plain, refined) + 1e-3
        assert all(0 < value < 2 for value in rough)
    assert [row[:2] for row in channels["rows"]] == [["body.0", 2], ["body.3", 4]]
    for _, _, before, plain, refined, *_ in channels["rows"]:
        assert before < min(plain, refined)


def test_the_report_shows_no_figure_that_was_not_measured(judged: Run) -> None:
    figures = records.require(judged, "evaluate")["result"]
    text = report.render(judged, dict.fromkeys(judged.members(), b"<svg/>"))
    assert f"{100 * figures['classifier_test_accuracy']:.1f} %" in text
    assert f"{figures['generated_distance']['frechet']:.3f}" in text
    assert "What is missing" not in text
    for absent in ("GAN-test", "accuracy of the discriminator", "each column is one class"):
        assert absent not in text
    assert "It names no classes" in text
    sizes = [text.index(f'<th scope="row">{size}/255</th>') for size in (1, 2, 4, 8, 16, 32)]
    assert sizes == sorted(sizes)
    assert "What the classifier sees" in text
    assert "The same layers side by side" in text
    assert "Largest response of each channel of body.3, after its activation, in the disc" in text
    assert "unknown" not in text


def test_s0s_layers_are_drawn_as_far_as_there_are_any() -> None:
    of_32 = [f"conv{n}" for n in range(1, 9)]
    usual = ["conv2", "conv3", "conv4", "conv6", "conv8"]
    assert chosen_layers(of_32, (), of_s0=True) == usual
    assert chosen_layers(["conv1", "conv3", "conv5", "last"], (), of_s0=True) == ["conv3", "last"]
    assert chosen_layers(of_32, (), of_s0=False) == of_32
    assert chosen_layers(of_32, ("conv5", "conv1", "body.0"), of_s0=True) == ["conv1", "conv5"]
    assert chosen_layers([], (), of_s0=True) == []


def test_a_layers_name_becomes_a_part_of_a_file_s() -> None:
    assert file_name("encoder.body.layer1.0.conv1") == "encoder.body.layer1.0.conv1"
    assert file_name("a/../b c") == "a-..-b-c"


EACH = ("real", "gradients", "altered", "attacked", "max-class", "refined-class")
PLOTS = ("attacks", "line")
SIZED = [
    *((*kind, None) for kind in KINDS), ("acgan", 32, 1, False), ("acgan", 64, 3, True),
    ("dcgan_lab", 28, 3, True), ("cats", 64, 1, None), ("mlp_gan", 28, 1, None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "side", "channels", "auxiliary"), SIZED)
def test_networks_of_all_kinds_are_drawn(
    name: str, side: int, channels: int, auxiliary: bool | None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """By fewer iterations than usual; the same bytes every time."""
    monkeypatch.setattr(maximising, "_class_rules", lambda _: (Ascent(3), Refined(4)))
    colours = "rgb" if channels == 3 else "grey"
    images = DataConfig(image_size=side, channels=colours, test_fraction=0.02)
    config = small_networks.tiny_config(name, images)
    if isinstance(config, GANConfig) and auxiliary is not None:
        config = replace(config, game=replace(config.game, auxiliary=auxiliary))
    run = untrained.finish(untrained.made(tmp_path / "run", config))
    assert Visualize(run.path)() == "finished"
    record = records.require(run, "visualize")
    facts = record["result"][""]
    found = {Path(output).name for output in record["outputs"]}
    expected = {f"{rule}-{layer}.png" for layer in facts["layers"] for rule in ("max", "refined")}
    if facts["convolutions"]:
        expected.add("receptive.svg")
    if trained.load(run).variant.classifies:
        expected |= {f"{title}.png" for title in EACH} | {f"{title}.svg" for title in PLOTS}
    assert found == expected
    assert bool(facts["layers"]) == (name != "mlp_gan")
    for title in found:
        if title.endswith(".png"):
            with Image.open(run.figures / title) as picture:
                assert picture.mode == ("RGB" if channels == 3 else "L"), title
    text = report.render(run, {"": b"<svg/>"})
    assert "unknown" not in text
    assert text.count("<figure") == len(found) + 1
    records.withdraw(run, "visualize")
    assert Visualize(run.path)() == "finished"
    assert records.require(run, "visualize")["outputs"] == record["outputs"]


def test_of_points_nothing_is_drawn(tmp_path: Path) -> None:
    config = recipes.ring()
    run = untrained.finish(untrained.made(tmp_path / "run", config))
    assert Visualize(run.path)() == "finished"
    record = records.require(run, "visualize")
    assert record["outputs"] == {}
    assert record["result"][""]["points"]
    assert "It sees points and no pictures" in report.render(run, {"": b"<svg/>"})


def test_before_the_activation_responses_are_others(tmp_path: Path) -> None:
    images = DataConfig(image_size=8, test_fraction=0.02)
    run = untrained.made(tmp_path / "run", small_networks.tiny_config("classifier", images))
    model = trained.load(untrained.finish(run))
    of = {}
    for before in (False, True):
        subject = Subject(model, Views(("conv8",), before), lambda: None, print)
        drawn = Drawn()
        maximising.draw(subject, drawn)
        of[before] = drawn
    assert [drawn.facts["taken"] for drawn in of.values()] == ["after", "before"]
    assert of[False].files["max-class.png"] == of[True].files["max-class.png"]
    assert of[False].files["max-conv8.png"] != of[True].files["max-conv8.png"]


def test_a_folder_that_cannot_be_written_is_told_in_words(
    judged: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Run(tmp_path / "copy")
    shutil.copytree(judged.path, copy.path)
    records.withdraw(copy, "visualize")
    shutil.rmtree(copy.figures)
    copy.figures.write_bytes(b"a file")
    with pytest.raises(SystemExit) as ended:
        stages(copy)[-2].job()
    assert ended.value.code == 1
    known = records.latest(copy, "visualize")
    assert known is not None
    assert known["cause"] == "cannot write"
    assert known["error"] == (
        f"{copy.figures} cannot be written: {copy.figures} is a file; allowed: a folder"
    )
    told = capsys.readouterr().out
    assert "visualize ended: cannot write: " in told
    assert "Traceback" not in told
    assert copy.figures.read_bytes() == b"a file"


def test_told_to_stop_it_has_written_no_record(
    judged: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records.withdraw(judged, "visualize")
    monkeypatch.setenv("GANYMEDE_MINUTES", "0.01")  # less than the margin before a time limit
    job = stages(judged)[-2].job
    assert job() == "time limit"
    assert records.completion(judged, "visualize") is None
    monkeypatch.delenv("GANYMEDE_MINUTES")
    assert job() == "finished"


PAIRS = {
    name: chosen
    for name, make in pipeline.PIPELINES.items()
    if isinstance(chosen := make(), pipeline.Comparison)
}


@pytest.mark.parametrize("name", PAIRS)
def test_pipelines_compare_networks_of_the_same_images(name: str) -> None:
    ours, theirs = PAIRS[name].classifier.data, PAIRS[name].gan.data
    assert (ours.name, ours.image_size) == (theirs.name, theirs.image_size)
