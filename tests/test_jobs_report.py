"""The demo's whole path at a tiny size, and the page that comes out of it."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from gan import data, samples
from jobs import records, report
from jobs.run import Run

FLAGS = [
    flag
    for member in ("classifier", "gan")
    for flag in (
        f"--{member}.model.width=4",
        f"--{member}.data.image-size=8",
        f"--{member}.train.epochs=2",
        f"--{member}.train.final-samples=100",
    )
] + ["--threads=1"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "jobs.cli", "run", "demo", *FLAGS]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(folder / "runs" / "demo")


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str]] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        values = dict(attributes)
        if tag == "img":
            self.images.append(values)
        self.links += [v for k, v in values.items() if k in ("src", "href")]


def test_page_stands_alone_and_every_picture_is_described(demo: Run) -> None:
    text = demo.report_file.read_text()
    page = Page(text)
    # grids, strips, curves, and of each discriminator: images thrice, classes, three layers
    assert len(page.images) == 2 + 1 + 2 + 2 * 7
    assert all(link.startswith("data:image/") for link in page.links)
    assert all(image["alt"] for image in page.images)
    assert text.count("<figcaption>") == len(page.images)
    assert "http" not in re.sub(r"data:image/[^\"]*", "", text)


def test_figures_stand_with_how_they_were_obtained(demo: Run) -> None:
    text = demo.report_file.read_text()
    figures = records.completion(demo, "evaluate")["result"]
    assert f"{100 * figures['gan_test_accuracy']:.1f} %" in text
    assert f"{figures['generated_distance']['frechet']:.3f}" in text
    assert figures["judge_sha256"][:12] in text
    judge = demo.members()["classifier"].store().latest()
    assert figures["judge_sha256"] == judge.manifest.files["state.pt"].sha256
    sizes = [figures[f"{k}_distance"]["second_count"] for k in ("generated", "floor")]
    assert sizes == [100, 100]
    for needed in ("data.image_size", "train.epochs", "demo/gan", "visualize"):
        assert needed in text


def test_generated_images_are_balanced_and_say_where_they_are_from(demo: Run) -> None:
    generated = samples.read(demo.members()["gan"].generated_file)
    assert generated.images.shape == (1, 100, 8, 8, 1)
    assert sorted(generated.labels.tolist()) == sorted(list(range(10)) * 10)
    assert generated.attributes["recipe"] == "demo/gan"
    assert "generated" in generated.attributes["content"]


def test_strips_belong_to_the_samples(demo: Run) -> None:
    gan = demo.members()["gan"]
    assert "figures/interpolation.png" in records.require(gan, "sample")["outputs"]
    with Image.open(gan.figures / "interpolation.png") as picture:
        assert picture.size == ((10 * 10 + 2) * 8, (8 * 10 + 2) * 8)  # ten images of 8 x 8 a row


def test_report_says_what_is_missing(demo: Run, tmp_path: Path) -> None:
    from gan.recipes import classifier_digits

    run = Run(tmp_path / "<b>young")
    config = classifier_digits()
    run.write("classifier-digits", config, data.inspect(config.data), 1)
    text = report.render(run, {"": report.draw_curves(run)})
    assert "Nothing has been measured yet" in text
    assert "young train: waiting" in text
    assert "<b>young" not in text
    assert "&lt;b&gt;young" in text


def test_report_may_be_written_again(demo: Run) -> None:
    from jobs.cli import main

    demo.report_file.unlink()
    assert main(["verify", str(demo.path)]) == 1
    assert main(["report", str(demo.path)]) == 0
    assert demo.report_file.is_file()
    assert main(["verify", str(demo.path)]) == 0


def test_damaged_picture_is_named_not_shown(demo: Run, tmp_path: Path) -> None:
    copy = Run(tmp_path / "demo")
    shutil.copytree(demo.path, copy.path)
    curves = dict.fromkeys(copy.members(), b"<svg/>")
    assert "What is missing" not in report.render(copy, curves)
    (copy.figures / "gan-max-class.png").write_bytes(b"damaged")
    text = report.render(copy, curves)
    assert "gan-max-class.png is not what stage visualize wrote" in text
    assert "What the discriminator" not in text
