"""The manifest: what a committed checkpoint consists of. Written last; readers trust only it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from checkpoints.errors import CheckpointError

NAME = "manifest.json"
FORMAT = 1
_NO_FILE = ("", ".", "..")


@dataclass(frozen=True)
class FileEntry:
    size: int  # bytes
    sha256: str  # hexadecimal

    @classmethod
    def of(cls, data: bytes | memoryview) -> "FileEntry":
        return cls(len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True)
class Manifest:
    """Contents of one checkpoint folder, and which run and step it belongs to."""

    step: int
    identity: str  # hash of the run's config; a checkpoint is of use to that run alone
    files: dict[str, FileEntry]
    format: int = FORMAT

    def to_json(self) -> bytes:
        return (json.dumps(asdict(self), indent=2) + "\n").encode()

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read the manifest of a checkpoint folder. Raises CheckpointError, naming what is off."""
        path = folder / NAME
        try:
            record = json.loads(path.read_bytes())
            if record["format"] != FORMAT:
                raise CheckpointError(
                    f"{path}: format {record['format']!r}; this version reads format {FORMAT}"
                )
            files = {name: FileEntry(**entry) for name, entry in record["files"].items()}
            if any(Path(name).name != name or name in _NO_FILE for name in files):
                raise CheckpointError(f"{path}: names a file outside its folder")
            return cls(int(record["step"]), str(record["identity"]), files)
        except FileNotFoundError:
            raise CheckpointError(f"{path} is missing") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from None

    def read_file(self, folder: Path, name: str) -> bytes:
        """Contents of one file, verified. Raises CheckpointError if it is not what was written."""
        path, entry = folder / name, self.files.get(name)
        if entry is None:
            raise CheckpointError(f"{path} is not in the manifest")
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise CheckpointError(f"{path} is missing") from None
        if len(data) != entry.size:
            raise CheckpointError(f"{path}: {len(data)} bytes, the manifest says {entry.size}")
        if FileEntry.of(data) != entry:
            raise CheckpointError(f"{path}: SHA-256 differs from the manifest's")
        return data
