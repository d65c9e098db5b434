"""Zip files that somebody has made to fill the memory, or to write elsewhere."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan.data import DataError, pictures, trees


def png(side: int = 4) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((side, side), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def zipped(path: Path, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.png", content)
    return path


def declare(path: Path, size: int) -> None:
    """Have the only entry's header in the central directory say another size."""
    content = bytearray(path.read_bytes())
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = struct.pack("<I", size)
    path.write_bytes(content)


def test_an_entry_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bomb.zip", a=png())
    declare(path, trees.MOST_BYTES + 1)
    with pytest.raises(DataError, match=f"bomb.zip/a.png unpacks to {trees.MOST_BYTES + 1} bytes"):
        trees.find(path)


def test_no_more_is_unpacked_than_an_entry_declares(tmp_path: Path) -> None:
    path = zipped(tmp_path / "liar.zip", a=bytes(50_000_000))
    assert path.stat().st_size < 100_000
    declare(path, 1000)
    (file,) = trees.find(path)
    with pytest.raises(DataError, match=r"liar\.zip/a\.png cannot be read"):
        file.read()


def test_names_that_lead_elsewhere_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    names = {"../out": png(), "/out": png(), "a/../../out": png(), "cat/1": png()}
    found = trees.find(zipped(tmp_path / "in" / "set.zip", **names))
    for file in found:
        assert file.read() == png()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "set.zip"]


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    side = 9000
    content = bytearray(png())
    content[16:24] = struct.pack(">II", side, side)  # in the header alone
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    with pytest.raises(DataError, match=f"a.png has {side} x {side} pixels; allowed: "):
        pictures.decode(bytes(content), "a.png")
