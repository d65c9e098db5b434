"""The pages in a browser: whole by themselves, described, and no wider than the screen."""

import io
from pathlib import Path
from typing import Any

import browser
import numpy as np
import pytest
import reports
from browser import Browser
from PIL import Image

from gan.visual import grids
from jobs import records, report
from jobs.reporting import comparison, page
from jobs.run import Run

WIDTHS = (400, 1400)
DARK = "--blink-settings=preferredColorScheme=0"
WORD = "Pneumonoultramicroscopicsilicovolcanoconiosis" * 2
WARNING = {"name": "collapse", "seen": f"Only {WORD} is left.", "advice": "Begin anew."}
TABLE = {"title": "Wide", "columns": [f"column {n}" for n in range(30)], "rows": [[0.5] * 30]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs with everything that a page may have to show, and one that is not."""
    runs = tmp_path_factory.mktemp("runs")
    full = reports.finished(runs / "full", tables=[TABLE], warnings=[WARNING])
    gan = full.members()["gan"]
    (gan.figures / "epochs.mp4").write_bytes(b"film")
    plot = gan.figures / "line.svg"
    plot.write_bytes(report.draw_curves(gan))
    film = reports.film(gan.figures / "epochs.gif")
    reports.sample(
        gan, film, gan.figures / "epochs.mp4", plot, reports.draw(gan.figures / "new.png")
    )
    reports.finished(runs / "other", gan_test_accuracy=0.75)
    reports.prepared(runs / "young")
    for name in ("full", "young"):
        report.write(Run(runs / name))
    comparison.make(["full", "other", "young"], runs)
    return runs


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    return browser.find(tmp_path_factory.mktemp("browser"))


PAGES = ("full/report.html", "young/report.html", "comparison.html")


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_fetched_and_nothing_complained_of(
    name: str, folder: Path, window: Browser
) -> None:
    found = window.load(folder / name)
    assert found.requests == []
    assert found.messages == []
    text = (folder / name).read_text()
    assert "http:" not in text.replace("http://www.w3.org/", "")
    assert "https:" not in text
    assert "<script" not in text


def test_a_page_that_did_either_would_be_found_out(tmp_path: Path, window: Browser) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        '<!DOCTYPE html><img src="http://example.org/a.png"><script>console.error("oops")</script>'
    )
    found = window.load(bad)
    assert found.requests == ["http://example.org/a.png"]
    assert any("oops" in message for message in found.messages)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_pictures_are_described_and_nothing_is_cut_off(
    name: str, width: int, folder: Path, window: Browser
) -> None:
    seen = window.measure(folder / name, width)
    assert seen["width"] == width
    assert seen["scroll"] <= width
    assert seen["beyond"] == []
    assert seen["errors"] == []
    assert seen["images"]
    for image in seen["images"]:
        assert image["width"] > 0, image
        assert len(image["alt"]) > 10, image
        assert len(image["caption"]) > 10, image


def test_what_is_too_wide_would_be_found_out(tmp_path: Path, window: Browser) -> None:
    wide = tmp_path / "wide.html"
    wide.write_text(
        '<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content="">'
        '<div style="width: 500px">x</div><img src="data:,">'
    )
    seen = window.measure(wide, 400)
    assert seen["scroll"] == 508
    assert len(seen["beyond"]) == 1
    assert seen["images"] == [{"alt": "", "width": 0, "caption": ""}]


def test_dark_where_that_is_preferred(folder: Path, window: Browser) -> None:
    def background(*flags: str) -> Any:
        return window.measure(folder / "comparison.html", 400, *flags)["background"]

    assert background() == "rgb(255, 255, 255)"
    assert background(DARK) == "rgb(18, 22, 28)"


def test_everything_is_told_on_the_page(folder: Path) -> None:
    text = (folder / "full" / "report.html").read_text()
    for told in (
        "collapse (full, evaluate)", WORD, "Begin anew.",  # the warning
        "column 29", "GAN-test accuracy by class", "<b>generated</b> full/gan · train · step",
        "<b>synthetic</b> full/classifier · visualize · step", "new, as the stage sample drew it.",
        'href="gan/figures/epochs.mp4"', "Generated pictures and their misuse", "to harm one",
    ):  # fmt: skip
        assert told in text, told
    assert "What is missing" not in text
    young = (folder / "young" / "report.html").read_text()
    assert "young/gan train: waiting" in young
    assert "Nothing has been measured yet" in young


def test_who_wants_no_motion_gets_a_still_picture(folder: Path) -> None:
    text = (folder / "full" / "report.html").read_text()
    film = (folder / "full" / "gan" / "figures" / "epochs.gif").read_bytes()
    start = text.index('<source media="(prefers-reduced-motion: reduce), print"')
    still = page.embed(page.first_frame(film), "png")
    assert text.index(still, start) < text.index(page.embed(film, "gif"), start)


def test_the_still_picture_is_the_films_first(tmp_path: Path) -> None:
    film = reports.film(tmp_path / "film.gif")
    with Image.open(io.BytesIO(page.first_frame(film.read_bytes()))) as still:
        first = grids.grid(reports.noise(4, 0), 2)[..., 0]
        assert still.size == first.shape[::-1]
        assert list(still.convert("L").tobytes()) == first.flatten().tolist()


def test_a_picture_of_a_file_keeps_its_bytes(tmp_path: Path) -> None:
    path = reports.draw(tmp_path / "x.png")
    shown = page.picture(path, "Alt", "Caption.", label="real")
    assert (shown.content, shown.kind, shown.label) == (path.read_bytes(), "png", "real")
    assert shown.data.startswith("data:image/png;base64,iVBOR")
    assert not shown.is_plot
    assert not shown.is_film


def test_a_damaged_stage_is_left_out_and_named(tmp_path: Path) -> None:
    run = reports.finished(tmp_path / "run")
    (run.figures / "gan-real.png").write_bytes(b"damaged")
    report.write(run)
    text = run.report_file.read_text()
    assert "gan-real.png is not what stage visualize wrote" in text
    assert "What the discriminator" not in text
    assert records.completion(run, "visualize")


def test_what_has_more_pixels_than_room_is_made_smaller_smoothly(folder: Path) -> None:
    def made(width: int, span: int = 1) -> page.Picture:
        content = grids.png(np.zeros((8, width, 1), np.uint8))
        return page.Picture(content, "png", "alt", "caption", span=span)

    assert [made(200).shrinks, made(662).shrinks] == [False, True]
    assert [made(600, 2).shrinks, made(662, 2).shrinks] == [False, True]
    for content, kind in ((b"<svg/>", "svg+xml"), (b"damaged", "png")):
        assert not page.Picture(content, kind, "alt", "caption").shrinks
    text = (folder / "full" / "report.html").read_text()
    assert '<img class="fine" src="data:image/png' in text  # grids of ten images of 64 pixels
    assert '<img src="data:image/gif' in text  # a small film
