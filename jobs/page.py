"""Pages that open anywhere: one file each, pictures inside."""

import base64
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Picture:
    """An embedded picture with what one should see in it."""

    data: str  # data: URL
    alt: str
    caption: str


def embed(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def picture(path: Path, alt: str, caption: str) -> Picture:
    """Of a PNG file."""
    return Picture(embed(path.read_bytes(), "png"), alt, caption)


def render(template: str, **values: Any) -> str:
    """A page from one of `jobs/templates`, all values escaped; `written` is the time."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jobs"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    written = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    return environment.get_template(template).render(written=written, **values)
