import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gan import rng
from gan.blocks import HeadOptions, S0Critic
from gan.visual import attacks, curves, grids, maximisation, perturbation
from gan.visual.attacks import Attack
from gan.visual.maximisation import Channels


def make_critic() -> S0Critic:
    rng.seed_torch(0, rng.Stream.INIT)
    return S0Critic(16, 1, 6, HeadOptions(classes=10))


def test_perturbation_moves_every_pixel_by_epsilon_towards_the_target() -> None:
    critic = make_critic()
    images = torch.rand(20, 1, 16, 16) * 0.5
    labels = torch.arange(20) % 10
    result = attacks.show(lambda x: critic(x)[1], images, labels, Attack(), epsilon=2)
    moved = (result.altered - images).abs()
    moving = result.gradients != 0
    torch.testing.assert_close(moved[moving], torch.full_like(moved[moving], 4 / 255))
    assert not moved[~moving].any()
    target = (labels + 1) % 10
    log_p = [
        critic(x)[1].log_softmax(1)[torch.arange(20), target] for x in (images, result.altered)
    ]
    assert (log_p[1] > log_p[0]).float().mean() >= 0.9  # a first-order step: nearly all gain
    assert not images.requires_grad


def test_perturbation_stays_in_range_and_leaves_no_graph() -> None:
    critic = make_critic()
    images = torch.ones(4, 1, 16, 16)
    labels = torch.zeros(4).long()
    result = attacks.show(lambda x: critic(x)[1], images, labels, Attack(), epsilon=50)
    assert -1 <= result.altered.min() <= result.altered.max() <= 1
    assert not result.altered.requires_grad


def test_all_channels_are_drawn_however_many_rise_together() -> None:
    critic, mean = make_critic(), torch.zeros(1, 16, 16)
    rule = maximisation.Ascent(iterations=5)
    wanted = Channels("stages.conv8.0")
    whole = maximisation.maximise_channels(critic, wanted, mean, rule).images
    parts = maximisation.maximise_channels(critic, wanted, mean, rule, chunk=4).images
    assert parts.shape == (6, 1, 16, 16)
    torch.testing.assert_close(parts, whole)


def test_gradient_pictures_use_the_whole_range() -> None:
    pictures = perturbation.as_pictures(torch.randn(3, 1, 4, 4))
    assert pictures.min() == -1
    assert pictures.max() == 1
    assert torch.isfinite(perturbation.as_pictures(torch.zeros(1, 1, 2, 2))).all()


def test_maximisation_raises_every_class_and_every_channel() -> None:
    critic, mean = make_critic(), torch.zeros(1, 16, 16)
    rule = maximisation.Ascent(iterations=30)
    classes = maximisation.maximise_logits(lambda x: critic(x)[1], mean, rule).images
    assert classes.shape == (10, 1, 16, 16)
    before, after = critic(mean.expand(10, 1, 16, 16))[1], critic(classes)[1]
    assert (after.diagonal() > before.diagonal()).all()
    features = maximisation.maximise_channels(critic, Channels("stages.conv4.0"), mean, rule).images
    assert features.shape == (6, 1, 16, 16)
    start = critic.activation(mean.expand(6, 1, 16, 16), "conv4").amax((2, 3)).diagonal()
    assert (critic.activation(features, "conv4").amax((2, 3)).diagonal() > start).all()
    assert features.abs().max() <= 1


def test_grid_puts_images_in_rows() -> None:
    images = np.arange(7, dtype=np.uint8).repeat(4 * 3).reshape(7, 4, 3, 1) + 1
    sheet = grids.grid(images, columns=3)
    assert sheet.shape == (3 * 6 + 2, 3 * 5 + 2, 1)
    for place, image in enumerate(images):
        top, left = (place // 3) * 6 + 2, (place % 3) * 5 + 2
        assert np.array_equal(sheet[top : top + 4, left : left + 3], image)


def test_grids_of_any_number_and_both_channel_counts_are_saved(tmp_path: Path) -> None:
    for count, channels in ((1, 1), (101, 3)):
        path = tmp_path / f"{count}.png"
        grids.save(path, np.zeros((count, 16, 16, channels), np.uint8), columns=10)
        with Image.open(path) as picture:
            assert picture.mode == ("L" if channels == 1 else "RGB")
            assert picture.width == (10 * 18 + 2) * 4


def test_png_enlarges_without_smoothing() -> None:
    sheet = np.array([[[0], [255]]], np.uint8)
    with Image.open(io.BytesIO(grids.png(sheet, scale=3))) as picture:
        assert np.unique(np.asarray(picture)).tolist() == [0, 255]
        assert picture.size == (6, 3)


def test_curves_are_svg_and_repeatable() -> None:
    known = {"train/loss": (np.array([1, 2]), np.array([0.5, 0.25]))}
    panels = {"Loss": ["train/loss"], "Absent": ["train/nothing"]}
    svg = curves.draw(known, panels)
    assert svg.startswith(b"<?xml")
    assert svg == curves.draw(known, panels)
