import errno
from dataclasses import replace
from pathlib import Path

import h5py
import msgspec
import numpy as np
import pytest
from packed_sets import DIGITS
from PIL import Image

from gan import data
from gan.config import DataConfig
from gan.data import DataError, packed, packing


def quiet(message: str) -> None:
    pass


def test_one_file_tells_all(tmp_path: Path) -> None:
    digest = packing.pack(replace(DIGITS, train_share=0.5), tmp_path / "digits.h5", quiet)
    with h5py.File(tmp_path / "digits.h5") as file:
        about = msgspec.json.decode(file.attrs["about"])
        assert file["train/images"].shape == (719, 1, 8, 8)
        assert file["train/images"].dtype == np.uint8
        assert file["train/images"].fletcher32
        assert file["train/labels"].shape == (719,)
        assert file["test/images"].shape == (359, 1, 8, 8)
        assert file.attrs["sha256"] == digest
    assert about["set"] == "digits"
    assert about["classes"] == list("0123456789")
    assert about["fingerprint"] == "scikit-learn"
    assert about["settings"]["train_share"] == 0.5
    assert "root" not in about["settings"]


def test_what_is_read_for_one_image_stays_small(tmp_path: Path) -> None:
    for number in range(3):
        Image.effect_noise((160, 160), 50).save(tmp_path / f"{number}.png")
    large = DataConfig(name="folder", root=str(tmp_path), image_size=160)
    packing.pack(large, tmp_path / "large.h5", quiet)
    packing.pack(DIGITS, tmp_path / "small.h5", quiet)
    with h5py.File(tmp_path / "large.h5") as file:
        assert file["train/images"].chunks == (1, 1, 160, 160)
    with h5py.File(tmp_path / "small.h5") as file:
        assert file["train/images"].chunks == (256, 1, 8, 8)  # 16 KiB


def test_the_same_images_make_the_same_file(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        packing.pack(DIGITS, tmp_path / name, quiet)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_the_same_file_may_be_there_another_is_not_overwritten(tmp_path: Path) -> None:
    target, said = tmp_path / "digits.h5", []
    digest = packing.pack(DIGITS, target, quiet)
    before = target.stat().st_mtime_ns
    assert packing.pack(DIGITS, target, said.append) == digest
    assert said == [f"{target} holds these images already"]
    with pytest.raises(DataError, match=r"digits.h5 is there and holds other images \(counts"):
        packing.pack(replace(DIGITS, test_fraction=0.5), target, quiet)
    assert target.stat().st_mtime_ns == before
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(DataError, match=r"notes is no packed data set.*remove it, or give another"):
        packing.pack(DIGITS, tmp_path / "notes", quiet)
    assert (tmp_path / "notes").read_text() == "mine"
    with pytest.raises(DataError, match=r"is a folder; give the name of a file, as"):
        packing.pack(DIGITS, tmp_path, quiet)


def test_a_larger_set_is_packed_without_holding_it(tmp_path: Path) -> None:
    for number in range(6):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"{number}.png")
    folder = DataConfig(name="folder", root=str(tmp_path), image_size=8)
    packing.pack(folder, tmp_path / "held.h5", quiet)
    packing.pack(replace(folder, memory_gb=0.0), tmp_path / "read.h5", quiet)
    assert (tmp_path / "held.h5").read_bytes() == (tmp_path / "read.h5").read_bytes()


def test_progress_of_large_sets_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_TELLING", 0)
    monkeypatch.setattr(packed, "_BLOCK", 64 * 500)
    said = []
    packing.pack(DIGITS, tmp_path / "digits.h5", said.append)
    assert said[0] == "500 of 1438 train images"
    assert said[-1] == "359 of 359 test images"


class Interrupting:
    """Images of which some cannot be had: the person at the keyboard has had enough."""

    def __init__(self, images: np.ndarray, error: BaseException) -> None:
        self.images, self.error = images, error
        self.shape = images.shape

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice) -> np.ndarray:
        if rows.start:
            raise self.error
        return self.images[rows]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "gone")])
def test_an_interruption_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    images = data.load(DIGITS)
    broken = replace(images, train_images=Interrupting(images.train_images, error))
    monkeypatch.setattr(packed, "_BLOCK", 64 * 500)
    monkeypatch.setattr(data, "load", lambda config: broken)
    with pytest.raises(type(error)):
        packing.pack(DIGITS, tmp_path / "digits.h5", quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(small_disk: Path) -> None:
    config = replace(DIGITS, image_size=48)  # 4 MB
    with pytest.raises(OSError, match="No space left"):
        packing.pack(config, small_disk / "digits.h5", quiet)
    assert list(small_disk.iterdir()) == []
