"""What stages leave for the report: tables, and warnings by name."""

from pathlib import Path

import pytest
import reports

from jobs import records
from jobs.reporting import recorded
from jobs.reporting.recorded import Reading, Table
from jobs.run import Run

TABLE = {
    "title": "Over checkpoints",
    "how": "on 100 images each",
    "columns": ["step", "Frechet distance", "precision", "note"],
    "units": ["", "", "share", ""],
    "rows": [[100, 12.3456, 0.5, "first"], [2000, 1234.5, None, ""]],
}
WARNING = {"name": "critic too strong", "seen": "It tells 99 % apart.", "advice": "Train less."}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = reports.finished(tmp_path / "demo", tables=[TABLE])
    gan = run.members()["gan"]
    steps = gan.settings()["total_steps"]
    state = gan.store().path(steps) / "state.pt"
    records.complete(gan, "train", [state], {"steps": steps, "warnings": [WARNING]})
    return run


def test_tables_have_numbers_and_texts(run: Run) -> None:
    by_class, over_time = recorded.tables(run, recorded.records_of(run))
    assert by_class.title == "GAN-test accuracy by class"
    assert by_class.texts()[8] == ["8", "50.0 %"]
    assert by_class.as_json()["rows"][8] == ["8", 0.5]
    assert over_time.texts() == [["100", "12.3", "50.0 %", "first"], ["2000", "1234", "", ""]]
    told = over_time.as_json()
    assert told["rows"] == TABLE["rows"]
    assert told["columns"][2] == {"name": "precision", "unit": "share"}
    assert (told["run"], told["stage"], told["how"]) == ("demo", "evaluate", TABLE["how"])


def test_warnings_are_told_with_the_run_they_are_of(run: Run) -> None:
    assert recorded.readings(recorded.records_of(run)) == [
        Reading(**WARNING, run="demo/gan", stage="train")
    ]


def test_stages_whose_files_are_damaged_tell_nothing(run: Run) -> None:
    gan = run.members()["gan"]
    (gan.store().path(gan.settings()["total_steps"]) / "state.pt").write_bytes(b"other")
    assert recorded.readings(recorded.records_of(run)) == []
    assert len(recorded.tables(run, recorded.records_of(run))) == 2


def test_rows_that_do_not_fit_the_columns_are_an_error() -> None:
    table = Table("t", ("a", "b"), ((1,),))
    with pytest.raises(ValueError, match="zip"):
        table.texts()


def test_strengths_ascend_and_count_the_largest_step_once() -> None:
    def shares(value: float) -> dict[str, float]:
        return {"accuracy_after": value, "hit_rate": value / 2, "control_accuracy": 1.0}

    facts = {"images": 7, "epsilon": 8.0, **shares(0.25)}
    facts["by_epsilon"] = [{"epsilon": 16.0, **shares(0.0)}, {"epsilon": 1.0, **shares(0.5)}]
    table = recorded.strengths(facts, "demo")
    assert table is not None
    assert [row[0] for row in table.rows] == ["1/255", "8/255", "16/255"]
    assert table.texts()[1] == ["8/255", "25.0 %", "12.5 %", "100.0 %"]
    assert recorded.strengths({"layers": []}, "demo") is None
