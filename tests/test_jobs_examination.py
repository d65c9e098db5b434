"""Measuring finished GANs: one, or all of a sweep, by a classifier of the same images."""

import csv
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gan import recipes, rng, samples
from gan.config import (
    ACGANConfig,
    ClassifierConfig,
    EncoderClassifierConfig,
    RunConfig,
    SimCLRConfig,
)
from gan.data import ring
from jobs import records, trained
from jobs.cli import main
from jobs.measuring import measure
from jobs.measuring.examination import Examination, plan
from jobs.pipeline import prepare
from jobs.report import Report
from jobs.reporting import figures
from jobs.run import Run, RunError
from jobs.sample import Sample
from jobs.sweep import Sweep, sweep
from jobs.train import Train


def finish(path: Path, config: RunConfig | Sweep) -> Run:
    """A run with all its networks' stages done."""
    run = prepare("tiny", config, path, 1)
    for member in run.members().values():
        assert Train(member.path)() == "finished"
        if member.config().generates:
            assert Sample(member.path)() == "finished"
    return run


def shorter(config: RunConfig) -> RunConfig:
    return replace(config, train=replace(config.train, epochs=1, final_samples=60))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def judge(runs: Path, tiny_classifier: ClassifierConfig) -> Run:
    run = Run(runs / "judge")
    return run if run.exists else finish(run.path, shorter(tiny_classifier))


@pytest.fixture
def labelled(runs: Path, tiny_acgan: ACGANConfig) -> Run:
    run = Run(runs / "labelled")
    return run if run.exists else finish(run.path, shorter(tiny_acgan))


@pytest.fixture
def unlabelled(runs: Path, tiny_acgan: ACGANConfig) -> Run:
    run = Run(runs / "unlabelled")
    config = shorter(replace(tiny_acgan, game=replace(tiny_acgan.game, auxiliary=False)))
    return run if run.exists else finish(run.path, config)


def never() -> None:
    return None


