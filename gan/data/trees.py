"""Picture files by their names, in a folder, in a zip file, or in all zip files of a folder."""

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gan.data.images import DataError
from gan.data.pictures import SUFFIXES

MOST_BYTES = 1 << 28  # of one picture's file in a zip file
_DEEPEST = 3  # train/cat/0001.png


@dataclass(frozen=True)
class File:
    """One picture file."""

    name: str  # below the root, its parts separated by "/"
    place: str  # where it is, for messages
    _read: Callable[[], bytes]

    def read(self) -> bytes:
        """Its bytes. Raises DataError; a zip file's own checksum is compared."""
        try:
            return self._read()
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:
            raise DataError(f"{self.place} cannot be read: {error}") from error


def find(root: Path) -> list[File]:
    """All picture files up to three levels deep, by name; what begins with a dot is passed over.

    Raises DataError if there is no such folder or zip file, or two zip files hold the same name.
    """
    if root.is_file():
        files = list(_in_zip(root))
    elif root.is_dir():
        files = list(_in_folder(root, ""))
        zips = sorted(p for p in root.iterdir() if p.suffix.lower() == ".zip" and p.name[0] != ".")
        if not files:
            files = [file for path in zips for file in _in_zip(path)]
    else:
        raise DataError(f"data.root is {str(root)!r}; no such folder or zip file")
    by_name: dict[str, File] = {}
    for file in files:
        if file.name in by_name:
            raise DataError(f"{file.place} and {by_name[file.name].place} have the same name")
        by_name[file.name] = file
    return [by_name[name] for name in sorted(by_name)]


def _wanted(name: str) -> bool:
    parts = name.split("/")
    hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
    return name.lower().endswith(SUFFIXES) and len(parts) <= _DEEPEST and not hidden


def _in_folder(folder: Path, above: str) -> Iterator[File]:
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        name, path = above + entry.name, Path(entry.path)
        if entry.is_dir():
            if name.count("/") < _DEEPEST - 1 and not entry.name.startswith("."):
                yield from _in_folder(path, f"{name}/")
        elif _wanted(name):
            yield File(name, str(path), path.read_bytes)


def _in_zip(path: Path) -> Iterator[File]:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no readable zip file: {error}") from error
    for entry in archive.infolist():
        name = entry.filename
        if not _wanted(name):
            continue
        if entry.file_size > MOST_BYTES:
            raise DataError(
                f"{path}/{name} unpacks to {entry.file_size} bytes; allowed: {MOST_BYTES} a picture"
            )
        yield File(name, f"{path}/{name}", _Member(archive, entry))


@dataclass(frozen=True)
class _Member:
    archive: zipfile.ZipFile
    entry: zipfile.ZipInfo  # its size is the most that is unpacked, whatever is in there

    def __call__(self) -> bytes:
        return self.archive.read(self.entry)
