import io
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan import data
from gan.config import ConfigError, DataConfig
from gan.data import DataError


def paint(
    path: Path, colour: object = (10, 20, 30), mode: str = "RGB", size: tuple = (16, 16)
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


def config(root: Path, **settings: object) -> DataConfig:
    return DataConfig(name="folder", root=str(root), **({"image_size": 8} | settings))


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, path.relative_to(folder))
    return target


def test_folders_by_class_become_labels(tmp_path: Path) -> None:
    for i in range(6):
        paint(tmp_path / "red" / f"{i}.png", (255, 0, 0))
        paint(tmp_path / "blue" / f"{i}.jpg", (0, 0, 255), size=(20, 12))
    images = data.load(config(tmp_path, test_fraction=0.25))
    assert images.info.classes == ("blue", "red")
    assert images.info.train_count == len(images.train_labels) == 9
    for picture, label in zip(images.train_images, images.train_labels, strict=True):
        assert picture.shape == (3, 8, 8)
        assert picture[2 if label == 0 else 0].min() > 200


def test_own_test_part_is_used(tmp_path: Path) -> None:
    for part, count in (("train", 4), ("test", 2)):
        for i in range(count):
            paint(tmp_path / part / "cat" / f"{i}.png")
    info = data.inspect(config(tmp_path))
    assert (info.train_count, info.test_count, info.classes) == (4, 2, ("cat",))


def test_pictures_without_classes_make_one(tmp_path: Path) -> None:
    for i in range(5):
        paint(tmp_path / f"{i}.png")
    assert data.inspect(config(tmp_path)).classes == ("image",)


def test_missing_empty_and_truncated_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        data.inspect(config(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="0 training and 0 test pictures; at least one"):
        data.inspect(config(tmp_path / "empty"))
    for i in range(5):
        paint(tmp_path / "broken" / f"{i}.png", size=(64, 64))
    victim = tmp_path / "broken" / "3.png"
    victim.write_bytes(victim.read_bytes()[:60])
    with pytest.raises(DataError, match=r"broken/3\.png is no readable picture"):
        data.inspect(config(tmp_path / "broken"))


def test_test_classes_must_be_known(tmp_path: Path) -> None:
    paint(tmp_path / "train" / "cat" / "0.png")
    paint(tmp_path / "test" / "dog" / "0.png")
    with pytest.raises(DataError, match=r"classes that train/ lacks: \['dog'\]"):
        data.inspect(config(tmp_path))


@pytest.fixture
def two_classes(tmp_path: Path) -> Path:
    """A folder of ten pictures by class, each of another colour."""
    for i in range(5):
        paint(tmp_path / "pictures" / "red" / f"{i}.png", (200 + i, 0, 0))
        paint(tmp_path / "pictures" / "blue" / f"{i}.png", (0, 0, 200 + i))
    return tmp_path / "pictures"


def same(first: data.ImageSet, second: data.ImageSet) -> bool:
    parts = ("train_images", "train_labels", "test_images", "test_labels")
    pairs = [(getattr(first, part)[:], getattr(second, part)[:]) for part in parts]
    return first.info == second.info and all(np.array_equal(a, b) for a, b in pairs)


def test_a_zip_file_is_the_folder_in_it(two_classes: Path, tmp_path: Path) -> None:
    archive = zipped(two_classes, tmp_path / "all.zip")
    assert same(data.load(config(archive)), data.load(config(two_classes)))
    assert data.inspect(config(archive)) == data.inspect(config(two_classes))


def test_zip_files_of_a_folder_are_taken_together(two_classes: Path, tmp_path: Path) -> None:
    whole = data.load(config(two_classes))
    parts, other = tmp_path / "parts", tmp_path / "other"
    parts.mkdir()
    shutil.copytree(two_classes / "red", other / "red")
    shutil.rmtree(two_classes / "red")
    zipped(two_classes, parts / "b.zip")
    zipped(other, parts / "a.ZIP")
    assert same(data.load(config(parts)), whole)
    zipped(other, parts / "c.zip")
    with pytest.raises(
        DataError, match=r"c.zip/red/0.png and .*a.ZIP/red/0.png have the same name"
    ):
        data.inspect(config(parts))


def test_halves_inside_a_zip_file_are_understood(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("test", 2)):
        for i in range(count):
            paint(tmp_path / "x" / part / "cat" / f"{i}.png")
    info = data.inspect(config(zipped(tmp_path / "x", tmp_path / "x.zip")))
    assert (info.train_count, info.test_count, info.classes) == (3, 2, ("cat",))


def test_hidden_files_and_other_files_are_passed_over(two_classes: Path) -> None:
    before = data.inspect(config(two_classes))
    (two_classes / "red" / "._0.png").write_bytes(b"a Mac's")
    (two_classes / "red" / "notes.txt").write_text("not a picture")
    (two_classes / ".cache").mkdir()
    (two_classes / "empty").mkdir()
    assert data.inspect(config(two_classes)) == before


def test_damaged_zip_files_are_told(two_classes: Path, tmp_path: Path) -> None:
    archive = zipped(two_classes, tmp_path / "all.zip")
    content = bytearray(archive.read_bytes())
    content[content.index(b"IDAT") + 6] ^= 1
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"all.zip/blue/0.png cannot be read: Bad CRC-32"):
        data.inspect(config(archive))
    archive.write_bytes(content[:-30])
    with pytest.raises(DataError, match=r"all.zip is no readable zip file"):
        data.inspect(config(archive))


