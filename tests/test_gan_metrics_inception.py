"""The Inception network, on weights made up here: the real ones are 96 MB from elsewhere."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import inception_weights
import numpy as np
import pytest
import safetensors.torch
import torch
from inception_weights import Weights

from gan.config import ConfigError
from gan.metrics import inception, judged


@pytest.fixture(scope="module")
def weights() -> Weights:
    return inception_weights.made_up()


@pytest.fixture(scope="module")
def file(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(weights, path)
    return path


def images(count: int, channels: int, size: int) -> np.ndarray:
    random = np.random.Generator(np.random.Philox(key=7))
    return random.integers(0, 256, (count, channels, size, size)).astype(np.uint8)


# What torch-fidelity 0.4.0 gives for these weights and images: features (or logits without their
# bias) of the second image, and mean and deviation over both.
EXPECTED = {
    (3, 32): (
        ((3.32016, 3.26185, 0.00393), 0.717714, 0.974656),
        ((0.58177, -0.75808, 1.44809), -0.040217, 1.719526),
    ),
    (1, 28): (
        ((2.59080, 2.66784, 0.00020), 0.597395, 0.813080),
        ((0.35412, -0.63977, 1.00395), -0.037708, 1.430954),
    ),
}


@pytest.mark.parametrize(("channels", "size"), EXPECTED)
def test_network_is_the_one_of_published_figures(file: Path, channels: int, size: int) -> None:
    look = inception.Inception(file)
    found = judged(look, images(2, channels, size), None, "cpu")
    assert found.features.shape == (2, inception.FEATURES)
    assert found.logits.shape == (2, inception.CLASSES)
    for values, expected in zip(
        (found.features, found.logits), EXPECTED[channels, size], strict=True
    ):
        assert values[1, :3].tolist() == pytest.approx(expected[0], abs=1e-4)
        assert float(values.double().mean()) == pytest.approx(expected[1], abs=1e-5)
        assert float(values.double().std()) == pytest.approx(expected[2], abs=1e-5)
        assert not values.requires_grad


def test_images_are_enlarged_as_by_tensorflow_1() -> None:
    """Output pixel i of 299 lies at input place i S / 299."""
    given = torch.rand(1, 2, 20, 20, generator=torch.Generator().manual_seed(0))
    found = inception.enlarge(given)
    assert found.shape == (1, 2, 299, 299)
    image = given[0, 1].double().numpy()
    for row, column in ((0, 0), (100, 37), (298, 298), (150, 290)):
        y, x = row * 20 / 299, column * 20 / 299
        top, left = int(y), int(x)
        bottom, right = min(top + 1, 19), min(left + 1, 19)
        down, along = y - top, x - left
        upper = image[top, left] * (1 - along) + image[top, right] * along
        lower = image[bottom, left] * (1 - along) + image[bottom, right] * along
        assert float(found[0, 1, row, column]) == pytest.approx(
            upper * (1 - down) + lower * down, abs=1e-5
        )
    assert torch.equal(inception.enlarge(found), found)


def test_a_good_file_is_told_by_its_checksum(file: Path, weights: Weights, tmp_path: Path) -> None:
    known = inception.check(file)
    assert known.path == file
    assert known.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert not known.published
    assert inception.InceptionFile(file, "6726825d0af5f729").published
    plain = tmp_path / "inception.safetensors"
    safetensors.torch.save_file(weights, plain)
    assert inception.check(plain).sha256 != known.sha256
    first, second = (inception.Inception(path).network.state_dict() for path in (file, plain))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


class Harmful:
    """What runs code when it is unpickled without care."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("harm"),)


def torchvisions(weights: Weights) -> Weights:
    return weights | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}


def without(weights: Weights, name: str) -> Weights:
    return {known: tensor for known, tensor in weights.items() if known != name}


BAD: dict[str, tuple[Callable[[Weights], Any], str]] = {
    "torchvision's": (torchvisions, r"fc.weight is \(1000, 2048\), expected \(1008, 2048\); fc.b"),
    "one missing": (
        lambda w: without(w, "Mixed_5b.branch1x1.conv.weight"),
        r"Mixed_5b.branch1x1.conv.weight is missing, expected \(64, 192, 1, 1\)",
    ),
    "another network": (lambda w: {"a": torch.zeros(3)}, "and 469 more"),
    "a list": (lambda w: [torch.zeros(3)], "it holds a list"),
    "code": (lambda w: Harmful(), "it cannot be read as tensors alone"),
}


@pytest.mark.parametrize("kind", BAD)
def test_files_of_other_things_are_refused(
    kind: str, weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, message = BAD[kind]
    torch.save(make(weights), tmp_path / "bad.pth")
    with pytest.raises(ConfigError, match=message) as refused:
        inception.check(tmp_path / "bad.pth")
    assert str(tmp_path / "bad.pth") in str(refused.value)
    assert str(refused.value).endswith("as a state dict in .pth or .safetensors")
    with pytest.raises(ConfigError, match=message):
        inception.Inception(tmp_path / "bad.pth")
    assert not (tmp_path / "harm").exists()


def test_unreadable_files_are_refused(file: Path, tmp_path: Path) -> None:
    contents = {
        "empty.pth": b"",
        "text.pth": b"<html>404: not found</html>",
        "short.pth": file.read_bytes()[:100_000],
        "empty.safetensors": b"",
        "pickle.safetensors": file.read_bytes()[:1000],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=f"{name}: it cannot be read.*; allowed: the 1,008"):
            inception.check(tmp_path / name)
    (tmp_path / "folder.pth").mkdir()
    for name in ("folder.pth", "absent.pth"):
        with pytest.raises(ConfigError, match=f"{name}: there is no such file; allowed"):
            inception.check(tmp_path / name)


def test_points_are_no_pictures(file: Path) -> None:
    with pytest.raises(ValueError, match="images have 2 channels; allowed: 1 or 3"):
        inception.Inception(file)(torch.zeros(3, 2, 1, 1, dtype=torch.uint8))
