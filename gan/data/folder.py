"""Any folder of images.

Three layouts are understood: `train/` and `test/` with one folder a class in each; one folder a
class; or pictures only, which make one class. Without a `test/` part, `data.test_fraction` of the
pictures are held out. Every picture is read as RGB.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan.config import DataConfig
from gan.data.images import DataError, DataInfo, ImageSet, resize, split, to_array

_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
_Labelled = list[tuple[Path, int]]


def inspect(config: DataConfig) -> DataInfo:
    """Size and classes; every picture is decoded, so that a broken one is found before the run."""
    info, train, test = _survey(config)
    _decode([path for path, _ in train + test], config.image_size)
    return info


def load(config: DataConfig) -> ImageSet:
    info, train, test = _survey(config)
    return ImageSet(info, *_arrays(train, config), *_arrays(test, config))


def _arrays(part: _Labelled, config: DataConfig) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images = to_array(_decode([path for path, _ in part], config.image_size))
    return images, np.array([label for _, label in part], dtype=np.int64)


def _survey(config: DataConfig) -> tuple[DataInfo, _Labelled, _Labelled]:
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
    return DataInfo("folder", len(train), len(test), 3, classes or ("image",)), train, test


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


def _decode(paths: Sequence[Path], size: int) -> list[Image.Image]:
    with ThreadPoolExecutor() as pool:  # decoding releases the interpreter lock
        return list(pool.map(partial(_open, size=size), paths))


def _open(path: Path, size: int) -> Image.Image:
    try:
        with Image.open(path) as image:
            return resize(image.convert("RGB"), size)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} is no readable picture: {error}") from error
