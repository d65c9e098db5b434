"""The exported folder: written and read back, bit for bit."""

import hashlib
from pathlib import Path

import pytest
import safetensors.numpy
import torch
from torch import nn

from checkpoints import CheckpointError
from gan import exported, stored

SETTINGS = {
    "format": 1,
    "recipe": "r",
    "step": 2,
    "total_steps": 5,
    "checkpoint_sha256": "abc",
    "data": {"channels": 3},
    "config": {"data": {"image_size": 8}},
}


@pytest.fixture
def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    layered = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    layered.to(memory_format=torch.channels_last)
    return {"generator": layered, "generator_ema": nn.Linear(2, 2)}


def test_tensors_come_back_as_they_were(tmp_path: Path, networks: dict[str, nn.Module]) -> None:
    exported.write(tmp_path, SETTINGS, networks, "sample", "mine")
    weights = exported.read(tmp_path, stored.read(tmp_path))
    assert (weights.step, weights.checksum) == (2, "abc")
    assert weights.networks.keys() == networks.keys()
    for name, network in networks.items():
        state = network.state_dict()
        assert weights.networks[name].keys() == state.keys()
        for key, tensor in state.items():
            assert torch.equal(weights.networks[name][key], tensor)
            assert weights.networks[name][key].dtype == tensor.dtype


def test_other_programs_read_the_weights(tmp_path: Path, networks: dict[str, nn.Module]) -> None:
    exported.write(tmp_path, SETTINGS, networks, "sample", "mine")
    arrays = safetensors.numpy.load_file(tmp_path / "weights.safetensors")
    assert arrays["generator.0.weight"].shape == (4, 3, 3, 3)
    assert (arrays["generator_ema.bias"] == networks["generator_ema"].bias.detach().numpy()).all()


def test_the_same_networks_give_the_same_bytes(
    tmp_path: Path, networks: dict[str, nn.Module]
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        exported.write(tmp_path / name, SETTINGS, networks, "sample", "mine")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_the_note_says_what_it_is(tmp_path: Path, networks: dict[str, nn.Module]) -> None:
    exported.write(tmp_path, SETTINGS, networks, "sample", "mine")
    note = (tmp_path / "README.md").read_text()
    assert note.startswith("# r, step 2 of 5\n")
    assert "generator, generator_ema. Their training was not finished." in note
    assert "gan.load('mine')" in note
    assert "(16, 3, 8, 8)" in note
    assert "generated, not photographs" in note
    (tmp_path / "b").mkdir()
    judge = {"discriminator": networks["generator"]}
    exported.write(tmp_path / "b", SETTINGS | {"step": 5}, judge, "classify", "b")
    note = (tmp_path / "b" / "README.md").read_text()
    assert "model.classify(images)" in note
    assert "not finished" not in note
    assert "generated" not in note


def test_damage_is_named(tmp_path: Path, networks: dict[str, nn.Module]) -> None:
    exported.write(tmp_path, SETTINGS, networks, "sample", "mine")
    settings, path = stored.read(tmp_path), tmp_path / "weights.safetensors"
    with pytest.raises(CheckpointError, match=r"config\.json cannot be used: 'weights'"):
        exported.read(tmp_path, {"step": 1})
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="its SHA-256 differs"):
        exported.read(tmp_path, settings)
    path.unlink()
    with pytest.raises(CheckpointError, match=r"weights\.safetensors is missing"):
        exported.read(tmp_path, settings)


def test_what_is_no_table_of_tensors_is_refused(
    tmp_path: Path, networks: dict[str, nn.Module]
) -> None:
    """Even where the checksum has been made to agree."""
    exported.write(tmp_path, SETTINGS, networks, "sample", "mine")
    settings, path = stored.read(tmp_path), tmp_path / "weights.safetensors"
    path.write_bytes(b"\x80\x04 not tensors")
    entry = {"size": 14, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    with pytest.raises(CheckpointError, match=r"weights\.safetensors cannot be read"):
        exported.read(tmp_path, settings | {"weights": entry})
