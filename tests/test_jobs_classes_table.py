"""The figures of each class, as tables of the report."""

import reports

from jobs.reporting import classes_table
from jobs.reporting.recorded import Table


def tables(**other: object) -> list[Table]:
    found = classes_table.tables(reports.evaluation(**other))
    return [
        Table(**{k: tuple(v) if isinstance(v, list) else v for k, v in t.items()}) for t in found
    ]


def test_each_class_has_its_figures_beside_those_of_real_images() -> None:
    seen, taught = tables()
    assert seen.columns == (
        "Class", "Seen as asked for", "Frechet distance", "of real images",
        "Precision", "of real ones", "Recall", "by real ones",
    )  # fmt: skip
    assert seen.texts()[8] == ["8", "50.0 %", "12.5", "2", "87.5 %", "93.8 %", "50.0 %", "95.3 %"]
    assert f"classifier {reports.JUDGE[:12]}" in seen.how
    assert "359 generated images" in seen.how
    assert "No FID" in seen.how
    assert taught.texts()[4] == ["4", "87.5 %", "87.5 %"]
    assert "taught on 1000 generated or 1000 real images" in taught.how


def test_a_class_of_too_few_images_has_what_there_is() -> None:
    assert tables()[0].texts()[9] == ["9", "56.2 %", "", "", "", "", "", ""]
    none = tables(by_class={})[0]
    assert [row[:2] for row in none.texts()] == [row[:2] for row in tables()[0].texts()]


def test_without_classes_there_is_no_table() -> None:
    figures = reports.evaluation()
    del figures["gan_test_accuracy_by_class"], figures["classification_score"]
    assert classes_table.tables(figures) == []
