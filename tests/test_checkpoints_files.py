import math
import os
import time
from pathlib import Path

import pytest

from checkpoints import files


def test_replacing_is_all_or_nothing_on_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "value.json"
    files.write_json(path, {"kept": True})
    with pytest.raises(OSError, match="No space left"):
        files.write_bytes(path, bytes(8 << 20))
    assert files.read_json(path) == {"kept": True}
    assert [p.name for p in small_disk.iterdir()] == ["value.json"]


def test_json_reads_as_python_wrote_it(tmp_path: Path) -> None:
    """What JSON does not have included: a loss that is no number, and a seed of 64 bits or more."""
    path = tmp_path / "value.json"
    value = {
        "seed": (1 << 63) - 1,
        "huge": 1 << 70,
        "s": 0.1 + 0.2,
        "inf": math.inf,
        "long": "x" * 200_000,
    }
    files.write_json(path, value)
    assert files.read_json(path) == value
    files.write_json(path, {"loss": math.nan, "name": "Zoë \U0001f600"})
    found = files.read_json(path)
    assert math.isnan(found["loss"])
    assert found["name"] == "Zoë \U0001f600"


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1} x', b'{"a": "\xff"}'])
def test_damaged_json_is_a_value_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        files.read_json(path)
    with pytest.raises(OSError, match=r"."):
        files.read_json(tmp_path)


def test_creating_lets_one_caller_win(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "claim"
    files.create_bytes(path, b"first")
    with pytest.raises(FileExistsError):
        files.create_bytes(path, b"second")
    assert path.read_bytes() == b"first"
    assert len(list(path.parent.iterdir())) == 1


def test_a_lasting_folder_is_not_made_anew(tmp_path: Path) -> None:
    """Whoever has moved it away would find a second one, with a part of it."""
    folder = tmp_path / "run"
    with files.lasting(folder):
        for write in (files.write_bytes, files.create_bytes):
            for path in (folder / "file", folder / "deep" / "file"):
                with pytest.raises(FileNotFoundError, match=f"moved meanwhile.*{folder}'"):
                    write(path, b"lost")
        files.write_bytes(tmp_path / "other" / "file", b"kept")
        assert not folder.exists()
    files.write_bytes(folder / "deep" / "file", b"new")
    assert (folder / "deep" / "file").read_bytes() == b"new"


def test_old_leftovers_are_removed_and_young_ones_left(tmp_path: Path) -> None:
    for name, age_s in ((".aside-old", 3600), (".aside-young", 0), ("data", 3600)):
        (tmp_path / name).write_bytes(b"")
        then = time.time() - age_s
        os.utime(tmp_path / name, (then, then))
    files.remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".aside-young", "data"}


def test_json_carries_any_letters(tmp_path: Path) -> None:
    value = {"name": "Käse \N{SNOWMAN} 'quoted' $(x)\n", "number": 0.1}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value


def test_what_others_clear_away_too_early_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By somebody whose clock is hours ahead."""
    ahead = time.time() + 7200
    replace = Path.replace

    def clearing(aside: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "replace", replace)
        with monkeypatch.context() as patch:
            patch.setattr(files.time, "time", lambda: ahead)
            files.remove_leftovers(aside.parent)
        assert not aside.exists()
        return aside.replace(target)

    monkeypatch.setattr(Path, "replace", clearing)
    files.write_bytes(tmp_path / "file", b"all of it")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"all of it")]


def test_a_claim_that_others_clear_away_too_early_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def clearing(aside: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        aside.unlink()
        link(aside, target)

    monkeypatch.setattr(os, "link", clearing)
    files.create_bytes(tmp_path / "file", b"mine")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"mine")]
    with pytest.raises(FileExistsError):
        files.create_bytes(tmp_path / "file", b"another's")


def test_a_claim_whose_answer_was_lost_is_still_a_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file server does it, its answer is lost, and the question that is sent again fails."""
    link = os.link

    def twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    files.create_bytes(tmp_path / "claim", b"mine")
    with pytest.raises(FileExistsError):
        files.create_bytes(tmp_path / "claim", b"another's")
    assert (tmp_path / "claim").read_bytes() == b"mine"


def test_a_new_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder"
    with files.new_folder(path) as aside:
        files.write_new(aside / "one", b"1")
        assert not path.exists()
    assert [(p.name, p.read_bytes()) for p in path.iterdir()] == [("one", b"1")]
    with pytest.raises(ZeroDivisionError), files.new_folder(tmp_path / "other") as aside:
        files.write_new(aside / "one", b"1")
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["deep"]


def test_a_new_folder_replaces_nothing_but_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder" / "mine", tmp_path / "file"):
        path.write_text("precious")
    before = sorted(tmp_path.rglob("*"))
    for name in ("folder", "file"):
        with (
            pytest.raises(FileExistsError, match=f"{name} is there already"),
            files.new_folder(tmp_path / name) as aside,
        ):
            files.write_new(aside / "one", b"1")
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "empty").mkdir()
    with files.new_folder(tmp_path / "empty") as aside:
        files.write_new(aside / "one", b"1")
    assert (tmp_path / "empty" / "one").read_bytes() == b"1"


def test_a_file_made_aside_takes_its_place_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "large"
    with files.made_aside(path) as aside:
        aside.write_bytes(b"first")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), files.made_aside(path) as aside:
        aside.write_bytes(b"a part of the second")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path]
