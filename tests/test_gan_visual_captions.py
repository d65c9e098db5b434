"""Words below images: there where they belong, and never wider than the image."""

import io

import numpy as np
import pytest
from PIL import Image

from gan.visual import captions


def opened(sheet: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(sheet)) as picture:
        return np.asarray(picture)


def images(count: int, side: int = 16, channels: int = 1) -> np.ndarray:
    shades = np.arange(count, dtype=np.uint8) + 1
    return np.broadcast_to(shades[:, None, None, None], (count, side, side, channels)).copy()


@pytest.mark.parametrize("channels", [1, 3])
def test_images_and_words_stand_where_they_belong(channels: int) -> None:
    found = opened(captions.sheet(images(5, channels=channels), ["a", "", "", "", ""], columns=3))
    assert found.ndim == (2 if channels == 1 else 3)
    wide, line, gap = 64, 14, 4
    first, second = gap, gap + wide + line + gap  # the second row has no words and no room for them
    assert found.shape[:2] == (second + wide + gap, 3 * (wide + gap) + gap)
    for number, top in enumerate([first] * 3 + [second] * 2):
        left = gap + number % 3 * (wide + gap)
        assert (found[top : top + wide, left : left + wide] == number + 1).all()
    words = found[first + wide : first + wide + line]
    assert words[:, gap : gap + wide].max() > 200
    assert (words[:, gap + wide :] == 96).all()
    assert (found[second + wide :] == 96).all()


def test_words_that_are_too_wide_are_cut() -> None:
    long = "a name that no image of this size has room for"
    found = opened(captions.sheet(images(2), [long, ""], columns=2))
    assert (found[68:82, 68:] == 96).all()
    assert not np.array_equal(found, opened(captions.sheet(images(2), ["a name", ""], columns=2)))


def test_several_lines_and_large_images() -> None:
    found = opened(captions.sheet(images(1, side=70), ["one\ntwo"], columns=1))
    assert found.shape == (4 + 70 + 2 * 14 + 4, 78)
    assert all(found[74 + line : 88 + line, 4:74].max() > 200 for line in (0, 14))


def test_every_image_needs_a_caption() -> None:
    with pytest.raises(ValueError, match="1 captions for 2 images; allowed: one for each"):
        captions.sheet(images(2), ["a"], columns=2)
