import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from gan import data
from gan.config import DataConfig
from gan.data import DataError, cifar10


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
