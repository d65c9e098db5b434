from hashlib import md5
from pathlib import Path

import numpy as np
import pytest

from gan import data
from gan.config import DataConfig
from gan.data import DataError, svhn

scipy_io = pytest.importorskip("scipy.io")


@pytest.fixture
def small_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """SVHN's own file format with a few images; torchvision and we are told their checksums."""
    return write(tmp_path, monkeypatch, labels=[1, 10, 3, 9])


def write(root: Path, monkeypatch: pytest.MonkeyPatch, labels: list[int]) -> dict[str, np.ndarray]:
    from torchvision.datasets import SVHN

    generator, pixels, known = np.random.default_rng(0), {}, {}
    for part in ("train", "test"):
        path = root / f"{part}_32x32.mat"
        pixels[part] = generator.integers(0, 256, (32, 32, 3, len(labels)), dtype=np.uint8)
        scipy_io.savemat(path, {"X": pixels[part], "y": np.array(labels, np.uint8)[:, None]})
        known[part] = ["", path.name, md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(SVHN, "split_list", known)
    monkeypatch.setattr(svhn, "_MD5", {name: digest for _, name, digest in known.values()})
    return pixels


def config(root: Path, size: int = 32) -> DataConfig:
    return DataConfig(name="svhn", root=str(root), image_size=size)


def test_svhn_is_read_through_torchvision(
    small_svhn: dict[str, np.ndarray], tmp_path: Path
) -> None:
    info = data.inspect(config(tmp_path))
    assert (info.train_count, info.test_count, info.channels) == (73_257, 26_032, 3)
    images = data.load(config(tmp_path))
    assert images.train_labels.tolist() == [1, 0, 3, 9]  # the file's 10 is the digit 0
    assert np.array_equal(images.test_images[2], small_svhn["test"][..., 2].transpose(2, 0, 1))
    assert data.load(config(tmp_path, 16)).train_images.shape == (4, 3, 16, 16)


def test_absent_and_damaged_files_are_named(
    small_svhn: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "test_32x32.mat"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(DataError, match=r"test_32x32.mat is not the published file"):
        data.inspect(config(tmp_path))
    path.unlink()
    with pytest.raises(DataError, match=r"test_32x32.mat is missing\); give the folder that holds"):
        data.inspect(config(tmp_path))


def test_label_outside_its_range_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, monkeypatch, labels=[1, 2, 11])
    with pytest.raises(DataError, match=r"train_32x32.mat: label 11 of image 2; allowed: 0 to 9"):
        data.load(config(tmp_path))


def test_checksums_are_those_that_torchvision_knows() -> None:
    from torchvision.datasets import SVHN

    for name, digest in svhn._MD5.items():
        assert SVHN.split_list[name.partition("_")[0]][1:] == [name, digest]
