"""The epochs' grids as a film: an animated GIF, and an MP4 where ffmpeg is there.

Every frame says under the pictures that they are generated, and after which epoch; the files say so
in their metadata. A file is written whole or not at all.
"""

import contextlib
import io
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from checkpoints import files
from gan.evaluation import Interrupted

Stop = Callable[[], object]
_GRID = re.compile(r"epoch-(\d+)\.png")
_MOST = 60  # frames: with more of them a GIF of photographs becomes too large for a page
_LENGTH_MS, _SHORTEST_MS, _LONGEST_MS = 10_000, 80, 500  # of the film; of a frame
_HELD_MS = 2_000  # how long the last frame stays
_WIDEST_GIF, _WIDEST_MP4 = 420, 840  # pixels; wider grids are made smaller by a whole factor
_STRIP = 20  # pixels of height for the words
_FONT_SIZE = 12
_DARK, _LIGHT = 24, 224
_COLOURS = 256
_PALETTE_FROM = 16  # frames that the palette is chosen from
_SAID: dict[str, str | int | float] = {"content": "generated images, not photographs"}
_FFMPEG_S = 300.0  # for what is left to do once it has all frames


@dataclass(frozen=True)
class Film:
    """What was written."""

    gif: Path
    mp4: Path | None
    epochs: tuple[int, ...]  # one frame each
    frame_ms: int
    told: str = ""  # why there is no MP4


class _NoMP4(Exception):
    """The message says why."""


def epochs_of(figures: Path) -> dict[int, Path]:
    """The grids of a folder by epoch, first to last."""
    matches = (_GRID.fullmatch(path.name) for path in figures.glob("epoch-*.png"))
    return dict(sorted((int(m[1]), figures / m[0]) for m in matches if m))


