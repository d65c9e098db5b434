"""What only loading, reading and training again can tell; all checksums agree here."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import whole_run
from whole_run import edit

from jobs.cli import main
from jobs.deep import Deep, read_whole
from jobs.run import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return whole_run.copy(tmp_path)


def alter(run: Run, step: int, change: Callable[[dict[str, Any]], object]) -> None:
    """Another state under a manifest, and a record, that vouch for it."""
    state = run.store().open(step).load()
    change(state)
    stream = io.BytesIO()
    torch.save(state, stream)
    content, folder = stream.getvalue(), run.store().path(step)
    entry = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "state.pt").write_bytes(content)
    edit(folder / "manifest.json", lambda manifest: manifest["files"].update({"state.pt": entry}))


def looked(run: Run, **options: Any) -> tuple[list[str], list[str]]:
    """Findings, and what was said."""
    said: list[str] = []
    return Deep(run, said.append, **options).look(), said


def test_training_again_ends_in_the_same_bits(run: Run, tmp_path: Path) -> None:
    before = sorted(path for path in run.path.rglob("*"))
    found, said = looked(run)
    assert found == []
    assert said == [
        "run: 2 checkpoints hold finite tensors that fit",
        "run: trains again from step 10 to 15 (5 steps)",
        "run: step 15 is the same to the last bit",
    ]
    assert sorted(path for path in run.path.rglob("*")) == before


def weight(state: dict[str, Any]) -> torch.Tensor:
    return next(iter(state["variant"]["networks"]["discriminator"].values()))


def test_one_bit_is_found_by_training_again(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    alter(run, 10, lambda state: weight(state).view(torch.int32).flatten()[0].bitwise_xor_(1))
    assert main(["verify", str(run.path), "--deep"]) == 1
    (line,) = [x for x in capsys.readouterr().out.splitlines() if "is not what training" in x]
    assert line.startswith(f"{run.store().path(15)} is not what training from step 10 ends in: /v")


def test_numbers_that_are_not_finite_are_named(run: Run) -> None:
    alter(run, 15, lambda state: weight(state).view(-1)[:2].fill_(float("nan")))
    (line,), _ = looked(run)
    assert "step-00000015: /variant/networks/discriminator/" in line
    assert line.endswith(" has 2 numbers that are not finite")


def test_a_shape_that_the_config_does_not_make(run: Run) -> None:
    def widen(state: dict[str, Any]) -> None:
        critic = state["variant"]["networks"]["discriminator"]
        critic[next(iter(critic))] = torch.zeros(3, 3)

    alter(run, 10, widen)
    (line,), _ = looked(run)
    assert " has shape (3, 3); the config makes it (" in line


def test_an_optimiser_that_cannot_be_gone_on_from(run: Run) -> None:
    def strange(state: dict[str, Any]) -> None:
        state["variant"]["optimizers"]["generator"]["none"] = {"step": torch.zeros(())}

    alter(run, 15, strange)
    (line,), _ = looked(run)
    assert line.endswith("cannot be gone on from: 'none'")


def test_a_stop_leaves_the_rest_unlooked_at(run: Run) -> None:
    found, said = looked(run, stop=lambda: "terminated")
    assert found == []
    assert not any("trains again" in line for line in said)


def test_the_time_for_training_again_is_limited(run: Run) -> None:
    found, said = looked(run, seconds=0.0)
    assert found == []
    assert said[-1] == "run: not compared: 0 of 5 steps done when the time for it ended it"


def test_other_numerics_are_no_reason_to_complain(run: Run) -> None:
    edit(run.attempt_file("train", 1), lambda r: r["numerics"].update(torch="1.0"))
    found, said = looked(run)
    assert found == []
    assert said[-1] == f"run: not trained again: torch was 1.0, is {torch.__version__}"


def test_a_damaged_chunk_of_a_data_set_is_found(tmp_path: Path) -> None:
    path = tmp_path / "set.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.arange(4096), chunks=(64,), fletcher32=True)
        file.create_dataset("scalar", data=3)
    assert read_whole(path) == []
    content = bytearray(path.read_bytes())
    content[content.index(np.arange(1024, 1030).tobytes())] ^= 1
    path.write_bytes(content)
    (line,) = read_whole(path)
    assert line.startswith(f"{path}: x cannot be read: ")
