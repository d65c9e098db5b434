import gzip
from collections.abc import Callable
from dataclasses import replace
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest

from gan import data
from gan.config import DataConfig
from gan.data import DataError, emnist, fashionmnist, idx, mnist

COUNTS = (30, 10)
SETS = {"mnist": mnist, "fashionmnist": fashionmnist}


def encode(values: np.ndarray) -> bytes:
    return (
        bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">u4").tobytes() + values.tobytes()
    )


def write_set(root: Path, files: idx.IdxSet, labels: range, packed: bool = True) -> idx.IdxSet:
    """A made set in these files' format and place; returns its description, checksums included."""
    folder, generator, sums = root / files.title / "raw", np.random.default_rng(0), {}
    folder.mkdir(parents=True)
    made = replace(files, counts=COUNTS)
    for part in made.parts:
        images = generator.integers(0, 256, (part.count, 28, 28), dtype=np.uint8)
        numbers = np.resize(np.array(labels, np.uint8), part.count)
        for name, values in ((part.images, images), (part.labels, numbers)):
            content = encode(values)
            sums[name] = md5(content).hexdigest()
            if packed:
                content, name = gzip.compress(content), f"{name}.gz"
                sums[name] = md5(content).hexdigest()
            (folder / name).write_bytes(content)
    return replace(made, md5=sums if files.md5 else {})


