"""What a run's folder, or an exported one, says of itself in `config.json`; read without torch."""

from pathlib import Path
from typing import Any

import msgspec

from checkpoints import files
from gan.config import VARIANTS, RunConfig
from gan.data import DataInfo

FORMAT = 1
CONFIG = "config.json"
WEIGHTS = "weights.safetensors"  # its presence makes a folder an exported one
EXPORTED = "export"  # the kind of such a folder


class RunError(Exception):
    """A run that cannot be used as asked; the message says what was given and what is allowed."""


def read(folder: Path) -> dict[str, Any]:
    """The contents of config.json. Raises RunError if it is missing or unreadable."""
    path = folder / CONFIG
    try:
        settings = files.read_json(path)
        if settings["format"] != FORMAT:
            raise RunError(
                f"{path} has format {settings['format']!r}; this version reads format {FORMAT}"
            )
    except (FileNotFoundError, NotADirectoryError):
        inner = ", ".join(sorted(str(path.parent) for path in folder.glob(f"*/{CONFIG}")))
        held = f"; there are: {inner}" if inner else ""
        raise RunError(f"{folder} is no run: it has no {CONFIG}{held}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read: {error}") from None
    return dict(settings)


def config(settings: dict[str, Any], folder: Path) -> RunConfig:
    """The training config in `settings`, which were read from `folder`.

    Raises RunError, for the folder of a pipeline too.
    """
    variant = VARIANTS.get(settings.get("variant", ""))
    if variant is None:
        raise RunError(f"{folder} holds no training run of its own")
    try:
        return msgspec.convert(settings["config"], variant)
    except (msgspec.ValidationError, KeyError) as error:
        raise RunError(f"{folder / CONFIG} cannot be used: {error}") from None


def data_info(settings: dict[str, Any], folder: Path) -> DataInfo:
    """What the run's images were, as it noted when it began. Raises RunError."""
    try:
        return msgspec.convert(settings["data"], DataInfo)
    except (msgspec.ValidationError, KeyError) as error:
        raise RunError(f"{folder / CONFIG} cannot be used: {error}") from None


def is_export(folder: Path) -> bool:
    """Whether this is a folder of weights that were exported, and no run."""
    return (folder / WEIGHTS).is_file()


def provenance(settings: dict[str, Any]) -> dict[str, str | int]:
    """Where images come from, for a file's attributes: nothing of time, host or job."""
    return {
        "recipe": settings["recipe"],
        "seed": settings["config"]["seed"],
        "identity": settings["identity"],
        "content": "generated images, not photographs",
    }
