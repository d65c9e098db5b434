"""Any folder or zip file of images.

`data.root` is a folder, a zip file, or a folder with zip files and no pictures, which are taken
together. Three layouts are understood in each: `train/` and `test/` with one folder a class in
each; one folder a class; or pictures only, which make one class. Without a `test/` part,
`data.test_fraction` of the pictures are held out. `gan.data.pictures` says how each is read. Where
`data.channels` is "as-is", a set of which every picture is grey is grey, and any other is RGB.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from gan.config import DataConfig
from gan.data import pictures, trees
from gan.data.images import DataError, DataInfo, ImageSet, fits, resize, split, to_array
from gan.data.pictures import Kind
from gan.data.sources import Images, Rows

_Named = list[tuple[list[str], trees.File]]  # with the parts of its name that tell the class
_Labelled = list[tuple[trees.File, int]]
_CHANNELS: dict[Kind, int] = {"grey": 1, "rgb": 3}


@dataclass(frozen=True)
class _Survey:
    """Which files there are, and what they stand for."""

    classes: tuple[str, ...]
    train: _Labelled
    test: _Labelled

    @property
    def files(self) -> list[trees.File]:
        return [file for file, _ in self.train + self.test]

    def info(self, digests: Sequence[str], kind: Kind) -> DataInfo:
        names = [file.name for file in self.files]
        contents = json.dumps(list(zip(names, digests, strict=True)))
        fingerprint = hashlib.sha256(contents.encode()).hexdigest()
        counts = len(self.train), len(self.test)
        classes = self.classes or ("image",)
        return DataInfo("folder", *counts, _CHANNELS[kind], classes, fingerprint)


def inspect(config: DataConfig) -> DataInfo:
    """Size and classes; every picture is decoded, so that a broken one is found before the run."""
    return _inspect(_survey(config), config)


def load(config: DataConfig) -> ImageSet:
    """In memory if they fit; if not, the training images are decoded when they are asked for."""
    survey, size = _survey(config), config.image_size
    labels = np.array([label for _, label in survey.train + survey.test], dtype=np.int64)
    cut = len(survey.train)
    if fits(config, (len(labels), 3, size, size)):
        decoded = list(_decoded(survey.files, size, _asked(config)))
        kind = _common({picture.mode for picture, _ in decoded})
        info = survey.info([digest for _, digest in decoded], kind)
        images = to_array([picture.convert(pictures.MODES[kind]) for picture, _ in decoded])
        return ImageSet(info, images[:cut], labels[:cut], images[cut:], labels[cut:])
    info = _inspect(survey, config)
    kind = "grey" if info.channels == 1 else "rgb"
    train = FilePictures(survey.files[:cut], size, kind)
    test = FilePictures(survey.files[cut:], size, kind)
    return ImageSet(info, train, labels[:cut], test[:], labels[cut:])


def natural_size(config: DataConfig) -> int:
    """The shorter side of the first picture, in pixels."""
    first = _survey(config).files[0]
    return min(pictures.decode(first.read(), first.place).size)


@dataclass(frozen=True)
class FilePictures:
    """Pictures that are decoded when they are asked for."""

    files: list[trees.File]
    size: int
    kind: Kind

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.files), _CHANNELS[self.kind], self.size, self.size

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, rows: Rows, /) -> Images:
        files = self.files[rows] if isinstance(rows, slice) else [self.files[row] for row in rows]
        return to_array([picture for picture, _ in _decoded(files, self.size, self.kind)])


def _inspect(survey: _Survey, config: DataConfig) -> DataInfo:
    digests, modes = [], set()
    for picture, digest in _decoded(survey.files, config.image_size, _asked(config)):
        digests.append(digest)
        modes.add(picture.mode)
    return survey.info(digests, _common(modes))


def _asked(config: DataConfig) -> Kind | None:
    return None if config.channels == "as-is" else config.channels


def _common(modes: set[str]) -> Kind:
    return "grey" if modes == {pictures.MODES["grey"]} else "rgb"


def _survey(config: DataConfig) -> _Survey:
    root = Path(config.root)
    named = [(file.name.split("/"), file) for file in trees.find(root)]
    if {"train", "test"} <= {parts[0] for parts, _ in named if len(parts) > 1}:
        halves = [[(p[1:], f) for p, f in named if p[0] == part] for part in ("train", "test")]
        classes = _classes(halves[0])
        unknown = set(_classes(halves[1])) - set(classes)
        if unknown:
            raise DataError(f"{root}/test has classes that train/ lacks: {sorted(unknown)}")
        train, test = (_labelled(half, classes) for half in halves)
    else:
        classes = _classes(named)
        everything = _labelled(named, classes)
        train_at, test_at = split(len(everything), config.test_fraction)
        train, test = ([everything[i] for i in at] for at in (train_at, test_at))
    if not train or not test:
        raise DataError(
            f"{root} holds {len(train)} training and {len(test)} test pictures; at least one of "
            f"each is needed ({', '.join(pictures.SUFFIXES)}; in folders by class, or all in one)"
        )
    return _Survey(classes, train, test)


def _classes(named: _Named) -> tuple[str, ...]:
    return tuple(sorted({parts[0] for parts, _ in named if len(parts) == 2}))


def _labelled(named: _Named, classes: Sequence[str]) -> _Labelled:
    """Class by class, each by name. Beside folders of classes, pictures outside are left out."""
    if not classes:
        return [(file, 0) for parts, file in named if len(parts) == 1]
    numbers = {name: number for number, name in enumerate(classes)}
    found = [(file, numbers[p[0]]) for p, file in named if len(p) == 2 and p[0] in numbers]
    return sorted(found, key=lambda item: (item[1], item[0].name))


def _decoded(
    files: Sequence[trees.File], size: int, kind: Kind | None
) -> Iterator[tuple[Image.Image, str]]:
    """Each picture at this size, with the SHA-256 of its file, in their order."""

    def open_one(file: trees.File) -> tuple[Image.Image, str]:
        content = file.read()
        picture = pictures.decode(content, file.place, kind)
        return resize(picture, size), hashlib.sha256(content).hexdigest()

    with ThreadPoolExecutor() as pool:  # decoding releases the interpreter lock
        yield from pool.map(open_one, files)
