import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from packed_sets import DIGITS, flip_bit, packed_digits
from PIL import Image

from gan import data
from gan.config import ConfigError, DataConfig
from gan.data import DataError, packed


@pytest.fixture
def digits(tmp_path: Path) -> DataConfig:
    return packed_digits(tmp_path)


def image_bytes_at(config: DataConfig, part: str, row: int) -> int:
    """Where in the file an image begins."""
    with h5py.File(config.root, "r") as file:
        images = file[f"{part}/images"]
        together = images.chunks[0]
        chunk = images.id.get_chunk_info_by_coord((row // together * together, 0, 0, 0))
        return chunk.byte_offset + row % together * images[row].nbytes


def test_a_packed_set_is_the_set(digits: DataConfig) -> None:
    plain, held = data.load(DIGITS), data.load(digits)
    lazy = data.load(replace(digits, memory_gb=0.0))
    assert isinstance(held.train_images, np.ndarray)
    assert not isinstance(lazy.train_images, np.ndarray)
    assert lazy.train_images.shape == plain.train_images.shape
    assert held.info == lazy.info == data.inspect(digits)
    assert replace(held.info, fingerprint="scikit-learn") == plain.info
    for part in ("train_images", "train_labels", "test_images", "test_labels"):
        expected = getattr(plain, part)
        for found in (getattr(held, part), getattr(lazy, part)[:]):
            assert found.dtype == expected.dtype
            assert np.array_equal(found, expected)


def test_rows_come_in_the_order_asked_for(digits: DataConfig) -> None:
    held = data.load(digits).train_images
    lazy = data.load(replace(digits, memory_gb=0.0)).train_images
    rows = np.array([900, 3, 3, 1437, 0])
    assert np.array_equal(lazy[rows], held[rows])
    assert np.array_equal(lazy[10:20], held[10:20])


@pytest.mark.parametrize("memory_gb", [0.0, 1.0])
def test_other_sizes_channels_and_shares_are_made_when_asked_for(
    digits: DataConfig, memory_gb: float
) -> None:
    settings = {"image_size": 12, "channels": "rgb", "train_share": 0.1}
    config = replace(digits, memory_gb=memory_gb, **settings)
    made, plain = data.load(config), data.load(DIGITS)
    assert made.info == data.inspect(config)
    assert made.train_images.shape == (144, 3, 12, 12)
    assert made.test_images.shape == (359, 3, 12, 12)
    larger = Image.fromarray(plain.test_images[5, 0]).resize((12, 12), Image.Resampling.BICUBIC)
    assert np.array_equal(made.test_images[5, 1], np.asarray(larger))
    few = data.load(replace(DIGITS, train_share=0.1))
    assert np.array_equal(made.train_labels, few.train_labels)
    small = data.load(replace(config, image_size=8, channels="as-is"))
    assert np.array_equal(small.train_images[:], few.train_images)


def test_points_are_not_resized(tmp_path: Path) -> None:
    config = packed_digits(tmp_path, DataConfig(name="ring", image_size=1))
    assert data.inspect(config).channels == 2
    with pytest.raises(ConfigError, match=r"data.image_size is 8; .*digits.h5 allows: 1, since"):
        data.inspect(replace(config, image_size=8))
    with pytest.raises(ConfigError, match=r"ring has points, not pictures"):
        data.inspect(replace(config, flip=True))


def test_what_is_missing_or_no_packed_set_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file. `ganymede data pack` makes packed sets"):
        data.inspect(DataConfig(name="packed", root=str(tmp_path)))
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(DataError, match=r"text.h5 is no packed data set, or damaged"):
        data.inspect(DataConfig(name="packed", root=str(tmp_path / "text.h5")))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = [1, 2, 3]
    with pytest.raises(DataError, match=r"other.h5 is no packed data set, or damaged"):
        data.inspect(DataConfig(name="packed", root=str(tmp_path / "other.h5")))


def test_another_format_is_refused(digits: DataConfig) -> None:
    with h5py.File(digits.root, "r+") as file:
        file.attrs["about"] = file.attrs["about"].replace("images 1", "images 2")
    with pytest.raises(DataError, match=r"has format 'ganymede images 2'; this version reads"):
        data.inspect(digits)


@pytest.mark.parametrize(("part", "row"), [("train", 0), ("train", 1437), ("test", 358)])
def test_a_flipped_bit_is_refused_before_anything_is_queued(
    digits: DataConfig, part: str, row: int
) -> None:
    data.inspect(digits)
    flip_bit(Path(digits.root), image_bytes_at(digits, part, row))
    with pytest.raises(DataError, match=rf"digits.h5: {part} images .* cannot be read"):
        data.inspect(digits)


def test_changed_labels_and_names_are_noticed(digits: DataConfig) -> None:
    with h5py.File(digits.root, "r+") as file:
        file["test/labels"][0] += 1
    with pytest.raises(DataError, match=r"digits.h5 is damaged: the SHA-256 of its contents is"):
        data.inspect(digits)
    with h5py.File(digits.root, "r+") as file:
        file["test/labels"][0] -= 1
    data.inspect(digits)
    with h5py.File(digits.root, "r+") as file:
        file.attrs["about"] = file.attrs["about"].replace('"0","1"', '"1","0"')
    with pytest.raises(DataError, match=r"digits.h5 is damaged"):
        data.inspect(digits)


@pytest.mark.parametrize("memory_gb", [0.0, 1.0])
def test_damage_that_leaves_no_trace_is_found_when_it_is_read(
    digits: DataConfig, memory_gb: float
) -> None:
    path = Path(digits.root)
    data.inspect(digits)
    status = path.stat()
    flip_bit(path, image_bytes_at(digits, "train", 700))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    data.inspect(digits)  # the note says that the file was verified
    with pytest.raises(DataError, match=r"train images? .* cannot be read"):
        data.load(replace(digits, memory_gb=memory_gb)).train_images[np.array([3, 700])]


def test_contents_are_read_once_as_long_as_the_file_stays(
    digits: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = []
    verify = packed.verify
    monkeypatch.setattr(packed, "verify", lambda path: verified.append(path) or verify(path))
    data.inspect(digits)
    data.inspect(digits)
    assert len(verified) == 1
    os.utime(digits.root)
    data.inspect(digits)
    assert len(verified) == 2
    note = Path(digits.root).with_name(".digits.h5.verified")
    note.write_text("{")
    data.inspect(digits)
    assert len(verified) == 3


def test_a_folder_that_cannot_be_written_is_no_obstacle(
    digits: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, value: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(packed.files, "write_json", refuse)
    assert data.inspect(digits).train_count == 1438
    assert [path.name for path in Path(digits.root).parent.iterdir()] == ["digits.h5"]
