"""Which code is running: recorded with every attempt."""

import contextlib
import subprocess
from importlib import metadata
from pathlib import Path


def version() -> str:
    """The package's version, with the commit if it runs from a git checkout."""
    root = Path(__file__).parent.parent
    number = "unknown"
    with contextlib.suppress(metadata.PackageNotFoundError):
        number = metadata.version("ganymede")
    if not (root / ".git").exists():
        return number
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return f"{number} ({done.stdout.strip()})"
    return number