def make(
    figures: Path,
    notes: Mapping[str, str | int | float] | None = None,
    stop: Stop = lambda: None,
    most: int = _MOST,
) -> Film | None:
    """Write epochs.gif and epochs.mp4 beside the grids of a run's `figures`; None without grids.

    `notes` go into the metadata of both. Of more than `most` epochs as many are shown, evenly
    spread, the first and the last among them. Without a working ffmpeg there is no MP4 (an earlier
    one is removed, since it would show another training); `told` says so.

    Raises OSError for a grid that cannot be read and for a full disk, ValueError for grids of
    different sizes, Interrupted when `stop` says so.
    """
    grids = epochs_of(figures)
    if not grids:
        return None
    shown = _spread(list(grids), most)
    frame_ms = min(max(_LENGTH_MS // len(shown), _SHORTEST_MS), _LONGEST_MS) // 10 * 10
    frames = _Frames({epoch: grids[epoch] for epoch in shown}, max(grids), stop)
    said = "; ".join(f"{name}: {note}" for name, note in (_SAID | dict(notes or {})).items())
    gif, mp4 = figures / "epochs.gif", figures / "epochs.mp4"
    files.write_bytes(gif, _gif(frames, frame_ms, said))
    try:
        _write_mp4(mp4, frames, frame_ms, said)
    except _NoMP4 as reason:
        mp4.unlink(missing_ok=True)
        return Film(gif, None, tuple(shown), frame_ms, str(reason))
    return Film(gif, mp4, tuple(shown), frame_ms)


def _spread(epochs: list[int], most: int) -> list[int]:
    last, count = len(epochs) - 1, min(most, len(epochs))
    return [epochs[round(i * last / max(count - 1, 1))] for i in range(count)]


@dataclass(frozen=True)
class _Frames:
    """The pictures of a film, read anew whenever they are wanted: all together may be many."""

    paths: Mapping[int, Path]
    last: int  # epoch of the run
    stop: Stop

    def __len__(self) -> int:
        return len(self.paths)

    def at_most(self, widest: int) -> Iterator[Image.Image]:
        """The frames with words under them, in mode L or RGB, their sides even."""
        size: tuple[int, int] | None = None
        for epoch, path in self.paths.items():
            if self.stop():
                raise Interrupted
            with Image.open(path) as opened:
                grid = opened.convert("L" if opened.mode == "L" else "RGB")
            if size not in (None, grid.size):
                raise ValueError(f"{path} is {grid.size}; allowed: {size}, as the grids before it")
            size = grid.size
            yield self._captioned(grid.reduce(-(-grid.width // widest)), epoch)

    def _captioned(self, grid: Image.Image, epoch: int) -> Image.Image:
        words = f"generated images, epoch {epoch} of {self.last}"
        font = ImageFont.load_default(_FONT_SIZE)
        width = max(grid.width, int(font.getlength(words)) + 2 * _FONT_SIZE)
        height = grid.height + _STRIP
        # Even, as H.264 with halved colours wants it.
        frame = Image.new(grid.mode, (width + width % 2, height + height % 2), _grey(grid, _DARK))
        frame.paste(grid)
        place = _FONT_SIZE // 2, grid.height + _STRIP // 2
        ImageDraw.Draw(frame).text(place, words, _grey(grid, _LIGHT), font, anchor="lm")
        return frame


def _grey(grid: Image.Image, level: int) -> int | tuple[int, int, int]:
    return level if grid.mode == "L" else (level, level, level)


def _gif(frames: _Frames, frame_ms: int, said: str) -> bytes:
    """One palette for all frames: a colour that stays then is drawn the same in all of them."""
    palette = _palette(frames)
    drawn = (_in_palette(frame, palette) for frame in frames.at_most(_WIDEST_GIF))
    stream = io.BytesIO()
    next(drawn).save(
        stream,
        "GIF",
        save_all=True,
        append_images=drawn,
        duration=[*[frame_ms] * (len(frames) - 1), _HELD_MS],
        loop=0,
        comment=said.encode(),
    )
    return stream.getvalue()


def _palette(frames: _Frames) -> Image.Image | None:
    """The colours that serve some of the frames best; None for grey ones, which need no choice."""
    shown = _spread(list(frames.paths), _PALETTE_FROM)
    some = _Frames({epoch: frames.paths[epoch] for epoch in shown}, frames.last, frames.stop)
    drawn = list(some.at_most(_WIDEST_GIF))
    if all(frame.mode == "L" for frame in drawn):
        return None
    width, height = drawn[0].size
    together = Image.new("RGB", (width, height * len(drawn)))
    for place, frame in enumerate(drawn):
        together.paste(frame, (0, place * height))
    return together.quantize(_COLOURS)


def _in_palette(frame: Image.Image, palette: Image.Image | None) -> Image.Image:
    return frame if palette is None else frame.convert("RGB").quantize(palette=palette)


def _write_mp4(path: Path, frames: _Frames, frame_ms: int, said: str) -> None:
    """H.264 by ffmpeg. Raises _NoMP4, OSError, Interrupted; then nothing is written."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise _NoMP4("no MP4: there is no ffmpeg on PATH")
    drawn = frames.at_most(_WIDEST_MP4)
    first = next(drawn)
    with files.made_aside(path) as aside:
        command = [ffmpeg, *_options(first.size, frame_ms, said), f"file:{aside}"]
        with tempfile.TemporaryFile() as words, _running(command, words.fileno()) as process:
            try:
                _feed(process, first, drawn, -(-_HELD_MS // frame_ms))
                failed = process.wait(_FFMPEG_S) != 0
            except subprocess.TimeoutExpired:
                raise _NoMP4(f"no MP4: ffmpeg did not end within {_FFMPEG_S:.0f} s") from None
            words.seek(0)
            lines = words.read().decode(errors="replace").strip().splitlines()
        if failed:
            raise _NoMP4(f"no MP4: ffmpeg failed: {lines[-1] if lines else 'without a word'}")


def _options(size: tuple[int, int], frame_ms: int, said: str) -> list[str]:
    return [
        *("-nostdin", "-loglevel", "error", "-y"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}"),
        *("-framerate", f"1000/{frame_ms}", "-i", "pipe:0"),
        # Colours at half the resolution: what every player and browser can show.
        *("-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "20", "-movflags", "+faststart"),
        # Nothing of time or version in the file.
        *("-fflags", "+bitexact", "-flags:v", "+bitexact", "-metadata", f"comment={said}"),
        *("-f", "mp4"),
    ]


@contextlib.contextmanager
def _running(command: list[str], words: int) -> Iterator[subprocess.Popen[bytes]]:
    """The process, which is gone at the end in any case."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=words
        )
    except OSError as error:
        raise _NoMP4(f"no MP4: ffmpeg cannot be started: {error}") from None
    with process:
        try:
            yield process
        finally:
            process.kill()


def _feed(
    process: subprocess.Popen[bytes],
    first: Image.Image,
    others: Iterator[Image.Image],
    held: int,
) -> None:
    """Give it all frames, the last one `held` times. If it ends early its exit status tells why."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as pipe:
        last = first.convert("RGB").tobytes()
        for frame in others:
            pipe.write(last)
            last = frame.convert("RGB").tobytes()
        for _ in range(held):
            pipe.write(last)
