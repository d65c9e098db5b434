"""FID of a pipeline: the file is looked at before anything begins, and may be given later."""

from dataclasses import replace
from pathlib import Path

import inception_weights
import pytest
import reports
import torch

from gan.config import ConfigError, RunConfig
from jobs import pipeline, records, trained, views
from jobs.cli import main
from jobs.measuring.examination import Examination
from jobs.measuring.published import Published
from jobs.measuring.ranking import Measured
from jobs.pipeline import Comparison, prepare, stages
from jobs.reporting import figures
from jobs.run import Run
from jobs.stage import EXIT_STATUS
from jobs.views import Views

IMAGES = 4  # for the network; each kind


def short(config: RunConfig) -> RunConfig:
    train = replace(config.train, epochs=2, passes_per_epoch=1, final_samples=40)
    data = replace(config.data, image_size=8)
    return replace(config, data=data, train=train, model=replace(config.model, width=4))


def small() -> Comparison:
    chosen = pipeline.demo()
    return replace(chosen, classifier=short(chosen.classifier), gan=short(chosen.gan))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inception_weights.write(tmp_path_factory.mktemp("weights") / "inception.pth")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All that goes before the evaluation."""
    run = prepare("demo", small(), tmp_path_factory.mktemp("runs") / "demo", 1)
    for stage in stages(run):
        if stage.name in ("train", "sample"):
            assert stage.job() == "finished"
    return run


def evaluated(run: Run) -> dict:
    return records.require(run, "evaluate")["result"]


def evaluate(run: Run, *more: str) -> int:
    return main(["evaluate", run.path.name, "--runs", str(run.path.parent), *more])


@pytest.fixture
def measured(run: Run) -> Run:
    if not records.completion(run, "evaluate"):
        (job,) = (stage.job for stage in stages(run) if stage.name == "evaluate")
        assert job() == "finished"
    return run


def test_a_wrong_file_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.pth"
    torch.save({"fc.weight": torch.zeros(1000, 2048)}, other)
    missing = tmp_path / "none.pth"
    folder = ["--runs", str(tmp_path / "runs"), "--here"]
    for path, said in ((missing, "there is no such file"), (other, "allowed: the 1,008-class")):
        assert main(["run", "demo", *folder, "--inception-weights", str(path)]) == 2
        assert f"inception-weights is {path}: " in (told := capsys.readouterr().err)
        assert said in told
    assert not (tmp_path / "runs").exists()


def test_numbers_of_images_are_checked() -> None:
    for allowed in (0, 4, 1000):
        assert Views(inception_weights=Path("file"), inception_images=allowed).published
    assert Views().published is None
    with pytest.raises(ConfigError, match="inception-images is 3; allowed: 4 or more, or 0"):
        Published(Path("file"), 3)
    with pytest.raises(ConfigError, match="inception-images is given without"):
        Views(inception_images=4)


def test_a_file_that_is_gone_when_the_job_begins_is_told(run: Run, weights: Path) -> None:
    gone = weights.with_name("gone.pth")
    before = run.settings()
    views.keep(run, Published(gone))
    try:
        (job,) = (stage.job for stage in stages(run) if stage.name == "evaluate")
        with pytest.raises(SystemExit) as left:
            job()
        assert left.value.code == EXIT_STATUS[records.Cause.REFUSED]
        error = records.latest(run, "evaluate")["error"]
        assert f"inception-weights is {gone}: there is no such file" in error
        assert records.completion(run, "evaluate") is None
    finally:
        run.write_pipeline(
            "demo", ["classifier", "gan"], "comparison", {"views": Views().as_json()}
        )
    assert run.settings() == before | {"views": Views().as_json()}


def test_a_pipeline_measures_by_its_own_classifier(measured: Run) -> None:
    found = evaluated(measured)
    members = measured.members()
    assert found["judge_sha256"] == trained.checksum(members["classifier"])
    assert found["generator_sha256"] == trained.checksum(members["gan"])
    assert "inception" not in found
    assert sorted(records.require(measured, "evaluate")["outputs"]) == [
        f"figures/gan-{name}"
        for name in ("history.svg", "nearest-features.png", "nearest-pixels.png")
    ]


def test_figures_on_record_are_not_made_again_unless_of_an_older_form(
    measured: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = records.require(measured, "evaluate")
    assert evaluate(measured) == 0
    assert records.require(measured, "evaluate") == whole
    older = {k: v for k, v in whole["result"].items() if k not in ("form", "generated_support")}
    records.complete(measured, "evaluate", [], older)
    assert evaluate(measured) == 0
    again = records.require(measured, "evaluate")
    assert again["result"] == whole["result"]
    assert again["outputs"] == whole["outputs"]  # bit by bit
    assert "precision" in capsys.readouterr().out


def test_fid_may_be_added_to_a_finished_pipeline(measured: Run, weights: Path) -> None:
    before = evaluated(measured)
    given = ["--inception-weights", str(weights), "--inception-images", str(IMAGES)]
    assert evaluate(measured, *given) == 0
    found = evaluated(measured)["inception"]
    assert found["sha256"] == Published(weights).check().sha256
    assert not found["published"]
    for side in ("generated", "floor"):
        assert (found[side]["first_count"], found[side]["second_count"]) == (IMAGES, IMAGES)
        assert found[side]["score"]["count"] == IMAGES
        assert found[side]["frechet"] > 0
    assert {k: v for k, v in evaluated(measured).items() if k != "inception"} == before
    rows = {row.name: row for row in figures.rows(measured)}
    assert f"file {found['sha256'][:12]}, not the published one" in rows["FID"].how
    assert rows["FID"].number == found["generated"]["frechet"]
    assert rows["Inception score"].floor == found["floor"]["score"]["mean"]
    # Kept, so that it is measured like that if it is ever done again; and not done twice.
    assert views.of(measured).published == Published(weights, IMAGES)
    finished = records.require(measured, "evaluate")
    assert evaluate(measured) == 0
    assert records.require(measured, "evaluate") == finished


def test_a_ranking_says_what_its_fid_is_of(run: Run) -> None:
    gan = run.members()["gan"]
    ranked = Examination(gan, gan, None)
    known = reports.evaluation(inception=reports.inception())
    told = ranked._how([Measured("one", gan, known)])
    assert told.endswith(
        "The column FID is on Inception (file 6726825d6726): 359 generated images against 1438 "
        "training images."
    )
    assert "FID is on" not in ranked._how([Measured("one", gan, reports.evaluation())])
