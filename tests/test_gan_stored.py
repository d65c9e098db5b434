"""config.json: what a folder says of itself."""

import json
from pathlib import Path

import pytest

from gan import data, stored
from gan.config import ACGANConfig
from gan.stored import RunError
from jobs.run import Run


@pytest.fixture
def run(tmp_path: Path, tiny_acgan: ACGANConfig) -> Run:
    run = Run(tmp_path / "one")
    run.write("acgan-digits", tiny_acgan, data.inspect(tiny_acgan.data), 1)
    return run


def test_config_and_data_come_back_as_they_were(run: Run, tiny_acgan: ACGANConfig) -> None:
    settings = stored.read(run.path)
    assert stored.config(settings, run.path) == tiny_acgan
    assert stored.data_info(settings, run.path) == data.inspect(tiny_acgan.data)
    assert stored.provenance(settings) == {
        "recipe": "acgan-digits",
        "seed": 0,
        "identity": settings["identity"],
        "content": "generated images, not photographs",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"name": "digits"}}, "config.json cannot be used: .*train_count"),
        ({"config": {"seed": "none"}}, "config.json cannot be used: .*seed"),
        ({"variant": "nonsense"}, "holds no training run of its own"),
        ({"format": 2}, "has format 2; this version reads format 1"),
    ],
)
def test_what_cannot_be_used_is_named(run: Run, change: dict, message: str) -> None:
    run.config_file.write_text(json.dumps(run.settings() | change))

    def use() -> None:
        settings = stored.read(run.path)
        stored.config(settings, run.path)
        stored.data_info(settings, run.path)

    with pytest.raises(RunError, match=message):
        use()


def test_a_folder_of_runs_names_them(run: Run) -> None:
    with pytest.raises(RunError, match=rf"has no config\.json; there are: {run.path}"):
        stored.read(run.path.parent)
    with pytest.raises(RunError, match=r"config\.json is no run: it has no config\.json"):
        stored.read(run.config_file)


def test_an_exported_folder_is_no_run(run: Run) -> None:
    assert run.exists
    (run.path / "weights.safetensors").write_bytes(b"")
    assert stored.is_export(run.path)
    assert not run.exists
