from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trainers import build_trainer

from gan import data
from gan.config import ConfigError, DataConfig, MLPGANConfig, MLPGANModel, TrainConfig
from gan.data import ring
from gan.visual import grids

CONFIG = DataConfig(name="ring", image_size=1)


def test_points_are_eight_gaussians_with_their_modes_as_labels() -> None:
    images = data.load(CONFIG)
    assert images.info == data.inspect(CONFIG)
    assert images.train_images.shape == (8000, 2, 1, 1)
    points = ring.points_of(images.train_images)
    for mode in range(ring.MODES):
        mine = points[images.train_labels == mode]
        angle = mode * np.pi / 4
        expected = [0.8 * np.cos(angle), 0.8 * np.sin(angle)]
        assert np.allclose(mine.mean(0), expected, atol=5 * 0.03 / np.sqrt(len(mine)))
        assert np.allclose(mine.std(0), 0.03, rtol=0.1)
        assert np.bincount(images.test_labels)[mode] > 200
    found = ring.coverage(points)
    assert found.modes == 8
    assert found.quality == pytest.approx(1 - np.exp(-4.5), abs=0.005)


def test_the_points_are_the_same_every_time() -> None:
    first, second = data.load(CONFIG), data.load(CONFIG)
    assert np.array_equal(first.train_images, second.train_images)
    assert np.array_equal(first.test_labels, second.test_labels)


def test_all_modes_are_covered_by_their_centres() -> None:
    found = ring.coverage(ring.centres())
    assert found == ring.Coverage(modes=8, quality=1.0, per_mode=(1,) * 8)


def test_one_mode_collapsed() -> None:
    points = np.array([[0.8, 0.0], [0.8, 0.08], [0.72, 0.0], [0.8, 0.1]])  # the last is too far
    assert ring.coverage(points) == ring.Coverage(1, 0.75, (3, 0, 0, 0, 0, 0, 0, 0))


def test_points_between_the_modes_cover_none() -> None:
    found = ring.coverage(np.array([[0.0, 0.0], [0.5, 0.5], [-1.0, 1.0]]))
    assert found == ring.Coverage(0, 0.0, (0,) * 8)


def test_both_layouts_of_images_give_the_same_points() -> None:
    images = data.load(CONFIG).test_images
    assert np.array_equal(ring.points_of(images), ring.points_of(images.transpose(0, 2, 3, 1)))
    assert ring.points_of(np.array([[[[0]], [[255]]]], np.uint8)).tolist() == [[-1, 1]]


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.zeros((4, 3)), np.zeros(2)])
def test_what_is_no_set_of_points_is_refused(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"allowed: \(N, 2\), N 1 or more"):
        ring.coverage(points)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 32}, "data.image_size is 32; the ring allows: 1"),
        ({"image_size": 1, "flip": True}, "ring has points, not pictures; allowed: .* no crop"),
        ({"image_size": 1, "jitter": 0.1}, "ring has points, not pictures; allowed: .* no crop"),
    ],
)
def test_settings_of_images_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        data.inspect(DataConfig(name="ring", **settings))


def test_points_are_drawn_into_one_black_plane() -> None:
    points = np.array([[0, 0], [255, 255], [255, 255], [128, 255]], np.uint8)
    sheet = grids.grid(points[:, None, None, :], columns=2)
    assert sheet.shape == (262, 262, 1)
    assert sheet[3 + 255, 3, 0] == sheet[3, 3 + 128, 0]  # x to the right, y upwards; one dot each
    assert sheet[3, 3 + 255, 0] == 255  # two dots
    assert 64 < sheet[3, 3 + 128, 0] < 255
    assert (sheet > 0).sum() == 3 * 29  # pixels within 3 of the middle


def test_a_gan_trains_on_points_and_its_pictures_are_planes(tmp_path: Path) -> None:
    config = MLPGANConfig(
        data=CONFIG,
        train=TrainConfig(epochs=1, batch_size=500, grid_rows=2),
        model=MLPGANModel(critic_hidden=8, generator_hidden=8, latent=4),
    )
    trainer = build_trainer(tmp_path, config)
    trainer.train()
    with Image.open(tmp_path / "figures" / "epoch-0001.png") as picture:
        assert picture.size == (2 * 262, 2 * 262)
        assert np.asarray(picture).min() == 0
    assert trainer.step == 16
