"""Folders that are to be filled, looked at before the work that fills them."""

import os
from pathlib import Path

from jobs.run import RunError


class Unwritable(RunError):
    """Files cannot be put where they belong."""


def require_writable(folder: Path) -> None:
    """Raise Unwritable unless `folder` can be written or made. Changes nothing."""
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise Unwritable(f"{folder} cannot be written: {nearest} is a file; allowed: a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise Unwritable(f"{folder} cannot be written: {nearest} is read-only")
