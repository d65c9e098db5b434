"""Folders that are to be filled."""

import os
from pathlib import Path

import pytest

from jobs.folders import Unwritable, require_writable


def test_a_folder_that_can_be_made_is_not_made_yet(tmp_path: Path) -> None:
    require_writable(tmp_path)
    require_writable(tmp_path / "new" / "newer")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_its_place_or_above_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    for folder in (file, file / "below" / "it"):
        with pytest.raises(Unwritable, match=f"{folder} cannot be written: {file} is a file; "):
            require_writable(folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Unwritable, match=f"{tmp_path / 'new'} cannot be written: .* is read-only"):
        require_writable(tmp_path / "new")
    tmp_path.chmod(0o700)
