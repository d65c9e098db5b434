import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan import data
from gan.config import ACGANConfig, ConfigError, DataConfig
from gan.data import DataError, cifar10


def paint(path: Path, colour: tuple[int, int, int] = (10, 20, 30), size: tuple = (16, 16)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def folder(root: Path, **settings: object) -> DataConfig:
    return DataConfig(name="folder", root=str(root), image_size=8, **settings)


def test_digits_are_real_balanced_and_split_the_same_every_time() -> None:
    config = DataConfig(name="digits", image_size=16)
    images, info = data.load(config), data.inspect(config)
    assert images.info == info
    assert images.train_images.shape == (info.train_count, 1, 16, 16)
    assert len(images.test_labels) == info.test_count
    assert info.train_count + info.test_count == 1797
    assert np.bincount(images.test_labels).min() > 20
    again = data.load(config)
    assert np.array_equal(images.test_images, again.test_images)
    frame = images.train_images[:, :, [0, 1, -2, -1], :]
    assert frame.max() == 0  # the margin
    assert images.train_images.max() == 255


def test_unknown_set_lists_the_sets() -> None:
    with pytest.raises(ConfigError, match="'mnits'; allowed: digits, cifar10, mnist, fashionmnist"):
        data.inspect(DataConfig(name="mnits"))


def test_folders_by_class_become_labels(tmp_path: Path) -> None:
    for i in range(6):
        paint(tmp_path / "red" / f"{i}.png", (255, 0, 0))
        paint(tmp_path / "blue" / f"{i}.jpg", (0, 0, 255), size=(20, 12))
    images = data.load(folder(tmp_path, test_fraction=0.25))
    assert images.info.classes == ("blue", "red")
    assert images.info.train_count == len(images.train_labels) == 9
    for picture, label in zip(images.train_images, images.train_labels, strict=True):
        assert picture.shape == (3, 8, 8)
        assert picture[2 if label == 0 else 0].min() > 200


def test_own_test_part_is_used(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("test", 2)):
        for i in range(count):
            paint(tmp_path / part / "cat" / f"{i}.png")
    info = data.inspect(folder(tmp_path))
    assert (info.train_count, info.test_count, info.classes) == (4, 2, ("cat",))


def test_pictures_without_classes_make_one(tmp_path: Path) -> None:
    for i in range(5):
        paint(tmp_path / f"{i}.png")
    assert data.inspect(folder(tmp_path)).classes == ("image",)


def test_missing_empty_and_truncated_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        data.inspect(folder(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="0 training and 0 test pictures; at least one"):
        data.inspect(folder(tmp_path / "empty"))
    for i in range(5):
        paint(tmp_path / "broken" / f"{i}.png", size=(64, 64))
    victim = tmp_path / "broken" / "3.png"
    victim.write_bytes(victim.read_bytes()[:60])
    with pytest.raises(DataError, match=r"broken/3\.png is no readable picture"):
        data.inspect(folder(tmp_path / "broken"))


def test_test_classes_must_be_known(tmp_path: Path) -> None:
    paint(tmp_path / "train" / "cat" / "0.png")
    paint(tmp_path / "test" / "dog" / "0.png")
    with pytest.raises(DataError, match=r"classes that train/ lacks: \['dog'\]"):
        data.inspect(folder(tmp_path))


@pytest.fixture
def small_cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10's own file format with four images a file; torchvision is told their checksums."""
    from torchvision.datasets import CIFAR10

    root, generator = tmp_path / "cifar-10-batches-py", np.random.default_rng(0)
    root.mkdir()
    sums = {}
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        pixels = generator.integers(0, 256, (4, 3072), dtype=np.uint8)
        content = pickle.dumps({"data": pixels, "labels": [0, 3, 9, 1]})
        (root / name).write_bytes(content)
        sums[name] = hashlib.md5(content).hexdigest()
    meta = pickle.dumps({"label_names": list("abcdefghij")})
    (root / "batches.meta").write_bytes(meta)
    monkeypatch.setattr(CIFAR10, "train_list", [[n, s] for n, s in sums.items() if "data" in n])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    checksum = hashlib.md5(meta).hexdigest()
    monkeypatch.setitem(CIFAR10.meta, "md5", checksum)
    monkeypatch.setattr(cifar10, "_MD5", sums | {"batches.meta": checksum})
    return tmp_path


def test_cifar10_is_read_through_torchvision(small_cifar10: Path) -> None:
    config = DataConfig(name="cifar10", root=str(small_cifar10), image_size=32)
    assert data.inspect(config).train_count == 50_000
    images = data.load(config)
    assert images.train_images.shape == (20, 3, 32, 32)
    assert images.train_labels[:4].tolist() == [0, 3, 9, 1]
    with (small_cifar10 / "cifar-10-batches-py" / "data_batch_1").open("rb") as file:
        first = pickle.load(file)["data"][0].reshape(3, 32, 32)
    assert np.array_equal(images.train_images[0], first)
    smaller = DataConfig(name="cifar10", root=str(small_cifar10), image_size=16)
    assert data.load(smaller).test_images.shape == (4, 3, 16, 16)


def test_absent_cifar10_tells_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"data_batch_1 is missing\); give the folder .* --data.root"
    ):
        data.inspect(DataConfig(name="cifar10", root=str(tmp_path)))


def test_wrong_checksum_is_refused(small_cifar10: Path) -> None:
    path = small_cifar10 / "cifar-10-batches-py" / "data_batch_2"
    path.write_bytes(path.read_bytes() + b" ")
    for ask in (data.inspect, data.load):
        with pytest.raises(DataError, match="data_batch_2 is not the published file"):
            ask(DataConfig(name="cifar10", root=str(small_cifar10)))


def test_checksums_are_those_that_torchvision_knows() -> None:
    from torchvision.datasets import CIFAR10

    meta = {CIFAR10.meta["filename"]: CIFAR10.meta["md5"]}
    assert dict(CIFAR10.train_list + CIFAR10.test_list) | meta == cifar10._MD5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: DataConfig(image_size=0), "data.image_size is 0; allowed: 1 to 512"),
        (
            lambda: ACGANConfig(data=DataConfig(image_size=20)),
            "data.image_size is 20; acgan allows: 4 times a power of two",
        ),
        (lambda: DataConfig(test_fraction=0.0), "data.test_fraction is 0.0; allowed: between"),
        (lambda: DataConfig(jitter=-1), "data.jitter is -1"),
    ],
)
def test_impossible_settings_name_the_field(change: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        change()
