"""The verb `data`: packs a data set into one file, or draws it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import tyro
from numpy.typing import NDArray

from gan import data
from gan.config import ConfigError, DataConfig
from gan.data import DATA_SETS, ImageSet
from gan.data.sources import Images
from jobs.run import RunError

_COLUMNS = 10  # of a set without classes
_SIZE_FLAG = "--data.image-size"


@dataclass(frozen=True)
class Pack:
    dest: Annotated[Path, tyro.conf.Positional]
    """file to write, as digits.h5"""
    data: DataConfig = field(default_factory=DataConfig)


@dataclass(frozen=True)
class Show:
    data: DataConfig = field(default_factory=DataConfig)
    out: Path | None = None
    """file to write; the set's name and .png if left out"""
    rows: int = 10
    """images of each class, one below the other"""

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ConfigError(f"rows is {self.rows}; allowed: 1 or more")


def pack(options: Pack) -> None:
    """write a set into one HDF5 file, which --data.name packed --data.root FILE reads"""
    from gan.data import packing

    digest = packing.pack(options.data, options.dest)
    print(f"{options.dest}: {options.dest.stat().st_size / 1e6:.1f} MB, SHA-256 {digest}")


def show(options: Show) -> None:
    """draw training images, a class a column"""
    from gan.visual import grids

    images, out = data.load(options.data), options.out or Path(f"{options.data.name}.png")
    classes = images.info.classes
    columns = _COLUMNS if len(classes) == 1 else len(classes)
    grids.save(out, by_class(images, options.rows, columns).transpose(0, 2, 3, 1), columns)
    what = f"columns are {', '.join(classes)}" if len(classes) > 1 else f"all of class {classes[0]}"
    print(f"{out}: {what}")


def by_class(images: ImageSet, rows: int, columns: int) -> Images:
    """The first training images (rows * columns, C, S, S), each column of one class.

    Of a single class as they come. Where a class has too few, its last places stay black. Of points
    it is all there are.
    """
    train, labels = images.train_images, images.train_labels
    if images.info.channels == 2:
        return train[:]
    places: NDArray[np.intp] = np.full((rows, columns), -1)
    for column in range(columns):
        found = np.flatnonzero(labels == column)[:rows]
        places[: len(found), column] = found
    if len(images.info.classes) == 1:
        places.ravel()[: len(train)] = np.arange(len(train))[: rows * columns]
    chosen = places.ravel()
    picked = train[np.maximum(chosen, 0)]
    picked[chosen < 0] = 0
    return picked


_Options = TypeVar("_Options", Pack, Show)


def run(arguments: Sequence[str]) -> int:
    """`pack NAME DEST` or `show NAME`, with the same --data flags as a run has."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0
    action, rest = arguments[0], arguments[1:]
    if action not in ("pack", "show"):
        raise RunError(f"no action {action!r} of data; allowed: pack, show")
    if not rest or rest[0] not in DATA_SETS:
        given = repr(rest[0]) if rest else "none"
        raise RunError(f"data {action} needs a set's name first, given was {given}; {_allowed()}")
    if action == "pack":
        pack(_parse(Pack(tyro.MISSING, DataConfig(name=rest[0])), pack, rest))
    else:
        show(_parse(Show(DataConfig(name=rest[0])), show, rest))
    return 0


def _parse(
    default: _Options, action: Callable[[_Options], None], arguments: Sequence[str]
) -> _Options:
    """The options behind the set's name; the images keep their size unless another is asked for."""
    name = arguments[0]
    options = tyro.cli(
        type(default),
        default=default,
        args=arguments[1:],
        prog=f"ganymede data {action.__name__} {name}",
        description=action.__doc__,
    )
    if options.data.name != name:
        raise ConfigError(f"data.name is {options.data.name!r}; allowed: {name!r}, as named first")
    if any(text.replace("_", "-").partition("=")[0] == _SIZE_FLAG for text in arguments):
        return options
    size = data.natural_size(options.data)
    return replace(options, data=replace(options.data, image_size=size))


def _allowed() -> str:
    return f"allowed: {', '.join(DATA_SETS)}"


def _usage() -> str:
    return (
        "usage: ganymede data pack NAME DEST [--data.* ...]\n"
        "       ganymede data show NAME [--out FILE] [--rows N] [--data.* ...]\n\n"
        f"  pack  {pack.__doc__}\n  show  {show.__doc__}\n\n"
        f"NAME is a data set; {_allowed()}"
    )
