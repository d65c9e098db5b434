"""The film of the epochs: what its frames show, and that its files are whole or not there."""

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan.evaluation import Interrupted
from gan.visual import film, grids

NOTES = {"recipe": "acgan", "content": "generated images, not photographs"}


def picture(level: int, channels: int = 1, side: int = 16) -> np.ndarray:
    """Ten images of one grey, or of three different colours."""
    images = np.full((10, side, side, channels), level, np.uint8)
    if channels == 3:
        images[..., 1] = 255 - level
    return images


def make_grids(folder: Path, count: int, channels: int = 1) -> None:
    for epoch in range(1, count + 1):
        level = 255 * epoch // count
        grids.save(folder / f"epoch-{epoch:04d}.png", picture(level, channels), columns=5)


@pytest.fixture
def no_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def pretend(folder: Path, monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    """An ffmpeg on PATH that does what the Python `lines` say; `target` is its last argument."""
    path = folder / "bin" / "ffmpeg"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!{sys.executable} -IS\nimport sys\ntarget = sys.argv[-1][5:]\n{lines}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", str(path.parent))


@pytest.mark.usefixtures("no_ffmpeg")
@pytest.mark.parametrize("channels", [1, 3])
def test_a_gif_shows_every_epoch_and_holds_the_last(tmp_path: Path, channels: int) -> None:
    figures = tmp_path / "figures"
    make_grids(figures, 6, channels)
    made = film.make(figures, NOTES)
    assert made == film.Film(
        figures / "epochs.gif", None, (1, 2, 3, 4, 5, 6), 500, "no MP4: there is no ffmpeg on PATH"
    )
    with Image.open(made.gif) as gif:
        assert gif.n_frames == 6
        assert gif.info["comment"] == b"content: generated images, not photographs; recipe: acgan"
        assert gif.info["loop"] == 0
        for place in range(6):
            gif.seek(place)
            assert gif.info["duration"] == (2000 if place == 5 else 500)
            frame = np.asarray(gif.convert("RGB")).astype(int)
            with Image.open(figures / f"epoch-{place + 1:04d}.png") as grid:
                height, width = grid.height, grid.width
                apart = abs(frame[:height, :width] - np.asarray(grid.convert("RGB")).astype(int))
            assert apart.max() <= (0 if channels == 1 else 8), place
            assert frame.shape == (height + 20, width, 3)
            assert frame[height:].max() > 200  # the words


@pytest.mark.usefixtures("no_ffmpeg")
def test_a_gif_has_one_palette_and_the_same_bytes_every_time(tmp_path: Path) -> None:
    make_grids(tmp_path, 3, channels=3)
    first = film.make(tmp_path).gif.read_bytes()
    assert film.make(tmp_path).gif.read_bytes() == first
    assert first[10] & 0x80  # a palette for all frames
    descriptors = [i for i in range(len(first) - 10) if first[i : i + 5] == b"\x2c\0\0\0\0"]
    assert descriptors
    assert not any(first[i + 9] & 0x80 for i in descriptors)  # and none of a frame's own


def test_of_many_epochs_some_are_shown_the_first_and_the_last_too(tmp_path: Path) -> None:
    for epoch in (1, 2, 9_999, 10_000, 10_001):
        grids.save(tmp_path / f"epoch-{epoch:04d}.png", picture(epoch % 251), columns=5)
    (tmp_path / "epoch-x.png").write_bytes(b"")
    assert list(film.epochs_of(tmp_path)) == [1, 2, 9_999, 10_000, 10_001]
    assert film.make(tmp_path, most=3).epochs == (1, 9_999, 10_001)
    assert film.make(tmp_path, most=1).epochs == (1,)
    assert film.make(tmp_path / "nothing") is None


@pytest.mark.usefixtures("no_ffmpeg")
def test_long_films_have_short_frames_and_wide_grids_become_smaller(tmp_path: Path) -> None:
    images = np.zeros((26, 28, 28, 1), np.uint8)
    for epoch in range(1, 61):
        grids.save(tmp_path / f"epoch-{epoch:04d}.png", images + epoch, columns=26)
    made = film.make(tmp_path)
    assert made.frame_ms == 160
    with Image.open(made.gif) as gif:
        assert (gif.n_frames, gif.width) == (60, 392)  # 2 (26 * 30 + 2) pixels, a quarter of it


@pytest.mark.usefixtures("no_ffmpeg")
def test_one_epoch_and_a_narrow_grid_have_room_for_the_words(tmp_path: Path) -> None:
    grids.save(tmp_path / "epoch-0001.png", picture(0)[:1], columns=1)
    with Image.open(film.make(tmp_path).gif) as gif:
        assert gif.n_frames == 1
        assert gif.width > 150
        words = np.asarray(gif.convert("L"))[-20:]
    assert (words[:, -6:] == 24).all()  # none is cut off
    assert words.max() > 200


@pytest.mark.usefixtures("no_ffmpeg")
def test_grids_of_different_sizes_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    grids.save(tmp_path / "epoch-0001.png", picture(0), columns=5)
    grids.save(tmp_path / "epoch-0002.png", picture(0), columns=2)
    with pytest.raises(ValueError, match=r"epoch-0002.png is \(152, 368\); allowed: \(368, 152\)"):
        film.make(tmp_path)
    (tmp_path / "epoch-0002.png").write_bytes(b"no picture")
    with pytest.raises(OSError, match="epoch-0002"):
        film.make(tmp_path)
    assert not (tmp_path / "epochs.gif").exists()


def test_a_stop_leaves_what_was_there(tmp_path: Path) -> None:
    make_grids(tmp_path, 3)
    (tmp_path / "epochs.gif").write_bytes(b"earlier")
    answers = iter([False, False, True])
    with pytest.raises(Interrupted):
        film.make(tmp_path, stop=lambda: next(answers))
    assert (tmp_path / "epochs.gif").read_bytes() == b"earlier"
    assert len(list(tmp_path.iterdir())) == 4


def test_ffmpeg_gets_whole_frames_of_even_sides_and_the_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = "import json; data = sys.stdin.buffer.read()\n"
    keep += "open(target, 'w').write(json.dumps([sys.argv[1:], len(data), data[-1]]))"
    pretend(tmp_path, monkeypatch, keep)
    figures = tmp_path / "a:b"  # which ffmpeg would take for a protocol
    for epoch in (1, 2, 3):
        images = np.full((1, 65, 65, 1), epoch, np.uint8)
        grids.save(figures / f"epoch-{epoch:04d}.png", images, columns=1)
    made = film.make(figures, NOTES)
    assert made.mp4 == figures / "epochs.mp4"
    assert not made.told
    arguments, length, last = json.loads(made.mp4.read_text())
    width, height = map(int, arguments[arguments.index("-s") + 1].split("x"))
    assert (width % 2, height % 2) == (0, 0)
    assert height == 69 + 20 + 1
    assert length == (2 + 4) * width * height * 3  # two of 500 ms, and one held for 2 s
    assert last == 24
    assert arguments[arguments.index("-i") - 1] == "1000/500"
    assert {"libx264", "yuv420p"} <= set(arguments)
    said = arguments[arguments.index("-metadata") + 1]
    assert said == "comment=content: generated images, not photographs; recipe: acgan"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("sys.stderr.write('one\\nUnknown encoder libx264\\n'); sys.exit(1)", "Unknown encoder"),
        ("sys.stdin.buffer.read(); open(target, 'w').write('half'); sys.exit(1)", "without a word"),
        ("sys.stdin.buffer.read(); import os; os.kill(os.getpid(), 9)", "without a word"),
    ],
)
def test_an_ffmpeg_that_fails_leaves_no_mp4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, told: str
) -> None:
    pretend(tmp_path, monkeypatch, lines)
    figures = tmp_path / "figures"
    make_grids(figures, 40, channels=3)
    (figures / "epochs.mp4").write_bytes(b"of an earlier training")
    made = film.make(figures)
    assert made.mp4 is None
    assert made.told.startswith("no MP4: ffmpeg failed: ")
    assert told in made.told
    assert {path.suffix for path in figures.iterdir()} == {".png", ".gif"}


