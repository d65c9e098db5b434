"""Any folder of images.

Three layouts are understood: `train/` and `test/` with one folder a class in each; one folder a
class; or pictures only, which make one class. Without a `test/` part, `data.test_fraction` of the
pictures are held out. Every picture is read as RGB.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from gan.config import DataConfig
from gan.data.images import DataError, DataInfo, ImageSet, resize, split, to_array

_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
_Labelled = list[tuple[Path, int]]


@dataclass(frozen=True)
class _Survey:
    """Which files there are, and what they stand for."""

    classes: tuple[str, ...]
    train: _Labelled
    test: _Labelled

    @property
    def paths(self) -> list[Path]:
        return [path for path, _ in self.train + self.test]

    def info(self, root: Path, digests: Sequence[str]) -> DataInfo:
        names = [str(path.relative_to(root)) for path in self.paths]
        contents = json.dumps(list(zip(names, digests, strict=True)))
        fingerprint = hashlib.sha256(contents.encode()).hexdigest()
        sizes = len(self.train), len(self.test)
        return DataInfo("folder", *sizes, 3, self.classes or ("image",), fingerprint)


def inspect(config: DataConfig) -> DataInfo:
    """Size and classes; every picture is decoded, so that a broken one is found before the run."""
    survey = _survey(config)
    return survey.info(Path(config.root), [digest for _, digest in _decode(survey.paths, config)])


def load(config: DataConfig) -> ImageSet:
    survey = _survey(config)
    decoded = _decode(survey.paths, config)
    info = survey.info(Path(config.root), [digest for _, digest in decoded])
    images = to_array([image for image, _ in decoded])
    labels = np.array([label for _, label in survey.train + survey.test], dtype=np.int64)
    cut = info.train_count
    return ImageSet(info, images[:cut], labels[:cut], images[cut:], labels[cut:])


def _survey(config: DataConfig) -> _Survey:
    root = Path(config.root)
    if not root.is_dir():
        raise DataError(f"data.root is {config.root!r}; no such folder")
    if (root / "train").is_dir() and (root / "test").is_dir():
        classes = _classes(root / "train")
        unknown = set(_classes(root / "test")) - set(classes)
        if unknown:
            raise DataError(f"{root / 'test'} has classes that train/ lacks: {sorted(unknown)}")
        train, test = (_list(root / part, classes) for part in ("train", "test"))
    else:
        classes = _classes(root)
        everything = _list(root, classes)
        train_at, test_at = split(len(everything), config.test_fraction)
        train, test = ([everything[i] for i in at] for at in (train_at, test_at))
    if not train or not test:
        raise DataError(
            f"{root} holds {len(train)} training and {len(test)} test pictures; at least one of "
            f"each is needed ({', '.join(_SUFFIXES)}; in folders by class, or all in one)"
        )
    return _Survey(classes, train, test)


def _classes(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != "."))


def _list(folder: Path, classes: Sequence[str]) -> _Labelled:
    sources = [folder / name for name in classes] if classes else [folder]
    return [
        (path, label)
        for label, source in enumerate(sources)
        if source.is_dir()
        for path in sorted(source.iterdir())
        if path.suffix.lower() in _SUFFIXES
    ]


def _decode(paths: Sequence[Path], config: DataConfig) -> list[tuple[Image.Image, str]]:
    """Each picture at the configured size, with the SHA-256 of its file."""
    with ThreadPoolExecutor() as pool:  # decoding releases the interpreter lock
        return list(pool.map(partial(_open, size=config.image_size), paths))


def _open(path: Path, size: int) -> tuple[Image.Image, str]:
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            return resize(image.convert("RGB"), size), hashlib.sha256(content).hexdigest()
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} is no readable picture: {error}") from error
