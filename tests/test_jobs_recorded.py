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
    (over_time,) = recorded.tables(recorded.records_of(run))
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
    assert len(recorded.tables(recorded.records_of(run))) == 1


def test_rows_that_do_not_fit_the_columns_are_an_error() -> None:
    table = Table("t", ("a", "b"), ((1,),))
    with pytest.raises(ValueError, match="zip"):
        table.texts()


def test_tables_of_one_network_go_with_it() -> None:
    (table,) = recorded.tables_in(
        {"tables": [TABLE | {"item": "classes"}]}, "demo/gan", "visualize"
    )
    assert (table.run, table.stage, table.item) == ("demo/gan", "visualize", "classes")
    assert table.texts()[0] == ["100", "12.3", "50.0 %", "first"]
    assert recorded.tables_in({"layers": []}, "demo", "visualize") == []