def test_what_does_not_fit_into_memory_is_read_when_asked_for(two_classes: Path) -> None:
    held = data.load(config(two_classes))
    lazy = data.load(config(two_classes, memory_gb=0.0))
    assert isinstance(held.train_images, np.ndarray)
    assert not isinstance(lazy.train_images, np.ndarray)
    assert lazy.train_images.shape == (8, 3, 8, 8)
    assert same(lazy, held)
    rows = np.array([5, 0, 5])
    assert np.array_equal(lazy.train_images[rows], held.train_images[rows])
    few = {"train_share": 0.5, "channels": "grey"}
    lazy, held = (data.load(config(two_classes, memory_gb=gb, **few)) for gb in (0.0, 1.0))
    assert lazy.train_images.shape == (4, 1, 8, 8)
    assert same(lazy, held)


def one_picture(tmp_path: Path, picture: Image.Image, name: str, **options: object) -> np.ndarray:
    """What the set makes of a picture, (C, 4, 4); it is saved twice, to have a test part."""
    folder = tmp_path / "one"
    folder.mkdir()
    for number in range(2):
        picture.save(folder / f"{number}-{name}", **options)
    return data.load(config(folder, image_size=4, test_fraction=0.5)).train_images[0]


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.array([0, 128, 129, 257, 32768, 65406, 65407, 65535] * 2, np.uint16).reshape(4, 4)
    made = one_picture(tmp_path, Image.fromarray(ramp), "deep.png")
    expected = np.rint(ramp.astype(np.float64) * 255 / 65535)
    assert made.shape == (1, 4, 4)
    assert np.array_equal(made[0], expected)
    assert made[0].ravel()[:8].tolist() == [0, 0, 1, 1, 128, 254, 255, 255]


def test_sixteen_bits_with_a_transparent_grey(tmp_path: Path) -> None:
    grey = np.full((4, 4), 514, np.uint16)
    grey[0, 0] = 4000
    made = one_picture(tmp_path, Image.fromarray(grey), "deep.png", transparency=4000)
    assert made[0].ravel().tolist() == [255] + [2] * 15


def test_sixteen_bits_of_colour_keep_the_upper_ones(tmp_path: Path) -> None:
    for number in range(2):  # Pillow reads such files, and writes none
        (tmp_path / f"{number}.png").write_bytes(deep_colour(0x12FF, 0x8000, 0xFFFF))
    made = data.load(config(tmp_path, image_size=4, test_fraction=0.5)).train_images[0]
    assert made[:, 2, 3].tolist() == [0x12, 0x80, 0xFF]


