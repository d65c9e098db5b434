import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from gan.samples import SamplesError, SampleStore, pack_bytes, read

LABELS = np.arange(6) % 3


def images(step: int) -> np.ndarray:
    return np.random.default_rng(step).integers(0, 256, (6, 8, 8, 1), dtype=np.uint8)


@pytest.fixture
def store(tmp_path: Path) -> SampleStore:
    store = SampleStore(tmp_path / "run", {"recipe": "x", "seed": 3})
    for step in (10, 20, 30):
        store.add(step, images(step), LABELS)
    return store


def test_view_shows_every_snapshot_from_anywhere(
    store: SampleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    with h5py.File(store.file, "r") as file:  # any HDF5 program, not only our reader
        assert file["images"].is_virtual
        for place, step in enumerate((10, 20, 30)):
            assert np.array_equal(file["images"][place], images(step))
    samples = read(store.file)
    assert samples.steps.tolist() == [10, 20, 30]
    assert np.array_equal(samples.labels, LABELS)
    assert samples.attributes == {"recipe": "x", "seed": 3}


def test_view_moves_with_its_folder(store: SampleStore, tmp_path: Path) -> None:
    store.folder.rename(tmp_path / "moved")
    assert np.array_equal(read(tmp_path / "moved" / "samples.h5").images[1], images(20))


def test_a_replayed_step_writes_the_same_bytes(store: SampleStore) -> None:
    paths = [store.file, store.path(30)]
    before = [path.read_bytes() for path in paths]
    time.sleep(1.1)  # HDF5 would note the second
    store.add(30, images(30), LABELS)
    assert [path.read_bytes() for path in paths] == before


def test_missing_or_damaged_snapshot_is_an_error_not_zeros(store: SampleStore) -> None:
    content = store.path(20).read_bytes()
    store.path(20).write_bytes(content[:100])
    with pytest.raises(SamplesError, match=r"step-00000020\.h5 cannot be read"):
        read(store.file)
    store.path(20).unlink()
    with pytest.raises(SamplesError, match=r"step-00000020\.h5 is missing"):
        read(store.file)


def test_view_can_be_read_while_it_is_rewritten(store: SampleStore) -> None:
    with h5py.File(store.file, "r", locking=False) as open_view:
        store.add(40, images(40), LABELS)
        assert open_view["images"].shape[0] == 3
    assert read(store.file).steps.tolist() == [10, 20, 30, 40]


def test_packing_leaves_one_plain_equal_file(store: SampleStore) -> None:
    before = read(store.file)
    store.pack()
    assert not store.snapshots.exists()
    with h5py.File(store.file, "r") as file:
        assert not file["images"].is_virtual
    after = read(store.file)
    assert np.array_equal(after.images, before.images)
    assert after.steps.tolist() == before.steps.tolist()
    assert after.attributes == before.attributes
    store.pack()  # once more is no error
    assert np.array_equal(read(store.file).images, before.images)


def test_packed_shape_is_time_count_height_width_channels(tmp_path: Path) -> None:
    path = tmp_path / "one.h5"
    path.write_bytes(pack_bytes(images(1)[None], LABELS, np.array([1]), {}))
    samples = read(path)
    assert samples.images.shape == (1, 6, 8, 8, 1)
    assert samples.images.dtype == np.uint8


def test_training_again_after_packing_loses_no_snapshot(store: SampleStore) -> None:
    view = store.file.read_bytes()
    store.pack()
    store.add(30, images(30), LABELS)
    assert store.file.read_bytes() == view
    assert read(store.file).steps.tolist() == [10, 20, 30]


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ((3, 100, 32, 32, 3), (1, 10, 32, 32, 3)),
        ((3, 4, 16, 16, 1), (1, 4, 16, 16, 1)),
        ((2, 5, 256, 256, 3), (1, 1, 256, 256, 3)),
    ],
)
def test_whole_images_of_one_step_are_packed_together(
    shape: tuple[int, ...], chunks: tuple[int, ...], tmp_path: Path
) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "samples.h5"
    path.write_bytes(pack_bytes(images, np.arange(shape[1]), np.arange(shape[0]), {}))
    with h5py.File(path) as file:
        assert file["images"].chunks == chunks
    assert np.array_equal(read(path).images, images)


def test_no_images_at_all_can_be_packed(tmp_path: Path) -> None:
    images = np.zeros((2, 0, 4, 4, 3), dtype=np.uint8)
    path = tmp_path / "samples.h5"
    path.write_bytes(pack_bytes(images, np.arange(0), np.arange(2), {}))
    assert read(path).images.shape == images.shape
