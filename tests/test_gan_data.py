from collections.abc import Callable

import numpy as np
import pytest
from sklearn.datasets import load_digits

from gan import data
from gan.config import ACGANConfig, ConfigError, DataConfig
from gan.data import digits


def test_digits_are_real_balanced_and_split_the_same_every_time() -> None:
    config = DataConfig(name="digits", image_size=16)
    images, info = data.load(config), data.inspect(config)
    assert images.info == info
    assert images.train_images.shape == (info.train_count, 1, 16, 16)
    assert len(images.test_labels) == info.test_count
    assert info.train_count + info.test_count == 1797
    assert np.bincount(images.test_labels).min() > 20
    again = data.load(config)
    assert np.array_equal(images.test_images, again.test_images)
    frame = images.train_images[:, :, [0, 1, -2, -1], :]
    assert frame.max() == 0  # the margin
    assert images.train_images.max() == 255


@pytest.mark.parametrize("file", [digits._FILE, "elsewhere.csv.gz"])
def test_digits_are_those_of_scikit_learn(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "_FILE", file)
    levels, classes = digits.read()
    expected = load_digits()
    assert levels.dtype == expected.images.dtype
    assert classes.dtype == np.int64
    assert np.array_equal(levels, expected.images)
    assert np.array_equal(classes, expected.target)


def test_unknown_set_lists_the_sets() -> None:
    with pytest.raises(ConfigError, match="'mnits'; allowed: digits, cifar10, mnist, fashionmnist"):
        data.inspect(DataConfig(name="mnits"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: DataConfig(image_size=0), "data.image_size is 0; allowed: 1 to 512"),
        (
            lambda: ACGANConfig(data=DataConfig(image_size=20)),
            "data.image_size is 20; acgan allows: 4 times a power of two",
        ),
        (lambda: DataConfig(test_fraction=0.0), "data.test_fraction is 0.0; allowed: between"),
        (
            lambda: DataConfig(name="mnist", copy_to="/tmp"),
            "data.copy_to is '/tmp'; allowed: nothing, unless data.name is packed",
        ),
        (lambda: DataConfig(memory_gb=-1), "data.memory_gb is -1; allowed: 0 or more"),
        (lambda: DataConfig(jitter=-1), "data.jitter is -1"),
    ],
)
def test_impossible_settings_name_the_field(change: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        change()
