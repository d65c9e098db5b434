"""EMNIST (Cohen et al., 2017): handwritten letters and digits, 28 x 28, grey, in six selections.

There are published checksums of the whole archive only, not of its single files: what is verified
is the checksum that gzip keeps inside a packed file, the header, the number of images and the range
of the labels; a run notices by its fingerprint when the images change. The files hold each image
column by column; here letters stand upright.
"""

import string

from gan.config import DataConfig
from gan.data import idx
from gan.data.images import DataInfo, ImageSet

_CAPITALS = string.ascii_uppercase
# Small letters that look like their capitals share their class (table I of the paper).
_MERGED = tuple(string.digits + _CAPITALS + "abdefghnqrt")
_SPLITS: dict[str, tuple[tuple[int, int], tuple[str, ...]]] = {
    "letters": ((124_800, 20_800), tuple(_CAPITALS)),  # both cases in one class
    "balanced": ((112_800, 18_800), _MERGED),
    "bymerge": ((697_932, 116_323), _MERGED),
    "byclass": ((697_932, 116_323), tuple(string.digits + _CAPITALS + string.ascii_lowercase)),
    "digits": ((240_000, 40_000), tuple(string.digits)),
    "mnist": ((60_000, 10_000), tuple(string.digits)),
}


def files(split: str) -> idx.IdxSet:
    """The files of one selection; of the letters the labels run from 1."""
    counts, classes = _SPLITS[split]
    return idx.IdxSet(
        name="emnist",
        title="EMNIST",
        classes=classes,
        counts=counts,
        prefixes=(f"emnist-{split}-train", f"emnist-{split}-test"),
        first_label=1 if split == "letters" else 0,
        transposed=True,
        options={"split": split},
    )


def inspect(config: DataConfig) -> DataInfo:
    return idx.inspect(files(config.emnist_split), config)


def load(config: DataConfig) -> ImageSet:
    return idx.load(files(config.emnist_split), config)


def natural_size(config: DataConfig) -> int:
    return idx.SIDE
