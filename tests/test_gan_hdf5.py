"""HDF5 files that somebody has made to read other files, or to fill the memory."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from gan import hdf5, samples
from gan.data import DataError, packed
from gan.samples import SamplesError, SampleStore

IMAGES = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(1, 2, 4, 4, 1)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that the one in question must not show."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["images"] = IMAGES
        file["labels"] = file["steps"] = np.array([1])
    (tmp_path / "run").mkdir()
    return tmp_path / "secret.h5"


def write(path: Path) -> h5py.File:
    """A samples file that lacks its images."""
    file = h5py.File(path, "w")
    file["labels"], file["steps"] = np.array([0, 1]), np.array([5])
    return file


def refused(path: Path) -> str:
    with pytest.raises(SamplesError) as error:
        samples.read(path)
    return str(error.value)


@pytest.mark.parametrize(
    "name",
    ["../secret.h5", "{there}", "samples/../../secret.h5", "secret.h5", "samples/secret.h5", "."],
)
def test_a_view_of_another_file_is_refused(secret: Path, name: str) -> None:
    path, name = secret.parent / "run" / "samples.h5", name.format(there=secret)
    with write(path) as file:
        layout = h5py.VirtualLayout(shape=IMAGES.shape, dtype=np.uint8)
        layout[:] = h5py.VirtualSource(name, "images", shape=IMAGES.shape)
        file.create_virtual_dataset("images", layout)
    assert "allowed: snapshots in samples/" in refused(path)


def test_a_snapshot_that_shows_another_file_is_refused(secret: Path) -> None:
    store = SampleStore(secret.parent / "run", {})
    store.add(5, IMAGES[0], np.array([0, 1]))
    store.path(5).unlink()
    with write(store.path(5)) as file:
        file["images"] = h5py.ExternalLink(str(secret), "images")
    assert "images is a link; allowed: data in the file itself" in refused(store.file)


@pytest.mark.parametrize("name", ["images", "labels", "steps"])
def test_a_link_to_another_file_is_refused(secret: Path, name: str) -> None:
    path = secret.parent / "run" / "generated.h5"
    with write(path) as file:
        file["images"] = IMAGES
        del file[name]
        file[name] = h5py.ExternalLink("../secret.h5", name)
    assert f"{name} is a link; allowed: data in the file itself" in refused(path)


def test_bytes_of_another_file_are_refused(secret: Path) -> None:
    path = secret.parent / "run" / "generated.h5"
    with write(path) as file:
        file.create_dataset(
            "images", IMAGES.shape, np.uint8, external=[(str(secret), 0, IMAGES.nbytes)]
        )
    assert "images is stored in other files" in refused(path)


def test_more_than_a_file_can_hold_is_refused_before_it_is_read(secret: Path) -> None:
    path = secret.parent / "run" / "generated.h5"
    with write(path) as file:
        file.create_dataset("images", (1 << 20, 1 << 10, 64, 64, 3), np.uint8, chunks=True)
    assert f"images declares {3 << 42} bytes" in refused(path)


def test_what_gzip_makes_small_is_read(tmp_path: Path) -> None:
    empty = np.zeros((3, 100, 64, 64, 3), np.uint8)
    path = tmp_path / "generated.h5"
    path.write_bytes(samples.pack_bytes(empty, np.zeros(100), np.arange(3), {}))
    assert path.stat().st_size < empty.nbytes / 100
    assert np.array_equal(samples.read(path).images, empty)


def packed_file(path: Path, counts: tuple[int, int] = (2, 1)) -> h5py.File:
    about = packed.About("x", ("a",), counts, 1, 4, "f")
    file = h5py.File(path, "w")
    file.attrs["about"], file.attrs["sha256"] = packed.msgspec.json.encode(about).decode(), "0"
    return file


def test_a_packed_set_that_declares_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.h5"
    with packed_file(path, (1 << 40, 1)) as file:
        file.create_dataset("train/images", (1 << 40, 1, 4, 4), np.uint8, chunks=(64, 1, 4, 4))
        file.create_dataset("train/labels", (1 << 40,), np.int64, chunks=(64,))
    with pytest.raises(DataError, match=f"train/images declares {1 << 44} bytes"):
        packed.PackedImages(path, "train", 4)
    with pytest.raises(DataError, match=f"train/labels declares {1 << 43} bytes"):
        packed.read_labels(path, "train")


def test_a_packed_set_whose_images_are_not_those_it_tells_of_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.h5"
    with packed_file(path) as file:
        file["train/images"] = np.zeros((3, 1, 4, 4), np.uint8)
    with pytest.raises(DataError, match=r"uint8 \(3, 1, 4, 4\); the file says uint8 \(2, 1, 4, 4"):
        packed.PackedImages(path, "train", 4)


def test_a_packed_set_that_shows_another_file_is_refused(secret: Path, tmp_path: Path) -> None:
    path = tmp_path / "set.h5"
    with packed_file(path) as file:
        file["train"] = h5py.ExternalLink(str(secret), "/")
    with pytest.raises(DataError, match="train/images is a link"):
        packed.PackedImages(path, "train", 4)
    with h5py.File(path) as file, pytest.raises(KeyError):
        hdf5.dataset(file, "test/images")