def test_an_ffmpeg_that_does_not_end_or_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_grids(tmp_path, 2)
    monkeypatch.setattr(film, "_FFMPEG_S", 0.2)
    pretend(tmp_path, monkeypatch, "import time; sys.stdin.buffer.read(); time.sleep(60)")
    assert film.make(tmp_path).told == "no MP4: ffmpeg did not end within 0 s"
    (tmp_path / "bin" / "ffmpeg").write_text("#!/nowhere\n")
    assert film.make(tmp_path).told.startswith("no MP4: ffmpeg cannot be started: ")


def test_a_real_ffmpeg_makes_what_can_be_played(tmp_path: Path) -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("there is no ffmpeg on PATH")
    make_grids(tmp_path, 5, channels=3)
    made = film.make(tmp_path, NOTES)
    if made.mp4 is None and "libx264" in made.told:
        pytest.skip("this ffmpeg has no libx264")
    back = [
        ffmpeg,
        "-loglevel",
        "error",
        "-i",
        made.mp4,
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    data = subprocess.run(back, check=True, capture_output=True).stdout
    with Image.open(tmp_path / "epoch-0005.png") as grid:
        expected = np.asarray(grid).astype(int)
    height, width = expected.shape[0] + 20, expected.shape[1]
    frames = np.frombuffer(data, np.uint8).reshape(-1, height, width, 3).astype(int)
    assert len(frames) == 4 + 4
    assert abs(frames[-1, : expected.shape[0]] - expected).mean() < 8
    known = subprocess.run([ffmpeg, "-i", made.mp4], capture_output=True, text=True, check=False)
    assert "yuv420p" in known.stderr
    assert "generated images, not photographs" in known.stderr
    first = made.mp4.read_bytes()
    assert film.make(tmp_path, NOTES).mp4.read_bytes() == first
