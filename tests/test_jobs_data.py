"""The verb `data`, as a user calls it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from gan import data
from gan.config import ACGANConfig, DataConfig
from gan.data.images import ImageSet
from jobs import pipeline
from jobs.cli import main
from jobs.data import by_class


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    before = sorted(Path().rglob("*"))
    try:
        status = main(arguments)
    except SystemExit as exit:  # an option that tyro refused
        status = exit.code
    assert status == 2
    assert sorted(Path().rglob("*")) == before
    return capsys.readouterr().err


def test_a_set_is_packed_at_its_own_size_or_at_another(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "pack", "digits", "plain.h5"]) == 0
    assert main(["data", "pack", "digits", "small.h5", "--data.image-size", "8"]) == 0
    assert main(["data", "pack", "digits", "few.h5", "--data.image_size=8"]) == 0
    said = capsys.readouterr().out
    sizes = []
    for name in ("plain.h5", "small.h5", "few.h5"):
        with h5py.File(name) as file:
            sizes.append(file["train/images"].shape[2])
            assert f"{name}: " in said
            assert file.attrs["sha256"] in said
    assert sizes == [16, 8, 8]


def test_a_packed_set_trains_from_anywhere(
    tiny_acgan: ACGANConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "pack", "digits", "sets/digits.h5", "--data.image-size", "8"]) == 0
    packed = replace(tiny_acgan.data, name="packed", root="sets/digits.h5")
    run = pipeline.prepare("acgan-digits", replace(tiny_acgan, data=packed), Path("runs/x"), 1)
    assert run.config().data.root == str(Path("sets/digits.h5").resolve())
    assert run.settings()["data"]["name"] == "digits"
    run.check_data(data.load(run.config().data).info)


def test_packing_needs_no_torch_where_the_set_needs_none() -> None:
    program = (
        "import sys; from jobs.cli import main; status = main(sys.argv[1:]);"
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    for arguments in (["pack", "ring", "ring.h5"], ["show", "ring"]):
        command = [sys.executable, "-c", program, "data", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_what_cannot_be_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no action 'draw' of data; allowed: pack, show" in refused(capsys, "data", "draw")
    said = refused(capsys, "data", "pack", "mnits", "x.h5")
    assert "set's name first, given was 'mnits'; allowed: digits, cifar10" in said
    assert "given was none" in refused(capsys, "data", "show")
    said = refused(capsys, "data", "show", "digits", "--data.name", "ring")
    assert "data.name is 'ring'; allowed: 'digits', as named first" in said
    assert "rows is 0; allowed: 1 or more" in refused(capsys, "data", "show", "ring", "--rows", "0")
    said = refused(capsys, "data", "pack", "folder", "x.h5", "--data.root", "nowhere")
    assert "no such folder or zip file" in said
    assert "MNIST is not in data/MNIST/raw" in refused(capsys, "data", "show", "mnist")


def test_help_tells_the_actions_and_sets(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data"]) == 0
    said = capsys.readouterr().out
    assert "ganymede data pack NAME DEST" in said
    assert all(name in said for name in data.DATA_SETS)


def test_a_column_is_a_class() -> None:
    labels = np.array([2, 0, 0, 2, 1, 2])
    pixels = np.arange(1, 7, dtype=np.uint8)[:, None, None, None]
    info = data.DataInfo("x", 6, 1, 1, ("a", "b", "c"), "")
    images = ImageSet(info, pixels, labels, pixels[:1], labels[:1])
    drawn = by_class(images, rows=2, columns=3)
    assert drawn.ravel().tolist() == [2, 5, 1, 3, 0, 4]  # of b there is one only
    single = ImageSet(replace(info, classes=("a",)), pixels, labels * 0, pixels[:1], labels[:1])
    assert by_class(single, rows=2, columns=4).ravel().tolist() == [1, 2, 3, 4, 5, 6, 0, 0]


def test_the_picture_shows_the_images(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "digits", "--rows", "2", "--data.image-size", "8"]) == 0
    assert capsys.readouterr().out.startswith("digits.png: columns are 0, 1, 2")
    images = data.load(DataConfig(name="digits", image_size=8))
    with Image.open("digits.png") as picture:
        sheet = np.asarray(picture)[::8, ::8]  # drawn eight times as large
    assert sheet.shape == (2 * 10 + 2, 10 * 10 + 2)
    second_seven = images.train_images[np.flatnonzero(images.train_labels == 7)[1], 0]
    assert np.array_equal(sheet[12:20, 72:80], second_seven)


def test_pictures_of_one_class_and_points_can_be_drawn() -> None:
    for number in range(12):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(f"{number:02d}.png")
    assert main(["data", "show", "folder", "--data.root", ".", "--out", "all/cats.png"]) == 0
    with Image.open("all/cats.png") as picture:
        assert picture.size == (8 * (10 * 10 + 2), 8 * (10 * 10 + 2))
    assert main(["data", "show", "ring"]) == 0
    with Image.open("ring.png") as picture:
        assert picture.size == (2 * 262, 2 * 262)
