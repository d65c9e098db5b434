"""Figures as numbers and as text: one row for the page, the paper and the table."""

import json
from pathlib import Path

import pytest
import reports

from gan.config import ACGANConfig
from jobs import records, report
from jobs.pipeline import prepare
from jobs.reporting import figures
from jobs.reporting.figures import Row
from jobs.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return reports.finished(tmp_path / "demo")


def test_numbers_go_with_their_text(run: Run) -> None:
    rows = {row.key: row for row in figures.rows(run)}
    told = {key: (row.number, row.unit, row.value, row.better) for key, row in rows.items()}
    assert told == {
        "classifier_test_accuracy": (0.9875, "share", "98.8 %", "higher"),
        "discriminator_test_accuracy": (0.75, "share", "75.0 %", "higher"),
        "gan_test_accuracy": (0.625, "share", "62.5 %", "higher"),
        "frechet_generated": (12.5, "", "12.500", "lower"),
        "kernel_generated": (0.25, "", "0.25 ± 0.125", "lower"),
        "frechet_floor": (2.0, "", "2.000", ""),
        "kernel_floor": (-0.0625, "", "-0.0625 ± 0.125", ""),
    }
    assert rows["kernel_floor"].spread == 0.125
    assert {(row.run, row.stage) for row in rows.values()} == {("demo", "evaluate")}
    assert all(row.how for row in rows.values())


def test_what_was_measured_on_something_else_is_told_apart(run: Run, tmp_path: Path) -> None:
    def bases(run: Run) -> dict[str, str]:
        return {row.key: row.basis for row in figures.rows(run)}

    ours = bases(run)
    judged = reports.finished(tmp_path / "judged", judge_sha256="f" * 64)
    differing = {key for key, basis in bases(judged).items() if basis != ours[key]}
    distances = {f"{k}_{which}" for k in ("frechet", "kernel") for which in ("generated", "floor")}
    assert differing == {"gan_test_accuracy", *distances}
    fewer = reports.distances(12.5, 0.25, 0.125) | {"second_count": 100}
    smaller = reports.finished(tmp_path / "smaller", generated_distance=fewer)
    differing = {key for key, basis in bases(smaller).items() if basis != ours[key]}
    assert differing == {"frechet_generated", "kernel_generated"}


def test_without_an_evaluation_training_tells(run: Run) -> None:
    records.withdraw(run, "evaluate")
    rows = figures.rows(run)
    assert [(row.key, row.name, row.run, row.stage, row.number) for row in rows] == [
        ("test_accuracy classifier", "Test accuracy of classifier", "demo/classifier", "train",
         pytest.approx(0.984375 - 1 / 36)),
        ("test_accuracy gan", "Test accuracy of gan", "demo/gan", "train",
         pytest.approx(0.984375 - 1 / 36)),
    ]  # fmt: skip


def test_a_run_by_itself_has_the_same_key_under_any_name(
    tmp_path: Path, tiny_acgan: ACGANConfig
) -> None:
    found = []
    for name in ("one", "two"):
        run = prepare("tiny", tiny_acgan, tmp_path / name, 1)
        reports.train(run)
        found += figures.rows(run)
    assert [row.key for row in found] == ["test_accuracy"] * 2
    assert [row.name for row in found] == ["Test accuracy of one", "Test accuracy of two"]
    assert found[0].basis == found[1].basis


def test_a_record_that_cannot_be_read_is_as_none(run: Run) -> None:
    run.stage_file("evaluate").write_text("garbage")
    assert figures.reliable(run, "evaluate") is None
    assert {row.stage for row in figures.rows(run)} == {"train"}


def test_the_table_for_programs_is_strict_json_in_a_stable_order(run: Run) -> None:
    row = Row("Loss", "inf", "of a run that went wrong", "loss", float("inf"))
    data = report.table({"figures": [row.as_json()], "table": [(1.5, float("nan"))]})
    found = json.loads(data, parse_constant=pytest.fail)
    assert found["table"] == [[1.5, None]]
    assert found["figures"][0]["value"] is None
    assert list(found["figures"][0]) == [
        "key", "name", "value", "unit", "text", "how", "run", "stage", "better", "basis"
    ]  # fmt: skip
    report.write(run)
    first = (run.path / "report.json").read_bytes()
    report.write(run)
    assert (run.path / "report.json").read_bytes() == first
