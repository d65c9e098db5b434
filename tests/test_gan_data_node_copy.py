import errno
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from packed_sets import flip_bit, packed_digits

from gan import data
from gan.config import DataConfig
from gan.data import DataError, node_copy


@pytest.fixture
def digits(tmp_path: Path) -> DataConfig:
    (tmp_path / "far").mkdir()
    return replace(packed_digits(tmp_path / "far"), copy_to=str(tmp_path / "node"))


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("memory_gb", [0.0, 1.0])
def test_images_come_from_the_copy(digits: DataConfig, tmp_path: Path, memory_gb: float) -> None:
    info = data.inspect(digits)
    assert not (tmp_path / "node").exists()  # nothing is copied where the job is submitted
    images = data.load(replace(digits, memory_gb=memory_gb))
    assert images.info == info
    copy = f"digits-{info.fingerprint[:16]}.h5"
    assert visible(tmp_path / "node") == [copy]
    assert (tmp_path / "node" / copy).read_bytes() == Path(digits.root).read_bytes()
    if memory_gb == 0:
        assert images.train_images.path == tmp_path / "node" / copy


def test_variables_are_looked_up_in_the_job(
    digits: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(digits, copy_to="$NODE_STORAGE/mine")
    data.inspect(config)
    with pytest.raises(DataError, match=r"copy_to is '\$NODE_STORAGE/mine', .*that are set here"):
        data.load(config)
    monkeypatch.setenv("NODE_STORAGE", str(tmp_path / "scratch"))
    data.load(config)
    assert len(visible(tmp_path / "scratch" / "mine")) == 1


def test_the_copy_is_used_again_unless_it_is_damaged(digits: DataConfig, tmp_path: Path) -> None:
    expected = data.load(digits)
    copy = tmp_path / "node" / visible(tmp_path / "node")[0]
    before = copy.stat().st_mtime_ns
    data.load(digits)
    assert copy.stat().st_mtime_ns == before
    flip_bit(copy, copy.stat().st_size // 2)
    images = data.load(digits)
    assert np.array_equal(images.train_images, expected.train_images)
    assert copy.read_bytes() == Path(digits.root).read_bytes()


def test_another_set_of_the_same_name_gets_a_copy_of_its_own(
    digits: DataConfig, tmp_path: Path
) -> None:
    data.load(digits)
    other = packed_digits(tmp_path / "other", DataConfig(name="digits", image_size=16))
    data.load(replace(other, copy_to=digits.copy_to))
    assert len(visible(tmp_path / "node")) == 2


def test_a_set_that_does_not_fit_is_refused(tmp_path: Path, small_disk: Path) -> None:
    config = packed_digits(tmp_path, DataConfig(name="digits", image_size=48))  # 4 MB
    full = replace(config, copy_to=str(small_disk))
    with pytest.raises(
        DataError,
        match=r"has 0.003 GB free, .*digits.h5 needs 0.005; give another folder as --data",
    ):
        data.load(full)
    assert visible(small_disk) == []


def test_a_disk_that_fills_meanwhile_leaves_nothing(
    digits: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Path, target: Path) -> None:
        target.write_bytes(b"a part")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(node_copy.shutil, "copyfile", fail)
    with pytest.raises(DataError, match=r"cannot be copied to .*node \(data.copy_to\).*No space"):
        data.load(digits)
    assert visible(tmp_path / "node") == []
    assert not list((tmp_path / "node").glob(".aside-*"))


def test_a_folder_that_cannot_be_made_is_told(digits: DataConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DataError, match=r"cannot be copied to .*file/below \(data.copy_to\)"):
        data.load(replace(digits, copy_to=str(tmp_path / "file" / "below")))


def _load(config: DataConfig, barrier: "multiprocessing.synchronize.Barrier") -> int:
    barrier.wait()
    return int(data.load(config).train_images[:].sum())


def test_the_ranks_of_a_node_share_one_copy(digits: DataConfig, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(3) as pool:
        arguments = (replace(digits, memory_gb=0.0), manager.Barrier(3))
        sums = pool.starmap(_load, [arguments] * 3)
    assert sums == [int(data.load(replace(digits, copy_to="")).train_images.sum())] * 3
    assert len(visible(tmp_path / "node")) == 1
