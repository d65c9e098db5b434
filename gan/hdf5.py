"""HDF5 of any origin: a file may name other files, and declare more than it holds."""

from pathlib import Path
from typing import Any

import h5py

DEFLATE = 1100  # times: gzip makes no more than 1032 bytes of one


def dataset(file: h5py.File, name: str, times: int = 1, virtual: bool = False) -> Any:
    """A data set that is in this very file, and declares no more bytes than `times` the file's.

    HDF5 would follow links and external storage to any file of this machine, and give zeros, as
    many as were declared, for what was never written. A `virtual` one is given if that is allowed,
    for the caller to look at its sources. Raises ValueError, KeyError.
    """
    place: Any = file
    for part in name.split("/"):
        link = place.get(part, getlink=True)
        if link is None:
            raise KeyError(f"{name} is not there")
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{name} is a link; allowed: data in the file itself")
        place = place[part]
    if not isinstance(place, h5py.Dataset):
        raise ValueError(f"{name} is no data set")
    if place.external or (place.is_virtual and not virtual):
        raise ValueError(f"{name} is stored in other files; allowed: data in the file itself")
    held = times * Path(file.filename).stat().st_size
    if not place.is_virtual and place.nbytes > held:
        raise ValueError(
            f"{name} declares {place.nbytes} bytes {place.shape}; allowed: {held}, what a file of "
            "this size can hold"
        )
    return place
