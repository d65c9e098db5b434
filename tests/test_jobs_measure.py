"""What is measured of a GAN, on images that are put in the place of its own."""

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan import metrics, samples
from gan.config import ACGANConfig, ClassifierConfig
from gan.data.images import chosen
from jobs import records, report, trained
from jobs.measuring import learned, measure, snapshots
from jobs.measuring.judge import Judge
from jobs.measuring.sampled import Sampled
from jobs.pipeline import prepare
from jobs.reporting import gallery, recorded
from jobs.run import Run
from jobs.sample import Sample
from jobs.stage import Result, Stopped
from jobs.train import Train

SNAPSHOTS = 2


def never() -> None:
    return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def judge(folder: Path, tiny_classifier: ClassifierConfig) -> Judge:
    run = Run(folder / "judge")
    if not run.exists:
        prepare("tiny", tiny_classifier, run.path, 1)
        assert Train(run.path)() == "finished"
    return Judge(trained.load(run), never)


@pytest.fixture
def gan(folder: Path, tiny_acgan: ACGANConfig, tmp_path: Path) -> Run:
    run = Run(folder / "gan")
    if not run.exists:
        config = replace(tiny_acgan, train=replace(tiny_acgan.train, final_samples=60))
        prepare("tiny", config, run.path, 1)
        assert Train(run.path)() == "finished"
        assert Sample(run.path)() == "finished"
    shutil.copytree(run.path, tmp_path / "gan")
    return Run(tmp_path / "gan")


def pretend(run: Run, images: np.ndarray, labels: np.ndarray) -> None:
    """Have the run's samples be these images (N, C, S, S)."""
    content = samples.pack_bytes(images.transpose(0, 2, 3, 1)[None], labels, np.array([1]), {})
    run.generated_file.write_bytes(content)


def sampled(run: Run, judge: Judge) -> Sampled:
    return Sampled(trained.load(run, judge.model.data), judge, run)


def test_the_floor_is_of_the_same_classes(gan: Run, judge: Judge) -> None:
    data = judge.model.data
    labels = np.repeat([3, 7], [15, 5])
    pretend(gan, data.train_images[:20], labels)
    found = measure.measure(sampled(gan, judge)).figures
    tests = data.test_labels
    threes, sevens = (np.flatnonzero(tests == k) for k in (3, 7))
    rows = np.concatenate([threes[chosen(len(threes), 15)], sevens[chosen(len(sevens), 5)]])
    alike = metrics.compare(judge.training, judge.held_out.rows(np.sort(rows)), 0)
    assert found["floor_distance"] == asdict(alike.distances)
    assert found["floor_support"] == asdict(alike.support)
    anyhow = judge.held_out.rows(chosen(len(tests), 20))
    assert metrics.distances(judge.training.features, anyhow.features) != alike.distances
    assert found["by_class"].keys() == {"3", "7"}
    assert found["by_class"]["7"]["floor_distance"]["second_count"] == 5


def test_training_images_given_back_are_a_warning(gan: Run, judge: Judge) -> None:
    data = judge.model.data
    pretend(gan, data.train_images[:60], data.train_labels[:60])
    result = measure.measure(sampled(gan, judge))
    records.complete(gan, "evaluate", result.outputs, result.figures)
    for way in ("pixels", "features"):
        found = result.figures["memorisation"][way]
        assert found["copies"]
        assert found["median"] == 0
        assert found["nearer"]["share"] == 1
    (warning,) = recorded.readings(recorded.records_of(gan))
    assert warning.name == "training images given back"
    assert "In pixels: " in warning.seen
    assert "In features: " in warning.seen
    page = report.render(gan, {"": b"<svg/>"})
    assert gallery.MEMORISED in page
    assert f"In pixels: {result.figures['memorisation']['pixels']['statement']}" in page
    with Image.open(gan.figures / "nearest-pixels.png") as picture:
        assert "real images of a data set beside ones generated" in picture.text["Description"]
        assert picture.text["weights_sha256"] == trained.checksum(gan)
        assert picture.size == ((6 * 10 + 2) * 8, (8 * 10 + 2) * 8)
        small = np.asarray(picture)[4::8, 4::8]
    assert np.array_equal(small[:, 2:10], small[:, 12:20])  # a sample, and the same real image
    assert not np.array_equal(small[:, 2:10], small[:, 22:30])


def test_real_images_that_are_new_are_no_warning(gan: Run, judge: Judge) -> None:
    data = judge.model.data
    pretend(gan, data.test_images, data.test_labels)
    figures = measure.measure(sampled(gan, judge)).figures
    assert "warnings" not in figures
    assert not any(found["copies"] for found in figures["memorisation"].values())
    for part in ("distance", "support", "score"):
        assert figures[f"generated_{part}"] == figures[f"floor_{part}"]
    assert figures["gan_test_accuracy"] == figures["classifier_test_accuracy"]


def test_what_is_learned_from_real_images_is_the_ceiling(gan: Run, judge: Judge) -> None:
    data = judge.model.data
    rows = chosen(len(data.train_labels), 200)
    pretend(gan, data.train_images[rows], data.train_labels[rows])
    found = learned.teach(sampled(gan, judge))["classification_score"]
    assert found["generated"] == found["real"]
    assert found["real"]["train_count"] == 200
    assert found["guessing"] == np.bincount(data.test_labels).max() / len(data.test_labels)
    pretend(gan, data.train_images[rows], (data.train_labels[rows] + 1) % 10)
    found = learned.teach(sampled(gan, judge))["classification_score"]
    assert found["generated"]["accuracy"] < 0.1 < found["real"]["accuracy"]


def test_figures_over_training_are_those_of_the_snapshots(gan: Run, judge: Judge) -> None:
    result = snapshots.follow(sampled(gan, judge))
    history, stored = result.figures["history"], samples.read(gan.path / "samples.h5")
    assert history["steps"] == stored.steps.tolist()
    assert len(history["steps"]) == SNAPSHOTS
    assert history["images"] == result.figures["snapshot_images"] == len(stored.labels)
    last = judge.see(stored.images[-1].transpose(0, 3, 1, 2), stored.labels)
    expected = metrics.compare(judge.training, last)
    assert history["frechet"][-1] == expected.distances.frechet
    assert history["recall"][-1] == expected.support.recall
    assert len(set(history["frechet_of_real_images"])) == 1
    assert b"Precision and recall" in (gan.figures / "history.svg").read_bytes()
    one = samples.pack_bytes(stored.images[:1], stored.labels, stored.steps[:1], {})
    (gan.path / "samples.h5").write_bytes(one)
    assert snapshots.follow(sampled(gan, judge)) == Result()


def test_threads_are_those_of_the_judge(gan: Run, judge: Judge) -> None:
    """In a pipeline's job as afterwards, whichever network was loaded last."""
    measured = sampled(gan, judge)
    torch.set_num_threads(2)
    measure.measure(measured)
    assert torch.get_num_threads() == judge.model.run.settings()["threads"] == 1


@pytest.fixture
def stops_after() -> Callable[[int], Callable[[], str | None]]:
    def make(calls: int) -> Callable[[], str | None]:
        left = iter(range(calls))
        return lambda: None if next(left, None) is not None else "terminated"

    return make


@pytest.mark.parametrize("calls", [0, 20, 60, 100])
def test_it_stops_when_told_to(
    calls: int, gan: Run, judge: Judge, stops_after: Callable[[int], Callable[[], str | None]]
) -> None:
    """In any part of the work."""
    told = Judge(judge.model, stops_after(calls))
    with pytest.raises(Stopped, match="terminated"):
        measure.measure(sampled(gan, told))
