"""Images on request, through the command line as a user asks for them."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trainers import made_run, products

import gan
from gan import recipes, samples
from gan.config import ACGANConfig, ClassifierConfig
from gan.visual import grids
from gan.visual.interpolation import Walk
from jobs.cli import main
from jobs.export import export
from jobs.run import Run

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(tiny_acgan: ACGANConfig) -> Run:
    return made_run(Path("runs/mine"), tiny_acgan, "acgan-digits")


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """Calls the command line, which must refuse and leave all as it was; returns what it said."""

    def call(*arguments: str) -> str:
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        try:
            status = main(arguments)
        except SystemExit as exit:
            status = exit.code
        said = capsys.readouterr()
        assert status == 2, said
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        return " ".join((said.out + said.err).replace("│", " ").split())

    return call


def test_samples_in_hdf5_say_where_they_are_from(run: Run, ganymede: Call) -> None:
    done = ganymede("sample", "mine", "--count", "12", "--seed", "5")
    assert done.returncode == 0, done.stderr
    assert "mine-samples.h5: 12 generated images" in done.stdout
    assert "weights of step 3 of 44, whose training is not finished" in done.stdout
    content, model = samples.read(Path("mine-samples.h5")), gan.load(run.path)
    assert np.array_equal(content.images[0], model.pictures(12, seed=5))
    assert content.labels.tolist() == [*range(10), 0, 1]
    assert content.steps.tolist() == [3]
    assert content.attributes == {
        "recipe": "acgan-digits",
        "seed": 0,
        "identity": run.settings()["identity"],
        "content": "generated images, not photographs",
        "weights_sha256": run.store().open(3).manifest.files["state.pt"].sha256,
        "step": 3,
        "sample_seed": 5,
    }


def test_a_folder_of_pictures(run: Run) -> None:
    assert main(["sample", "mine", "--count", "130", "--out", "some/pictures"]) == 0
    assert main(["sample", "mine", "--count", "10", "--out", "few"]) == 0
    many, few = sorted(Path("some/pictures").iterdir()), sorted(Path("few").iterdir())
    assert len(many) == 130
    assert many[13].name == "000013-3.png"
    assert [p.name for p in few] == [p.name for p in many[:10]]
    assert [p.read_bytes() for p in few] == [p.read_bytes() for p in many[:10]]
    expected = gan.load(run.path).pictures(130)
    for number in (0, 129):
        with Image.open(many[number]) as picture:
            assert np.array_equal(np.asarray(picture), expected[number, :, :, 0])
            assert picture.text["content"] == "generated images, not photographs"
            assert picture.text["class"] == str(number % 10)
            assert picture.text["number"] == str(number)
            assert picture.text["step"] == "3"


def test_one_class(run: Run) -> None:
    text = run.config_file.read_text().replace('"7"', '"T-shirt/top"')
    run.config_file.write_text(text)
    assert main(["sample", "mine", "--count", "3", "--class", "T-shirt/top", "--out", "a.h5"]) == 0
    assert main(["sample", "mine", "--count", "3", "--class", "7", "--out", "b.h5"]) == 0
    assert Path("a.h5").read_bytes() == Path("b.h5").read_bytes()
    content = samples.read(Path("a.h5"))
    assert content.labels.tolist() == [7, 7, 7]
    assert content.attributes["class"] == "T-shirt/top"
    assert main(["sample", "mine", "--count", "1", "--class", "7", "--out", "png"]) == 0
    assert [path.name for path in Path("png").iterdir()] == ["000000-T-shirt-top.png"]


def test_the_same_request_finds_its_own(run: Run, refused: Callable[..., str]) -> None:
    for out in ("a.h5", "pictures"):
        request = ("sample", "mine", "--count", "3", "--out", out)
        assert main(request) == 0
        assert main(request) == 0
        taken = f"{out} is there already, with other content; give another --out"
        assert taken in refused(*request, "--seed", "1")
        assert taken in refused("sample", "mine", "--count", "4", "--out", out)
        assert taken in refused("sample", "mine", "--count", "2", "--out", out)
    Path("pictures/mine.txt").write_text("precious")
    assert "with other content" in refused("sample", "mine", "--count", "3", "--out", "pictures")
    Path("folder.h5").mkdir()
    assert "folder.h5 is a folder" in refused("sample", "mine", "--out", "folder.h5")
    Path("file").write_text("precious")
    assert "file is no folder" in refused("sample", "mine", "--out", "file")


def test_an_empty_folder_is_filled(run: Run) -> None:
    Path("empty").mkdir()
    assert main(["sample", "mine", "--count", "2", "--out", "empty"]) == 0
    assert len(list(Path("empty").iterdir())) == 2


def test_a_full_disk_leaves_nothing(run: Run, small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes((3 << 20) - (8 << 10)))
    for out in ("many.h5", "many"):
        assert main(["sample", "mine", "--count", "2000", "--out", str(small_disk / out)]) == 1
        assert [path.name for path in small_disk.iterdir()] == ["ballast"]


def test_an_exported_folder_gives_the_same_bytes(run: Run, tmp_path: Path) -> None:
    export(run, tmp_path / "away")
    for source, out in (("mine", "a"), ("away", "b"), (str(tmp_path / "runs" / "mine"), "c")):
        assert main(["sample", source, "--count", "3", "--out", f"{out}.h5"]) == 0
        assert main(["interpolate", source, "--rows", "2", "--out", f"{out}.png"]) == 0
    for kind in ("h5", "png"):
        assert len({Path(f"{out}.{kind}").read_bytes() for out in "abc"}) == 1


def test_of_a_pipeline_the_gan_is_meant(
    tiny_acgan: ACGANConfig, tiny_classifier: ClassifierConfig, refused: Callable[..., str]
) -> None:
    both = Run(Path("runs/both"))
    for name, config in (("classifier", tiny_classifier), ("gan", tiny_acgan)):
        made_run(both.path / name, config)
    both.write_pipeline("demo", ["classifier", "gan"], "comparison")
    assert main(["sample", "both", "--count", "1"]) == 0
    assert main(["sample", "both/gan", "--count", "1"]) == 0
    assert [path.name for path in Path().glob("*.h5")] == ["gan-samples.h5"]
    said = refused("sample", "both/classifier")
    assert "both/classifier has no generator; allowed: a run of a GAN" in said
    sweep = Run(Path("runs/sweep"))
    for name in ("a", "b"):
        made_run(sweep.path / name, tiny_acgan, steps=1)
    sweep.write_pipeline("acgan-digits", ["a", "b"], "sweep")
    said = refused("interpolate", "sweep")
    assert "holds several runs; allowed: one of them, as runs/sweep/a, runs/sweep/b" in said


def test_what_cannot_be_given_is_refused_by_name(
    run: Run, tiny_acgan: ACGANConfig, refused: Callable[..., str]
) -> None:
    unlabelled = replace(tiny_acgan, game=replace(tiny_acgan.game, auxiliary=False))
    made_run(Path("runs/unlabelled"), unlabelled)
    Run(Path("runs/young")).write("x", tiny_acgan, gan.load(run.path).info, 1)
    cases = {
        ("sample", "nothing"): "no run 'nothing'; the runs in runs are: mine, unlabelled, young",
        ("sample", "young"): "runs/young has no checkpoint yet",
        ("sample", "mine", "--step", "4"): "step is 4; allowed: 3",
        ("sample", "mine", "--count", "0"): "count is 0; allowed: 1 to 100000",
        ("sample", "mine", "--count", "100001"): "count is 100001; allowed: 1 to 100000",
        ("sample", "mine", "--seed", "-1"): "seed is -1; allowed: 0 to 9223372036854775807",
        ("sample", "mine", "--class", "cat"): "class is 'cat'; allowed: 0, 1, 2, 3",
        ("sample", "unlabelled", "--class", "3"): "'3', but this generator was trained without",
        ("sample", "mine", "--out", "x.png"): "out is 'x.png'; allowed: a name that ends in .h5",
        ("interpolate", "mine", "--to", "3"): "to is '3' without a class to come from",
        ("interpolate", "mine", "--class", "1", "--to", "x"): "class is 'x'; allowed: 0, 1",
        ("interpolate", "mine", "--steps", "1"): "steps is 1; allowed: 2 to 100",
        ("interpolate", "mine", "--rows", "101"): "rows is 101; allowed: 1 to 100",
        (
            "interpolate",
            "mine",
            "--out",
            "x.h5",
        ): "out is 'x.h5'; allowed: a name that ends in .png",
    }
    for arguments, message in cases.items():
        assert message in refused(*arguments)


def test_strips_are_drawn(run: Run, ganymede: Call) -> None:
    done = ganymede("interpolate", "mine", "--rows", "3", "--steps", "4", "--seed", "2")
    assert done.returncode == 0, done.stderr
    assert "mine-interpolation.png: 3 strips of 4 generated images" in done.stdout
    pictures = Walk(3, 4, seed=2).pictures(gan.load(run.path).variant)
    sheet = grids.grid(pictures.reshape(12, 8, 8, 1), columns=4)[..., 0]
    with Image.open("mine-interpolation.png") as picture:
        assert np.array_equal(np.asarray(picture)[::8, ::8], sheet)
        assert picture.text["content"] == "generated images, not photographs"
        assert picture.text["path"] == "linear"
    crossing = ("--class", "3", "--to", "7", "--path", "spherical", "--out", "x.png")
    assert main(["interpolate", "mine", *crossing]) == 0
    with Image.open("x.png") as picture:
        assert (picture.text["class"], picture.text["to_class"]) == ("3", "7")


def test_a_generator_on_batch_statistics(tiny_acgan: ACGANConfig) -> None:
    config = recipes.RECIPES["dcgan-digits"]()
    small = replace(config, model=replace(config.model, width=4))
    made_run(Path("runs/dc"), small, steps=1)
    for count in (1, 10, 200):
        assert main(["sample", "dc", "--count", str(count), "--out", f"{count}.h5"]) == 0
    many = samples.read(Path("200.h5")).images[0]
    for count in (1, 10):
        assert np.array_equal(samples.read(Path(f"{count}.h5")).images[0], many[:count])


@pytest.mark.slow
def test_points_without_classes_through_every_job(
    ganymede: Call, refused: Callable[..., str]
) -> None:
    flags = ("--train.epochs", "1", "--train.passes-per-epoch", "1", "--threads", "1")
    done = ganymede("run", "ring", "--name", "points", *flags, "--train.final-samples", "150")
    assert done.returncode == 0, done.stdout + done.stderr
    run = Run(Path("runs/points"))
    generated = samples.read(run.generated_file)
    assert generated.images.shape == (1, 150, 1, 1, 2)
    assert set(generated.labels.tolist()) == {-1}
    assert np.array_equal(generated.images[0], gan.load(run.path).pictures(150))
    assert main(["sample", "points", "--count", "150"]) == 0
    again = samples.read(Path("points-samples.h5"))
    assert np.array_equal(again.images, generated.images)
    assert main(["interpolate", "points"]) == 0
    assert "no pictures; allowed: --out FILE.h5" in refused("sample", "points", "--out", "png")
    captions = re.findall(r"<figcaption>(After epoch[^<]*)", run.report_file.read_text())
    assert captions == ["After epoch 1: the same noise every time."]
    assert any(name.endswith("epoch-0001.png") for name in products(run.path))
