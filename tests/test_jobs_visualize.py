"""A pipeline whose networks can do less than S0's: what cannot be drawn or measured is left out."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from gan.config import RunConfig
from jobs import pipeline, records, report
from jobs.pipeline import prepare, stages
from jobs.run import Run
from jobs.visualize import _layers


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
    assert sorted(drawn["outputs"]) == [
        f"figures/classifier-{title}.png" for title in ("altered", "gradients", "max-class", "real")
    ]
    facts = drawn["result"]
    assert facts["gan"] == {"ascent": facts["classifier"]["ascent"], "layers": []}
    assert facts["classifier"]["layers"] == []
    assert facts["classifier"]["images"] == 359
    steps = facts["classifier"]["by_epsilon"]
    assert [step["epsilon"] for step in steps] == [1, 2, 4, 16]
    before = {step["accuracy_before"] for step in [*steps, facts["classifier"]]}
    assert len(before) == 1
    assert steps[-1]["hit_rate"] >= steps[0]["hit_rate"]
    with Image.open(judged.figures / "classifier-max-class.png") as picture:
        assert picture.size == ((10 * 18 + 2) * 4, (18 + 2) * 4)


def test_the_report_shows_no_figure_that_was_not_measured(judged: Run) -> None:
    figures = records.require(judged, "evaluate")["result"]
    text = report.render(judged, dict.fromkeys(judged.members(), b"<svg/>"))
    assert f"{100 * figures['classifier_test_accuracy']:.1f} %" in text
    assert f"{figures['generated_distance']['frechet']:.3f}" in text
    assert "What is missing" not in text
    for absent in ("GAN-test", "accuracy of the discriminator", "each column is one class"):
        assert absent not in text
    assert "It names no classes" in text
    sizes = [text.index(f'<th scope="row">{size}/255</th>') for size in (1, 2, 4, 8, 16)]
    assert sizes == sorted(sizes)
    assert "What the classifier sees" in text
    assert text.count("Its layers cannot be looked into") == 2


def test_s0s_layers_are_drawn_as_far_as_there_are_any() -> None:
    of_32 = tuple(f"conv{n}" for n in range(1, 9))
    assert _layers(of_32) == ["conv2", "conv3", "conv4", "conv6", "conv8"]
    assert _layers(("conv1", "conv3", "conv5", "last")) == ["conv3", "last"]
    assert _layers(()) == []


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
