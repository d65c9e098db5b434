"""The paper to hand in: S0's five items, or what there is of them."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import papers
import pytest
import reports
from PIL import Image

from gan.config import ACGANConfig
from jobs import report
from jobs.pipeline import prepare
from jobs.reporting.sheets import BODY, NOTE, STRONG, Plate, Sheets
from jobs.run import Run

ITEMS = (
    "1. Generated images over training",
    "2. Real images, gradients and altered images",
    "3. Class maximisation",
    "4. Features",
    "5. Test accuracy",
)


def paper_of(run: Run) -> Path:
    report.write(run)
    return run.path / "report.pdf"


def text_of(sheets: list[papers.Sheet]) -> str:
    return " ".join(" ".join(sheet.text for sheet in sheets).split())


def assert_well_set(sheets: list[papers.Sheet]) -> None:
    """On A4, nothing beyond its margins, nothing empty, fonts and pictures whole."""
    for number, sheet in enumerate(sheets, 1):
        assert sheet.size == pytest.approx((595.276, 841.89), abs=0.01)
        assert sheet.pixels.std() > 1, f"sheet {number} is empty"
        assert sheet.fonts_embedded and all(sheet.fonts_embedded)
        assert all(picture.std() > 10 for picture in sheet.pictures)
        for left, bottom, right, top in sheet.boxes:
            if (right - left, top - bottom) != pytest.approx(sheet.size, abs=1):  # background
                assert (left > 15, right < 580) == (True, True), sheet.text
                assert (bottom > 20, top < 800) == (True, True), sheet.text


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return reports.finished(tmp_path_factory.mktemp("paper") / "demo")


def test_all_that_is_asked_for_is_there(demo: Run) -> None:
    sheets = papers.read(paper_of(demo))
    text = text_of(sheets)
    places = [text.index(item) for item in ITEMS]
    assert places == sorted(places)
    assert_well_set(sheets)
    # grids; of both networks three batches, classes, two layers; strips
    assert sum(len(sheet.pictures) for sheet in sheets) == 6 + 2 * (3 + 1 + 2) + 1
    for told in (
        "After epoch 9: the same noise every time, a class a column.",
        "Test accuracy of the classifier 98.8 %", "Test accuracy of the discriminator 75.0 %",
        "8/255 25.0 % 50.0 % 97.0 %", "Largest response of each channel of conv8",
        "generated · demo/gan · train · step", "synthetic · demo/classifier · visualize · step",
        "GAN-test accuracy by class", "What the discriminator trained with the generator sees",
        "Do not pass them off as real",
    ):  # fmt: skip
        assert told in text, told
    assert "missing" not in text
    assert papers.metadata(demo.path / "report.pdf") == {
        "Title": "Report on demo",
        "Subject": "Training report; the pictures marked as generated were made by a neural "
        "network",
        "Creator": "Ganymede",
        "Producer": papers.metadata(demo.path / "report.pdf")["Producer"],
    }


def test_pictures_are_kept_pixel_by_pixel(demo: Run) -> None:
    first = papers.read(paper_of(demo))[0].pictures[0]
    with Image.open(demo.members()["gan"].figures / "epoch-0001.png") as grid:
        expected = np.asarray(grid)
    shown = first if first.ndim == 2 else first[..., 0]
    assert np.array_equal(shown, expected)


def test_the_same_report_is_the_same_bytes(demo: Run) -> None:
    first = paper_of(demo).read_bytes()
    assert paper_of(demo).read_bytes() == first


def test_what_has_not_been_made_is_said(demo: Run, tmp_path: Path) -> None:
    sheets = papers.read(paper_of(reports.prepared(tmp_path / "young")))
    assert_well_set(sheets)
    text = text_of(sheets)
    assert "Not complete: 5 things are missing" in text
    assert "young/gan train: waiting" in text
    assert "1." not in text
    assert not any(sheet.pictures for sheet in sheets)


def test_a_single_run_shows_what_it_has(tmp_path: Path, tiny_acgan: ACGANConfig) -> None:
    run = prepare("tiny", tiny_acgan, tmp_path / "mine", 1)
    reports.train(run)
    sheets = papers.read(paper_of(run))
    text = text_of(sheets)
    assert "1. Generated images over training" in text
    assert "2. Test accuracy" in text
    assert "Not complete: 1 thing" not in text
    assert "something is missing" in text  # the samples
    assert len(sheets[0].pictures) == 6


def test_films_and_plots_are_named(tmp_path: Path) -> None:
    run = reports.finished(tmp_path / "demo")
    gan = run.members()["gan"]
    plot = gan.figures / "line.svg"
    plot.write_bytes(b"<svg/>")
    reports.sample(gan, reports.film(gan.figures / "epochs.gif"), plot)
    read = papers.read(paper_of(run))
    named = text_of(read).partition("On the page only")[2]
    assert named.startswith(" A film of the grids of the epochs, one after the other: The epochs, ")
    assert "Picture line, " in named
    # as many as without a film
    assert sum(len(sheet.pictures) for sheet in read) == 6 + 2 * (3 + 1 + 2) + 1


@pytest.fixture
def sheets() -> Iterator[Sheets]:
    with Sheets("Title", "Subject") as found:
        yield found


def set_down(sheets: Sheets, path: Path) -> list[papers.Sheet]:
    path.write_bytes(sheets.finish())
    return papers.read(path)


def test_text_is_broken_where_it_is_too_wide() -> None:
    assert BODY.wrap("", 100) == []
    lines = BODY.wrap("several words that do not fit into one line", 80)
    assert len(lines) > 2
    assert " ".join(lines) == "several words that do not fit into one line"
    broken = BODY.wrap("a " + "x" * 60, 80)
    assert "".join(broken) == "a" + "x" * 60
    assert all(BODY.width(line) <= 80 for line in [*lines, *broken])


def test_a_heading_stays_with_what_is_below_it(sheets: Sheets, tmp_path: Path) -> None:
    for _ in range(48):
        sheets.text("A line.")
    sheets.heading("The heading")
    sheets.text("Its introduction.", keep=True)
    picture = reports.draw(tmp_path / "x.png", 100)
    sheets.plates([Plate(picture.read_bytes(), "Caption", "Small")], 3)
    first, second = set_down(sheets, tmp_path / "x.pdf")
    assert "The heading" not in first.text
    assert "The heading Its introduction. Caption" in second.text


def test_tables_go_on_with_their_titles(sheets: Sheets, tmp_path: Path) -> None:
    rows = [[f"row {n}", "value", "how " * 20] for n in range(40)]
    sheets.table(("What", "Value", "How"), rows, (30, 17, 53), (BODY, STRONG, NOTE))
    found = set_down(sheets, tmp_path / "x.pdf")
    assert len(found) > 1
    for sheet in found:
        assert sheet.text.startswith("What Value How")
    assert all(f"row {n} " in text_of(found) for n in range(40))
    assert_well_set(found)


def test_a_short_table_is_not_divided(sheets: Sheets, tmp_path: Path) -> None:
    for _ in range(50):
        sheets.text("A line.")
    sheets.table(("What", "Value"), [["one", "1"], ["two", "2"]], (1, 1), (BODY, BODY))
    first, second = set_down(sheets, tmp_path / "x.pdf")
    assert "What" not in first.text
    assert "What Value one 1 two 2" in second.text


def test_a_table_of_many_columns_is_divided(tmp_path: Path) -> None:
    columns = [f"class {n}" for n in range(10)]
    table = {"title": "Many", "columns": ["step", *columns], "rows": [[7, *range(10)]]}
    run = reports.finished(tmp_path / "demo", tables=[table])
    sheets = papers.read(paper_of(run))
    assert_well_set(sheets)
    text = text_of(sheets)
    assert f"Many step {' '.join(columns[:6])} 7 0 1 2 3 4 5" in text
    assert f"step {' '.join(columns[6:])} 7 6 7 8 9" in text


def test_letters_beyond_the_font_and_signs_of_formulas_do_no_harm(
    sheets: Sheets, tmp_path: Path
) -> None:
    sheets.text("cost $5 or $6_x, 汉字")
    (sheet,) = set_down(sheets, tmp_path / "x.pdf")
    assert "cost $5 or $6_x," in sheet.text


def test_settings_of_ones_own_do_not_change_the_paper(demo: Run) -> None:
    import matplotlib

    first = paper_of(demo).read_bytes()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "pdf.fonttype": 3}):
        assert paper_of(demo).read_bytes() == first


def test_a_tall_picture_is_made_to_fit(sheets: Sheets, tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.effect_noise((50, 900), 60).save(stream, "PNG")
    sheets.plates([Plate(stream.getvalue(), "Tall.", "")], 1)
    found = set_down(sheets, tmp_path / "x.pdf")
    assert len(found) == 1
    assert_well_set(found)