def deep_colour(*colour: int) -> bytes:
    """A PNG of 4 x 4 pixels of one colour, 16 bits a channel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        ends = struct.pack(">I", len(content)), struct.pack(">I", zlib.crc32(kind + content))
        return ends[0] + kind + content + ends[1]

    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + struct.pack(">HHH", *colour) * 4) * 4)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_alpha_is_laid_on_white(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (4, 4), (200, 100, 0, 51))  # a fifth
    made = one_picture(tmp_path, picture, "veil.png")
    assert made[:, 0, 0].tolist() == [244, 224, 204]


def test_grey_alpha_stays_grey(tmp_path: Path) -> None:
    made = one_picture(tmp_path, Image.new("LA", (4, 4), (0, 51)), "veil.png")
    assert made.shape == (1, 4, 4)
    assert made[0, 0, 0] == 204


@pytest.mark.parametrize(
    ("picture", "name", "options", "expected"),
    [
        (Image.new("1", (4, 4), 1), "one.png", {}, [255]),
        (Image.new("L", (4, 4), 7), "hole.png", {"transparency": 7}, [255]),
        (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "print.tif", {}, [255, 0, 0]),
        (Image.new("RGB", (4, 4), (9, 80, 200)).quantize(4), "palette.png", {}, [9, 80, 200]),
    ],
    ids=["one bit", "transparent colour", "cmyk", "palette"],
)
def test_other_modes_are_converted(
    tmp_path: Path,
    picture: Image.Image,
    name: str,
    options: dict[str, object],
    expected: list[int],
) -> None:
    assert one_picture(tmp_path, picture, name, **options)[:, 1, 2].tolist() == expected


def test_a_camera_may_lie_on_its_side(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4), np.uint8)
    pixels[0] = 255  # the upper edge is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    made = one_picture(tmp_path, Image.fromarray(pixels), "turned.png", exif=exif)
    assert np.array_equal(made[0], np.rot90(pixels, -1))


@pytest.mark.parametrize(
    ("mode", "name", "message"),
    [
        ("I", "0.tif", r"0.tif has 32-bit numbers for pixels \(mode I\).*allowed: 8 or 16 bits"),
        ("F", "0.tif", r"0.tif has 32-bit numbers for pixels \(mode F\)"),
    ],
)
def test_numbers_of_unknown_range_are_refused(
    tmp_path: Path, mode: str, name: str, message: str
) -> None:
    paint(tmp_path / name, 3, mode)
    paint(tmp_path / "1.png")
    with pytest.raises(DataError, match=message):
        data.inspect(config(tmp_path, test_fraction=0.5))


@pytest.mark.parametrize("name", ["0.png", "0.webp", "0.tiff"])
def test_moving_pictures_are_refused(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (8, 8), (shade, 0, 0)) for shade in (0, 90, 180)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    paint(tmp_path / "1.png")
    with pytest.raises(DataError, match=rf"{name} has 3 frames; allowed: pictures with one"):
        data.inspect(config(tmp_path, test_fraction=0.5))


def test_the_preview_in_a_cameras_file_is_passed_over(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), (shade, shade, shade)) for shade in (40, 200)]
    stream = io.BytesIO()
    frames[0].save(stream, "MPO", save_all=True, append_images=frames[1:])
    for number in range(2):
        (tmp_path / f"{number}.jpg").write_bytes(stream.getvalue())
    made = data.load(config(tmp_path, image_size=4, test_fraction=0.5)).train_images
    assert np.abs(made.astype(int) - 40).max() < 3


def test_colour_is_as_the_set_has_it_unless_asked(tmp_path: Path) -> None:
    for number in range(4):
        paint(tmp_path / "grey" / f"{number}.png", 90, "L")
    grey = config(tmp_path / "grey")
    assert data.inspect(grey).channels == 1
    assert data.load(grey).train_images.shape[1:] == (1, 8, 8)
    rgb = data.load(replace(grey, channels="rgb"))
    assert rgb.info.channels == 3
    assert np.array_equal(rgb.train_images, np.full((3, 3, 8, 8), 90))
    paint(tmp_path / "grey" / "colour.png", (200, 100, 50))
    assert data.inspect(grey).channels == 3
    forced = data.load(replace(grey, channels="grey"))
    assert forced.info == data.inspect(replace(grey, channels="grey"))
    everything = np.concatenate([forced.train_images[:], forced.test_images])
    assert sorted(set(everything.ravel().tolist())) == [90, 124]  # 0.299 R + 0.587 G + 0.114 B


def test_published_sets_change_their_channels_like_pillow() -> None:
    digits = DataConfig(name="digits", image_size=8, channels="rgb")
    made, plain = data.load(digits), data.load(replace(digits, channels="as-is"))
    assert made.info == data.inspect(digits) == replace(plain.info, channels=3)
    assert all(np.array_equal(made.test_images[:, c], plain.test_images[:, 0]) for c in range(3))
    colours = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), dtype=np.uint8)
    by_pillow = [np.asarray(Image.fromarray(x.transpose(1, 2, 0)).convert("L")) for x in colours]
    assert np.array_equal(data.sources.as_channels(colours, 1)[:, 0], np.stack(by_pillow))


def test_points_have_no_colours() -> None:
    with pytest.raises(
        ConfigError, match=r"ring has points, not pictures; allowed: --data.channels"
    ):
        data.inspect(DataConfig(name="ring", image_size=1, channels="grey"))


def shorten(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize("spoil", [shorten, lambda content: b"", lambda content: b"not a picture"])
def test_damaged_pictures_are_named(two_classes: Path, spoil: Callable[[bytes], bytes]) -> None:
    victim = two_classes / "blue" / "3.png"
    victim.write_bytes(spoil(victim.read_bytes()))
    with pytest.raises(DataError, match=r"blue/3.png is no readable picture"):
        data.inspect(config(two_classes))
