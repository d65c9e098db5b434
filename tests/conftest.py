"""Fixtures shared by all tests: tiny runs that train in a second."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from processes import Ranks
from trainers import build_trainer

from gan import numerics, recipes, simclr_recipes
from gan.config import (
    ACGANConfig,
    ClassifierConfig,
    EncoderClassifierConfig,
    RunConfig,
    SimCLRConfig,
)
from gan.trainer import Trainer

# Every flag that turns a digits recipe into something that trains in a second.
TINY_FLAGS = (
    "--data.image-size", "8", "--model.width", "4", "--train.epochs", "2",
    "--train.passes-per-epoch", "1", "--train.log-every", "5", "--threads", "1",
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> None:
    numerics.configure(1)


def _tiny(config: RunConfig) -> RunConfig:
    return replace(
        config,
        data=replace(config.data, image_size=8),
        model=replace(config.model, width=4),
        train=replace(
            config.train, epochs=2, passes_per_epoch=1, batch_size=64, log_every=5, grid_rows=2
        ),
    )


@pytest.fixture
def tiny_acgan() -> ACGANConfig:
    return _tiny(recipes.acgan_digits())


@pytest.fixture
def tiny_classifier() -> ClassifierConfig:
    return _tiny(recipes.classifier_digits())


@pytest.fixture
def tiny_simclr() -> SimCLRConfig:
    return _tiny(simclr_recipes.simclr_pretrain_digits())


@pytest.fixture
def tiny_encoder() -> EncoderClassifierConfig:
    return _tiny(simclr_recipes.encoder_digits())


@pytest.fixture
def make_trainer() -> Callable[..., Trainer]:
    return build_trainer


@pytest.fixture(scope="session")
def ranks() -> Iterator[Ranks]:
    """Processes that stand for the ranks of a job; they outlive a test, for speed."""
    with contextlib.closing(Ranks()) as processes:
        yield processes


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount the small file system that this test fills")
    folder = tmp_path / "small-disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def ganymede(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line as a user would, in a folder of its own."""

    def call(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "jobs.cli", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, **options
        )

    return call
