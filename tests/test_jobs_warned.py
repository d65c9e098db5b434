"""Warnings of a report: from the curves as they are, and from what the stages left, each once."""

import json
from pathlib import Path

import numpy as np
import pytest
import reports

from gan.scalars import ScalarLog
from jobs import records, report
from jobs.reporting import recorded, warned
from jobs.reporting.recorded import Reading
from jobs.reporting.warned import Looked
from jobs.run import Run

STEPS = np.arange(1, 41) * 20
STRONG = {
    "told_apart": np.full(40, 0.995),
    "real_source": np.linspace(1, 9, 40),
    "fake_source": -np.linspace(1, 9, 40),
    "generator_loss": np.linspace(1, 9, 40),
}
BLIND = {
    "told_apart": np.full(40, 0.5),
    "real_source": np.zeros(40),
    "fake_source": np.zeros(40),
    "generator_loss": np.full(40, 0.693),
}
COLLAPSE = {"name": "collapse", "seen": "All alike at step 5.", "advice": "Begin anew."}
OF_GANS = (
    "divergence", "critic too strong", "generator winning against a blind critic", "oscillation",
    "vanishing gradient",
)  # fmt: skip


def log(run: Run, terms: dict[str, np.ndarray]) -> None:
    scalars = ScalarLog(run.scalars, purge_step=0)
    for place, step in enumerate(STEPS.tolist()):
        values = {f"train/{name}": float(series[place]) for name, series in terms.items()}
        scalars.add(step, values)
    scalars.close()


def sample(run: Run, **figures: object) -> None:
    run.generated_file.write_bytes(b"images")
    records.complete(run, "sample", [run.generated_file], dict(figures))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A pipeline of which nothing has finished."""
    return reports.prepared(tmp_path / "demo")


@pytest.fixture
def gan(run: Run) -> Run:
    return run.members()["gan"]


def of(run: Run) -> warned.Warned:
    return warned.of(run, recorded.records_of(run))


def test_the_report_of_an_unfinished_run_reads_its_curves_so_far(run: Run, gan: Run) -> None:
    log(gan, STRONG)
    report.write(run)
    table = json.loads((run.path / "report.json").read_text())
    (warning,) = table["warnings"]
    assert warning["name"] == "critic too strong"
    assert (warning["run"], warning["stage"]) == ("demo/gan", "train")
    assert "tells 99.5% of real and generated images right" in warning["seen"]
    assert table["looked_for"] == [
        {"run": "demo/gan", "sought": list(OF_GANS), "told": "", "found": True}
    ]
    page = run.report_file.read_text()
    assert page.count("critic too strong (demo/gan, train)") == 1
    assert "no warning" not in page


def test_curves_without_a_fault_say_what_was_looked_for(run: Run, gan: Run) -> None:
    log(gan, BLIND | {"told_apart": np.full(40, 0.7)})
    sample(gan, movement=[9.0] * 5, diversity={"share": 0.9})
    found = of(run)
    assert found.readings == []
    assert found.looked == [Looked("demo/gan", (*OF_GANS, "collapse"), "", False)]
    assert warned.lines(found.looked) == [
        "demo/gan: no warning; looked for were divergence, critic too strong, generator winning "
        "against a blind critic, oscillation, vanishing gradient, collapse."
    ]


def test_curves_of_few_entries_say_so_in_one_line(run: Run) -> None:
    for member in run.members().values():
        reports.train(member)
    report.write(run)
    line = "demo/classifier, demo/gan: fewer than 12 entries in the curves: too few to be read."
    assert line in run.report_file.read_text()


def test_nothing_is_said_of_a_run_that_has_not_begun(run: Run) -> None:
    assert of(run) == warned.Warned([], [])
    report.write(run)
    assert "<h2>Warnings</h2>" not in run.report_file.read_text()


def test_how_much_the_pictures_move_is_taken_from_the_record(run: Run, gan: Run) -> None:
    log(gan, BLIND)
    blind = "generator winning against a blind critic"
    assert [each.name for each in of(run).readings] == [blind]
    sample(gan, movement=[9.0] * 9)
    assert of(run).readings == []
    sample(gan, movement=[9.0] * 5 + [0.1] * 4)
    (reading,) = of(run).readings
    assert "the pictures change by 0.1 of 255" in reading.seen


def test_warnings_of_stages_stand_beside_those_of_the_curves(run: Run, gan: Run) -> None:
    log(gan, STRONG)
    sample(gan, warnings=[COLLAPSE], diversity={"share": 0.1})
    left = COLLAPSE | {"name": "judge too weak"}
    records.complete(run, "evaluate", [], {"warnings": [left]})
    strong, collapse, weak = of(run).readings
    assert (strong.name, strong.stage) == ("critic too strong", "train")
    assert collapse == Reading(**COLLAPSE, run="demo/gan", stage="sample")
    assert weak == Reading(**left, run="demo", stage="evaluate")


def test_a_classifier_is_read_too(run: Run) -> None:
    classifier = run.members()["classifier"]
    terms = {"loss": np.full(40, 2.3), "accuracy": np.full(40, 0.1)}
    log(classifier, terms | {"gradient_norm_classifier": np.full(40, 1e-9)})
    (reading,) = of(run).readings
    assert (reading.name, reading.run) == ("vanishing gradient", "demo/classifier")


def test_what_stages_left_out_is_on_the_page(run: Run, gan: Run) -> None:
    sample(gan, left_out=["no MP4: there is no ffmpeg on PATH"])
    assert recorded.left_out(recorded.records_of(run)) == [
        "demo/gan sample, left out: no MP4: there is no ffmpeg on PATH."
    ]
    report.write(run)
    assert "left out: no MP4" in run.report_file.read_text()
