"""Packed data sets for tests."""

from dataclasses import replace
from pathlib import Path

from gan.config import DataConfig
from gan.data import packing

DIGITS = DataConfig(name="digits", image_size=8)


def packed_digits(folder: Path, source: DataConfig = DIGITS) -> DataConfig:
    """The digits in a file of their own, as a data set."""
    target = folder / "digits.h5"
    packing.pack(source, target, say=lambda message: None)
    return replace(source, name="packed", root=str(target), train_share=1.0)


def flip_bit(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