@pytest.fixture(params=SETS)
def small_set(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A set of 30 + 10 images below tmp_path, packed."""
    module = SETS[request.param]
    monkeypatch.setattr(module, "FILES", write_set(tmp_path, module.FILES, range(10)))
    return request.param


@pytest.fixture
def small_emnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> idx.IdxSet:
    made = write_set(tmp_path, emnist.files("letters"), range(1, 27))
    monkeypatch.setattr(emnist, "files", lambda split: made)
    return made


def config(name: str, root: Path, size: int = 28) -> DataConfig:
    return DataConfig(name=name, root=str(root), image_size=size)


def first_images(root: Path, files: idx.IdxSet) -> np.ndarray:
    packed = (root / files.title / "raw" / f"{files.parts[0].images}.gz").read_bytes()
    return np.frombuffer(gzip.decompress(packed)[16:], np.uint8).reshape(-1, 28, 28)


def test_images_are_the_files_bytes_whether_packed_or_not(small_set: str, tmp_path: Path) -> None:
    images = data.load(config(small_set, tmp_path))
    assert images.info == data.inspect(config(small_set, tmp_path))
    assert (images.info.train_count, images.info.test_count, images.info.channels) == (30, 10, 1)
    raw = first_images(tmp_path, SETS[small_set].FILES)
    assert np.array_equal(images.train_images, raw[:, None])
    assert images.train_labels.tolist() == [*range(10)] * 3
    for path in (tmp_path / SETS[small_set].FILES.title / "raw").iterdir():
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    unpacked = data.load(config(small_set, tmp_path))
    assert unpacked.info == images.info
    assert np.array_equal(unpacked.train_images, images.train_images)
    assert np.array_equal(unpacked.test_images, images.test_images)


def test_arrays_can_be_written_to(small_set: str, tmp_path: Path) -> None:
    images = data.load(config(small_set, tmp_path))
    assert images.train_images.flags.writeable  # else torch warns, and warnings are errors
    assert images.test_images.flags.writeable


def test_nothing_is_written_beside_the_files(small_set: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    data.load(config(small_set, tmp_path))
    assert sorted(tmp_path.rglob("*")) == before


def test_other_sizes_are_resized(small_set: str, tmp_path: Path) -> None:
    images = data.load(config(small_set, tmp_path, size=16))
    assert images.train_images.shape == (30, 1, 16, 16)
    assert images.test_images.shape == (10, 1, 16, 16)


@pytest.mark.parametrize("packed", [True, False])
def test_a_flipped_bit_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr(mnist, "FILES", write_set(tmp_path, mnist.FILES, range(10), packed))
    victim = next((tmp_path / "MNIST" / "raw").glob("t10k-images*"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 4
    victim.write_bytes(content)
    with pytest.raises(DataError, match=rf"{victim.name} is not the published file: its MD5 is"):
        data.inspect(config("mnist", tmp_path))


def test_what_is_missing_is_named_with_the_remedy(small_set: str, tmp_path: Path) -> None:
    title = SETS[small_set].FILES.title
    next((tmp_path / title / "raw").glob("t10k-labels*")).unlink()
    with pytest.raises(
        DataError,
        match=rf"t10k-labels-idx1-ubyte.gz is missing\); give the folder above {title}/raw as "
        "--data.root, or --data.download",
    ):
        data.inspect(config(small_set, tmp_path))


def test_checksums_are_those_that_torchvision_knows() -> None:
    from torchvision import datasets

    for module in SETS.values():
        known = dict(getattr(datasets, module.FILES.title).resources)
        assert {name: module.FILES.md5[name] for name in known} == known
        names = {name for part in module.FILES.parts for name in (part.images, part.labels)}
        assert module.FILES.md5.keys() == known.keys() | names


def test_letters_stand_upright_and_count_from_zero(
    small_emnist: idx.IdxSet, tmp_path: Path
) -> None:
    images = data.load(config("emnist", tmp_path))
    assert images.info.classes[0] == "A"
    assert images.info.classes[-1] == "Z"
    assert images.train_labels[:27].tolist() == [*range(26), 0]
    raw = first_images(tmp_path, small_emnist)
    assert np.array_equal(images.train_images[7, 0], raw[7].T)
    assert images.train_images.flags["C_CONTIGUOUS"]


def test_images_may_be_handed_to_torch(small_set: str, tmp_path: Path) -> None:
    import torch

    images = data.load(config(small_set, tmp_path))
    assert torch.from_numpy(images.train_images).shape == (30, 1, 28, 28)  # read-only would warn


def test_other_letters_have_another_fingerprint(small_emnist: idx.IdxSet, tmp_path: Path) -> None:
    before = data.inspect(config("emnist", tmp_path))
    path = tmp_path / "EMNIST" / "raw" / f"{small_emnist.parts[1].images}.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1] ^= 1
    path.write_bytes(gzip.compress(content))
    after = data.inspect(config("emnist", tmp_path))
    assert after.fingerprint != before.fingerprint
    assert replace(after, fingerprint="") == replace(before, fingerprint="")


@pytest.mark.parametrize("split", ["letters", "balanced", "bymerge", "byclass", "digits", "mnist"])
def test_every_selection_has_torchvisions_files_and_classes(split: str, tmp_path: Path) -> None:
    from torchvision.datasets import EMNIST

    files = emnist.files(split)
    theirs = [str(name) for name in EMNIST.classes_split_dict[split] if name != "N/A"]
    assert [name.lower() for name in files.classes] == [name.lower() for name in theirs]
    if split != "letters":
        assert list(files.classes) == theirs
    names = [f"emnist-{split}-{part}-images-idx3-ubyte" for part in ("train", "test")]
    assert [part.images for part in files.parts] == names


def spoil_label(content: bytes) -> bytes:
    return content[:-1] + b"\x1b"


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("labels", spoil_label, r"label 27 of image 9; allowed: 1 to 26"),
        ("labels", lambda c: c[:8] + b"\x00" + c[9:], r"label 0 of image 0; allowed: 1 to 26"),
        ("images", lambda c: c[:-1], r"holds 7855 bytes .* allowed: 7856 that begin with 00000803"),
        ("images", lambda c: b"\x00\x00\x0d" + c[3:], r"begin with 00000d03"),
        ("images", lambda c: c[:4] + b"\0\0\0\x09" + c[8:], r"an idx file of \(10, 28, 28\) bytes"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_is_refused(
    small_emnist: idx.IdxSet,
    tmp_path: Path,
    name: str,
    spoil: Callable[[bytes], bytes],
    message: str,
) -> None:
    path = tmp_path / "EMNIST" / "raw" / f"{getattr(small_emnist.parts[1], name)}.gz"
    path.write_bytes(gzip.compress(spoil(gzip.decompress(path.read_bytes()))))
    with pytest.raises(DataError, match=rf"{path.name}.*{message}"):
        data.inspect(config("emnist", tmp_path))


def test_gzips_own_checksum_is_compared(small_emnist: idx.IdxSet, tmp_path: Path) -> None:
    path = tmp_path / "EMNIST" / "raw" / f"{small_emnist.parts[0].images}.gz"
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in the checksum of the contents
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{path.name} cannot be read: CRC check failed"):
        data.inspect(config("emnist", tmp_path))
    path.write_bytes(content[:-2000])
    with pytest.raises(DataError, match=rf"{path.name} cannot be read"):
        data.inspect(config("emnist", tmp_path))
