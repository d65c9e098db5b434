"""Sets that are published as files: are these there, and are they what was published.

The checksums stand here too, and not only in torchvision, because a submission verifies the files
without loading torch.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan.config import DataConfig
from gan.data.images import DataError


def require_files(
    title: str, folder: Path, md5: Mapping[str, str], config: DataConfig, **options: object
) -> None:
    """All files of `md5` in `folder`, each with its MD5; fetched first if that was asked for.

    `title` is the name of torchvision's class, `options` are its further arguments. Raises
    DataError, naming the file.
    """
    if config.download and missing(folder, md5):
        fetch(title, config, **options)
    for name in missing(folder, md5):
        raise absent(title, folder / name, config)
    for name, published in md5.items():
        verify(folder / name, published)


def missing(folder: Path, names: Mapping[str, str]) -> list[str]:
    return [name for name in names if not (folder / name).is_file()]


def absent(title: str, path: Path, config: DataConfig) -> DataError:
    place = path.parent.relative_to(config.root)
    below = "that holds it" if place == Path() else f"above {place}"
    return DataError(
        f"{title} is not in {path.parent} ({path.name} is missing); give the folder {below} as "
        "--data.root, or --data.download on a machine with internet"
    )


def verify(path: Path, published: str) -> None:
    """Raise DataError unless the file has the published MD5 (hexadecimal)."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != published:
        raise DataError(
            f"{path} is not the published file: its MD5 is {found}, published is {published}; "
            "remove it and fetch it again"
        )


def fetch(title: str, config: DataConfig, **options: object) -> None:
    """Have torchvision download the set into `data.root`. Raises DataError."""
    from torchvision import datasets

    try:
        getattr(datasets, title)(config.root, download=True, **options)
    except (RuntimeError, OSError) as error:
        raise DataError(f"{title} cannot be fetched into {config.root}: {error}") from error


def check_labels(path: Path | str, labels: NDArray[np.int64], first: int, last: int) -> None:
    """Raise DataError for a label outside `first` to `last`."""
    wrong = np.flatnonzero((labels < first) | (labels > last))
    if len(wrong):
        raise DataError(
            f"{path}: label {labels[wrong[0]]} of image {wrong[0]}; allowed: {first} to {last}"
        )
