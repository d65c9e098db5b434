"""A PDF as a reader shows it, by PDFium."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium


@dataclass(frozen=True)
class Sheet:
    text: str
    size: tuple[float, float]  # in points
    pixels: np.ndarray  # (H, W, 3) uint8
    pictures: list[np.ndarray]
    boxes: list[tuple[float, float, float, float]]  # left, bottom, right, top of all that is drawn
    fonts_embedded: list[bool]


def read(path: Path) -> list[Sheet]:
    document = pypdfium2.PdfDocument(path)
    try:
        return list(_sheets(document))
    finally:
        document.close()


def metadata(path: Path) -> dict[str, str]:
    document = pypdfium2.PdfDocument(path)
    try:
        return document.get_metadata_dict(skip_empty=True)
    finally:
        document.close()


def _sheets(document: pypdfium2.PdfDocument) -> Iterator[Sheet]:
    for page in document:
        objects = list(page.get_objects())
        # Stored from the bottom to the top, and turned over as they are drawn.
        pictures = [o.get_bitmap().to_numpy()[::-1].copy() for o in objects if _is(o, "IMAGE")]
        text = page.get_textpage()
        yield Sheet(
            text.get_text_bounded().replace("\r\n", " "),
            page.get_size(),
            page.render(scale=1).to_numpy().copy(),
            pictures,
            [o.get_bounds() for o in objects],
            [_is_embedded(o) for o in objects if _is(o, "TEXT")],
        )
        text.close()
        page.close()


def _is(thing: pypdfium2.PdfObject, kind: str) -> bool:
    return bool(thing.type == getattr(pdfium, f"FPDF_PAGEOBJ_{kind}"))


def _is_embedded(text: pypdfium2.PdfObject) -> bool:
    return bool(pdfium.FPDFFont_GetIsEmbedded(pdfium.FPDFTextObj_GetFont(text.raw)) == 1)
