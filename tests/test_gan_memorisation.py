import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import nhypergeom

from gan import data, memorisation
from gan.config import DataConfig
from gan.data import ImageSet
from gan.evaluation import Interrupted
from gan.neighbours import nearest
from gan.visual import grids


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return data.load(DataConfig(image_size=16))


def noisy(images: np.ndarray, size: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=images.shape) * size
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def halves(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return images[::2], images[1::2]


def test_a_generator_that_memorises_is_flagged(digits: ImageSet) -> None:
    copies = noisy(digits.train_images[100:300], 10)
    found = memorisation.examine(digits.train_images, digits.test_images, copies)
    figures = found.figures
    assert figures.copies
    assert figures.nearer.share == 1
    assert figures.alike.share > 0.95
    assert figures.median < figures.held_out_median / 2
    assert found.nearest.places[:, 0].tolist() == list(range(100, 300))
    assert figures.statement().endswith("That is a sign of training images given back.")
    assert "The median distance of 200 samples to their nearest of 1438" in figures.statement()


def test_one_copy_in_ten_is_enough(digits: ImageSet) -> None:
    held_out, fresh = halves(digits.test_images)
    samples = np.concatenate([fresh[20:], noisy(digits.train_images[:20], 5)])
    found = memorisation.examine(digits.train_images, held_out, samples)
    assert found.figures.copies
    assert found.figures.median > 0.9 * found.figures.held_out_median  # which tells nothing of it
    assert sorted(found.suspects(20).tolist()) == list(range(len(samples) - 20, len(samples)))


def test_fresh_real_images_are_not_flagged(digits: ImageSet) -> None:
    for held_out, fresh in (halves(digits.test_images), halves(digits.test_images)[::-1]):
        figures = memorisation.examine(digits.train_images, held_out, fresh).figures
        assert not figures.copies
        assert figures.median == pytest.approx(figures.held_out_median, rel=0.05)
        assert figures.statement().endswith("That is no sign of training images given back.")


def test_smooth_samples_are_near_without_being_copies() -> None:
    """Clouds of noise: their mean is nearer to each than they are to each other."""
    random = np.random.default_rng(0)
    clouds = gaussian_filter(random.normal(size=(700, 1, 16, 16)), (0, 0, 1, 1))
    clouds = np.clip(128 + 300 * clouds, 0, 255).astype(np.uint8)
    dull = (128 + 0.3 * (clouds[500:600].astype(float) - 128)).astype(np.uint8)
    figures = memorisation.examine(clouds[:500], clouds[600:], dull).figures
    assert figures.nearer.significant
    assert figures.nearer.share == 1
    assert not figures.copies
    assert "They are near to many training images" in figures.statement()


def test_features_work_as_pixels_do(digits: ImageSet) -> None:
    project = torch.randn(256, 12, generator=torch.Generator().manual_seed(0)) / 16

    def features(images: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(images).flatten(1).float() @ project

    held_out, fresh = map(features, halves(digits.test_images))
    training = features(digits.train_images)
    assert memorisation.examine(training, held_out, training[:50] + 0.01).figures.copies
    assert not memorisation.examine(training, held_out, fresh).figures.copies


def test_distances_are_root_mean_squares_in_levels() -> None:
    training = np.zeros((3, 3, 4, 4), np.uint8)
    training[1:] = 200
    figures = memorisation.examine(training, training[:1] + 7, training[:1] + 3).figures
    assert figures.median == pytest.approx(3)
    assert figures.held_out_median == pytest.approx(7)


def test_chance_is_that_of_the_urn() -> None:
    """Samples among the lowest are those drawn before the r-th held-out image."""
    random = np.random.default_rng(0)
    held_out, samples = random.normal(size=150), random.normal(size=90) - 1.0
    found = memorisation._excess(torch.from_numpy(samples), torch.from_numpy(held_out))
    threshold = np.sort(held_out)[1]  # one in a hundred of 150, rounded up, is two
    below = int((samples < threshold).sum())
    assert found.share == below / 90
    assert found.expected == 2 / 151
    assert found.chance == pytest.approx(nhypergeom.sf(below - 1, 240, 90, 2), rel=1e-6)
    assert found.significant


def test_the_picture_has_each_sample_before_its_neighbours(digits: ImageSet) -> None:
    training = digits.train_images[:40]
    samples = training[[30, 5]]
    found = memorisation.examine(training, digits.test_images, samples)
    shown = memorisation.beside_neighbours(
        samples, training, found.nearest, np.array([1, 0]), count=3
    )
    assert shown.shape == (8, 16, 16, 1)
    for row, place in ((0, 5), (4, 30)):
        assert np.array_equal(shown[row], training[place].transpose(1, 2, 0))
        assert np.array_equal(shown[row], shown[row + 1])
    apart = np.sqrt(((training[5].astype(float) - training) ** 2).sum((1, 2, 3)))
    second, third = apart.argsort(kind="stable")[1:3]
    assert np.array_equal(shown[2], training[second].transpose(1, 2, 0))
    assert np.array_equal(shown[3], training[third].transpose(1, 2, 0))
    assert grids.contact_sheet(shown, 4).startswith(b"\x89PNG")
    places = nearest(training, samples, 3).places
    assert torch.equal(found.nearest.places[:, 0], places[:, 0])


def test_too_few_images_and_breaking_off(digits: ImageSet) -> None:
    images = digits.test_images
    with pytest.raises(ValueError, match="1 training, 5 held-out images and 0 samples given"):
        memorisation.examine(images[:1], images[:5], images[:0])
    with pytest.raises(Interrupted):
        memorisation.examine(images, images, images, stop=lambda: "terminated")