def test_figures_become_the_runs_record_and_its_report(
    judge: Run, labelled: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Report(labelled.path)() == "finished"
    assert "Frechet" not in labelled.report_file.read_text()
    arguments = ["evaluate", "labelled", "--judge", "judge", "--runs", str(judge.path.parent)]
    assert main(arguments) == 0
    figures = records.completion(labelled, "evaluate")["result"]
    assert figures["judge_sha256"] == trained.load(judge).checksum
    assert figures["generator_sha256"] == trained.load(labelled).checksum
    assert figures["generated_images"] == 60
    for key in ("generated_distance", "floor_distance"):
        assert (figures[key]["first_count"], figures[key]["second_count"]) == (1438, 60)
    frechet = figures["generated_distance"]["frechet"]
    assert frechet > figures["floor_distance"]["frechet"]
    assert f"Frechet distance {frechet:.3f}" in capsys.readouterr().out
    text = labelled.report_file.read_text()
    assert f"{frechet:.3f}" in text
    assert f"{100 * figures['gan_test_accuracy']:.1f} %" in text
    assert main(["verify", str(labelled.path)]) == 0


def test_accuracies_are_those_of_the_networks_and_the_images(judge: Run, labelled: Run) -> None:
    figures = measure.measure(trained.load(labelled), measure.Judge(trained.load(judge), never))
    classifier, gan = trained.load(judge), trained.load(labelled)
    by_hand = {}
    for name, model, images, labels in (
        ("classifier_test_accuracy", classifier, classifier.data.test_images, None),
        ("discriminator_test_accuracy", gan, classifier.data.test_images, None),
        ("gan_test_accuracy", classifier, samples.read(labelled.generated_file), None),
    ):
        if isinstance(images, samples.Samples):
            images, labels = images.images[0].transpose(0, 3, 1, 2), images.labels
        expected = classifier.data.test_labels if labels is None else labels
        logits = measure.Applied(model, never).logits(images)
        by_hand[name] = float(np.mean(logits.argmax(1).numpy() == expected))
    assert {name: figures[name] for name in by_hand} == pytest.approx(by_hand)
    by_class = figures["gan_test_accuracy_by_class"]
    assert list(by_class) == list("0123456789")
    assert np.mean(list(by_class.values())) == pytest.approx(figures["gan_test_accuracy"])


def test_without_classes_no_accuracy_is_shown(judge: Run, unlabelled: Run) -> None:
    assert Report(unlabelled.path)() == "finished"
    assert plan(unlabelled, judge, None, judge.path.parent)() == 0
    figures = records.completion(unlabelled, "evaluate")["result"]
    assert not {"gan_test_accuracy", "discriminator_test_accuracy"} & figures.keys()
    text = unlabelled.report_file.read_text()
    assert "Frechet distance: generated" in text
    assert "GAN-test" not in text
    assert "accuracy of the discriminator" not in text


def test_more_images_are_made_as_the_first_ones_were(judge: Run, labelled: Run) -> None:
    model = trained.load(labelled)
    images, labels = measure._generated(model, 100, never)
    stored = samples.read(labelled.generated_file)
    assert images.shape == (100, 1, 8, 8)
    assert np.array_equal(images[:60].transpose(0, 2, 3, 1), stored.images[0])
    assert labels.tolist() == list(range(10)) * 10
    assert np.array_equal(measure._generated(model, 7, never)[0], images[:7])


def test_noise_of_more_images_begins_with_that_of_fewer() -> None:
    draws = rng.Draws(3, 0)
    for draw in (draws.normal, draws.uniform):
        many = draw(rng.Stream.SAMPLE, 500, 17)
        assert many[:99].equal(draw(rng.Stream.SAMPLE, 99, 17))


def test_count_is_of_both_sides(judge: Run, labelled: Run) -> None:
    assert plan(labelled, judge, 80, judge.path.parent)() == 0
    figures = records.completion(labelled, "evaluate")["result"]
    assert figures["generated_images"] == figures["count"] == 80
    assert figures["generated_distance"]["second_count"] == 80
    assert figures["floor_distance"]["second_count"] == 80


@pytest.fixture
def swept(runs: Path, tiny_acgan: ACGANConfig) -> Run:
    run = Run(runs / "swept")
    if run.exists:
        return run
    axes = ["seed=0,1", "optim.learning-rate=1e-3,1e-6"]
    run = prepare("tiny", sweep(shorter(tiny_acgan), axes), run.path, 1)
    for member in list(run.members().values())[:3]:
        Train(member.path)()
        Sample(member.path)()
    return run


def test_a_sweep_is_ranked_by_its_frechet_distances(
    judge: Run, swept: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan(swept, judge, None, judge.path.parent)() == 1  # one run is not finished
    said = capsys.readouterr().out
    with (swept.path / "ranking.csv").open() as file:
        rows = list(csv.DictReader(file))
    distances = [float(row["Frechet distance"]) for row in rows[:3]]
    assert distances == sorted(distances)
    names = [row["run"] for row in rows]
    assert names[3] == "seed-1_optim.learning_rate-1e-6"
    assert "stage train of" in rows[3]["why not"]
    for row in rows[:3]:
        record = records.completion(Run(swept.path / row["run"]), "evaluate")["result"]
        assert row["Frechet distance"] == f"{record['generated_distance']['frechet']:.3f}"
    assert {(row["seed"], row["optim.learning_rate"]) for row in rows} == {
        ("0", "0.001"), ("0", "1e-06"), ("1", "0.001"), ("1", "1e-06"),
    }  # fmt: skip
    page = (swept.path / "ranking.md").read_text()
    assert f"classifier {judge.path}" in page
    assert all(f"| {name} |" in page for name in names)
    assert said.index(names[0], said.index("rank ")) < said.index(names[1], said.index("rank "))


def test_told_to_stop_it_leaves_whole_records_and_goes_on(
    judge: Run, swept: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for member in swept.members().values():
        records.withdraw(member, "evaluate")
    (swept.path / "ranking.md").unlink(missing_ok=True)
    examination = plan(swept, judge, None, judge.path.parent)
    calls: list[str] = []
    whole = measure.measure

    def interrupted(model: trained.Trained, *arguments: object) -> dict:
        calls.append(model.run.path.name)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return whole(model, *arguments)

    monkeypatch.setattr(measure, "measure", interrupted)
    assert examination() == 128 + signal.SIGINT
    assert "interrupted; the same command goes on, 1 of 4 runs are done" in capsys.readouterr().out
    members = swept.members()
    recorded = [name for name, m in members.items() if records.completion(m, "evaluate")]
    assert recorded == calls[:1]
    assert not (swept.path / "ranking.md").exists()
    assert examination() == 1
    assert calls[2:] == [calls[1], list(members)[2]]  # the first was not measured again
    assert (swept.path / "ranking.md").is_file()


@pytest.fixture
def rings(runs: Path) -> Run:
    """A sweep over two seeds on the ring of Gaussians."""
    run = Run(runs / "rings")
    base = recipes.ring()
    config = replace(base, train=replace(base.train, epochs=1, passes_per_epoch=1))
    return run if run.exists else finish(run.path, sweep(config, ["seed=0,1"]))


def test_modes_of_a_ring_are_counted_without_a_judge(
    judge: Run, rings: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = judge.path.parent
    with pytest.raises(RunError, match="rings has points, whose modes are counted; allowed: no"):
        plan(rings, judge, None, folder)
    assert main(["evaluate", "rings", "--runs", str(folder)]) == 0
    said = capsys.readouterr().out
    members = rings.members()
    results = {name: records.completion(m, "evaluate")["result"] for name, m in members.items()}
    for name, member in members.items():
        points = ring.points_of(samples.read(member.generated_file).images[0])
        found = ring.coverage(points)
        assert results[name]["modes_found"] == found.modes
        assert results[name]["high_quality"] == found.quality
        assert results[name]["generated_images"] == len(points) == 1000
        assert results[name]["floor_high_quality"] == pytest.approx(0.989, abs=0.005)
        assert f"{found.modes} of 8 modes found" in said
    with (rings.path / "ranking.csv").open() as file:
        ranked = [row["run"] for row in csv.DictReader(file)]
    assert ranked == sorted(
        results, key=lambda n: (-results[n]["modes_found"], -results[n]["high_quality"])
    )
    assert (
        "Modes of the ring found by 1000 generated points"
        in (rings.path / "ranking.md").read_text()
    )
    member = members[ranked[0]]
    assert Report(member.path)() == "finished"
    assert f"{results[ranked[0]]['modes_found']} of 8" in member.report_file.read_text()


def test_figures_of_earlier_weights_are_not_shown(judge: Run, labelled: Run) -> None:
    plan(labelled, judge, None, judge.path.parent)()
    assert any("Frechet" in row.name for row in figures.rows(labelled))
    record = records.completion(labelled, "evaluate")
    records.complete(labelled, "evaluate", [], record["result"] | {"generator_sha256": "0" * 64})
    assert not any("Frechet" in row.name for row in figures.rows(labelled))
    records.complete(labelled, "evaluate", [], record["result"])


@pytest.fixture
def refuses(judge: Run, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def call(*arguments: str) -> str:
        before = sorted(judge.path.parent.rglob("*"))
        assert main(["evaluate", *arguments, "--runs", str(judge.path.parent)]) == 2
        assert sorted(judge.path.parent.rglob("*")) == before
        return capsys.readouterr().err

    return call


def test_what_cannot_be_measured_is_refused_by_name(
    judge: Run, labelled: Run, tiny_classifier: ClassifierConfig, refuses: Callable[..., str]
) -> None:
    said = refuses("labelled")
    assert f"--judge, a finished classifier of the same images; there are: {judge.path}" in said
    assert "judge makes no images; allowed: a run with a generator" in refuses("judge")
    said = refuses("labelled", "--judge", "labelled", "--count", "3")
    assert "count is 3; allowed: 4 to 359, the number of held-out images in digits" in said
    assert "count is 360; allowed: 4 to 359" in refuses(
        "labelled", "--judge", "judge", "--count", "360"
    )
    folder = judge.path.parent
    split = replace(tiny_classifier.data, test_fraction=0.5, image_size=16)
    prepare("tiny", replace(tiny_classifier, data=split), folder / "young", 1)
    assert "stage train of" in refuses("labelled", "--judge", "young")
    assert "young makes no images" in refuses("young", "--judge", "judge")


def test_a_judge_of_other_images_is_refused_by_name(
    judge: Run, labelled: Run, tiny_classifier: ClassifierConfig, tmp_path: Path
) -> None:
    config = shorter(tiny_classifier)
    other = replace(config, data=replace(config.data, image_size=16, test_fraction=0.5))
    stranger = finish(tmp_path / "stranger", replace(other, train=config.train))
    with pytest.raises(RunError) as caught:
        plan(labelled, stranger, None, tmp_path)
    told = str(caught.value)
    assert f"{stranger.path} has seen other images than {labelled.path}" in told
    assert "train_count 899 and 1438" in told or "train_count 898 and 1438" in told
    assert "image_size 16 and 8" in told


def test_a_judge_that_names_no_classes_is_refused(labelled: Run, unlabelled: Run) -> None:
    with pytest.raises(RunError, match="unlabelled, which names no classes; allowed: a classifier"):
        Examination(labelled, unlabelled)()


def test_an_encoder_with_a_linear_layer_may_judge_too(
    tmp_path: Path, labelled: Run, tiny_encoder: EncoderClassifierConfig
) -> None:
    """Its features are what its last layer sees: that layer alone makes its answers of them."""
    judge = finish(tmp_path / "encoder", shorter(tiny_encoder))
    assert plan(labelled, judge, 40, tmp_path)() == 0
    figures = records.completion(labelled, "evaluate")["result"]
    assert figures["judge_sha256"] == trained.checksum(judge)
    applied = measure.Applied(trained.load(judge), never)
    images = applied.model.data.test_images[:9]
    last = applied.model.variant.networks["classifier"].head[-1]
    torch.testing.assert_close(last(applied.features(images)), applied.logits(images))


def test_without_labels_nobody_judges(
    tmp_path: Path, labelled: Run, tiny_simclr: SimCLRConfig
) -> None:
    pretrained = finish(tmp_path / "simclr", shorter(tiny_simclr))
    with pytest.raises(RunError, match="simclr, which names no classes; allowed: a classifier"):
        Examination(labelled, pretrained)()


def test_a_pipeline_is_told_to_measure_itself(tmp_path: Path, judge: Run) -> None:
    from jobs import pipeline

    demo = prepare("demo", pipeline.demo(), tmp_path / "demo", 2)
    with pytest.raises(RunError, match=r"demo is a pipeline, .*, as .*/demo/gan$"):
        plan(demo, judge, None, tmp_path)
    with pytest.raises(RunError, match=r"judge is .*demo; allowed: one run, as .*classifier"):
        plan(Run(judge.path.parent / "labelled"), demo, None, tmp_path)
