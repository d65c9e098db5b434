"""Pages that open anywhere: one file each, pictures inside."""

import base64
import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = {".png": "png", ".svg": "svg+xml", ".gif": "gif"}
_THIRD_PX = 320  # of the page's width, about
PICTURES = tuple(KINDS)  # endings of the files that a page can show


@dataclass(frozen=True)
class Picture:
    """An embedded picture with what one should see in it."""

    content: bytes
    kind: str  # as in image/png
    alt: str
    caption: str
    provenance: str = ""  # which run, stage and step it is from
    label: str = ""  # whether it is real or generated
    span: int = 1  # thirds of the page's width, where there is room for so many

    @property
    def data(self) -> str:
        """As a data: URL."""
        return embed(self.content, self.kind)

    @property
    def is_plot(self) -> bool:
        """Lines and text rather than pixels."""
        return self.kind == "svg+xml"

    @property
    def is_film(self) -> bool:
        return self.kind == "gif"

    @property
    def shrinks(self) -> bool:
        """Whether it has more pixels across than there is room for, so that some would be lost."""
        from PIL import Image

        if self.is_plot:
            return False
        try:
            with Image.open(io.BytesIO(self.content)) as picture:
                return picture.width > _THIRD_PX * self.span
        except OSError:  # a damaged grid is shown as the browser shows it
            return False

    @property
    def still(self) -> str:
        """The first image of a film, for whoever wants no motion."""
        return embed(first_frame(self.content), "png")


def first_frame(content: bytes) -> bytes:
    """The first image of an animation, as PNG."""
    from PIL import Image

    stream = io.BytesIO()
    with Image.open(io.BytesIO(content)) as film:
        film.convert("RGB").save(stream, "PNG")
    return stream.getvalue()


def embed(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def picture(path: Path, alt: str, caption: str, **more: Any) -> Picture:
    """Of a file with one of the endings in `PICTURES`; `more` as for `Picture`."""
    return Picture(path.read_bytes(), KINDS[path.suffix], alt, caption, **more)


def render(template: str, **values: Any) -> str:
    """A page from one of `jobs/templates`, all values escaped; `written` is the time."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jobs"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    written = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return environment.get_template(template).render(written=written, **values)
