"""What every system promises, asked of all that are registered.

A new variant is covered by its entry in VARIANTS and a recipe on embedded data (the digits or the
ring): this recipe, made small, trains, is broken off and gone on with, samples, and reports.
"""

import html
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from states import assert_same_state
from trainers import StopAt, products

from gan import config as configs
from gan import data, evaluation, rng, samples, scalars, variants
from gan.config import VARIANTS, ConfigError, RunConfig
from gan.data import DataInfo
from gan.recipes import RECIPES
from jobs import pipeline, records, report
from jobs.report import Report
from jobs.run import Run
from jobs.stage import Context, Result
from jobs.train import Train

CPU = torch.device("cpu")
EMBEDDED = ("digits", "ring")
OF_EMBEDDED_DATA = [name for name, make in RECIPES.items() if make().data.name in EMBEDDED]
CHANNELS = {"cifar10": 3, "svhn": 3, "folder": 3, "ring": 2}  # the others are grey
STEPS = 11  # in an epoch
# Asked before each step, image batch and grid: in an epoch, at its end, at once, in the second.
STOPS = (7, 0, 6, 1, 5, 10_000)


def info_of(config: RunConfig) -> DataInfo:
    """What the recipe's data would be, whether its files are here or not."""
    channels = CHANNELS.get(config.data.name, 1)
    classes = tuple("0123456789")
    return DataInfo(config.data.name, 50_000, 10_000, channels, classes, "")


def narrow(part: Any) -> Any:
    """Every whole number above 12 becomes 12: widths, hidden units, the noise's length."""
    sizes = {
        item.name: min(value, 12)
        for item in fields(part)
        if type(value := getattr(part, item.name)) is int
    }
    return replace(part, **sizes)


def small(config: RunConfig) -> RunConfig:
    """The same system in a second: two epochs of a few steps, few units, the smallest images."""
    batch = data.inspect(config.data).train_count // STEPS
    train = replace(
        config.train, epochs=2, passes_per_epoch=1, batch_size=batch, log_every=3, grid_rows=2,
        final_samples=20,
    )  # fmt: skip
    config = replace(config, train=train, model=narrow(config.model))
    if config.data.image_size <= 8:
        return config
    try:
        return replace(config, data=replace(config.data, image_size=8))
    except ConfigError:  # its networks need more
        return config


@pytest.fixture(params=OF_EMBEDDED_DATA)
def recipe(request: pytest.FixtureRequest) -> str:
    return request.param


@dataclass(frozen=True)
class Interrupted(Train):
    """Training that is told to stop when it has asked so many times."""

    count: int = 0

    def work(self, context: Context) -> Result:
        return super().work(replace(context, stop=Stop(self.count)))


class Stop(StopAt):
    def reason(self, save_s: float = 0.0) -> str | None:
        return self(save_s)


def prepared(recipe: str, folder: Path) -> Run:
    return pipeline.prepare(recipe, small(RECIPES[recipe]()), folder / recipe, threads=1)


def assert_same_products(left: Run, right: Run) -> None:
    ends = left.store().latest(), right.store().latest()
    assert_same_state(ends[0].load(), ends[1].load())
    assert ends[0].manifest.files == ends[1].manifest.files  # the file's checksum
    assert products(left.path) == products(right.path)
    curves = scalars.read(left.scalars), scalars.read(right.scalars)
    assert curves[0].keys() == curves[1].keys()
    for tag, (steps, values) in curves[0].items():
        assert steps.tolist() == sorted(set(steps.tolist())) == curves[1][tag][0].tolist(), tag
        assert np.array_equal(values, curves[1][tag][1]), tag


def test_every_variant_has_a_recipe_on_embedded_data() -> None:
    assert {RECIPES[name]().variant for name in OF_EMBEDDED_DATA} == VARIANTS.keys()


def test_trains_resumes_samples_and_reports(recipe: str, tmp_path: Path) -> None:
    straight, broken = prepared(recipe, tmp_path / "a"), prepared(recipe, tmp_path / "b")
    ends = [Interrupted(broken.path, count=count)() for count in STOPS]
    assert ends == ["terminated"] * (len(STOPS) - 1) + ["finished"]
    assert Train(straight.path)() == "finished"
    for run in (straight, broken):
        for stage in pipeline.stages(run)[1:]:
            assert stage.job() == "finished", stage.name
    assert_same_products(straight, broken)
    assert_sampled(straight)
    assert_reported(straight)


def assert_sampled(run: Run) -> None:
    config = run.config()
    if not config.generates:
        assert not run.generated_file.exists()
        return
    info = data.inspect(config.data)
    size = config.data.image_size
    generated, grids = samples.read(run.generated_file), samples.read(run.path / "samples.h5")
    assert generated.images.shape == (1, 20, size, size, info.channels)
    assert grids.images.shape[0] == len(grids.steps) == 2
    assert grids.images.shape[2:] == generated.images.shape[2:]
    assert len(np.unique(generated.images[0].reshape(20, -1), axis=0)) > 1
    asked = {*range(len(info.classes))} if getattr(config.game, "auxiliary", False) else {-1}
    assert set(generated.labels.tolist()) <= asked
    assert sorted(path.name for path in run.figures.glob("epoch-*.png")) == [
        "epoch-0001.png",
        "epoch-0002.png",
    ]


def assert_reported(run: Run) -> None:
    """Every curve that was logged is in a panel, every grid and setting on the page."""
    shown = {tag for tags in report._PANELS.values() for tag in tags}
    curves = scalars.read(run.scalars)
    assert curves.keys() <= shown
    page = html.unescape(run.report_file.read_text())
    config = run.config()
    for setting in configs.flatten(config):
        assert setting in page
    pictures = 1  # curves
    if config.generates:
        pictures += 2 + 1 + 2  # two epochs' grids, their film; diversity and scores
        if info_of(config).channels in (1, 3):  # not of points
            pictures += 2 + 2  # strips, straight and along arcs; truncation, and its plot
            classes = getattr(config.game, "auxiliary", False)
            pictures += 2 * classes  # strips between classes, classes against noise
    assert page.count("<figcaption>") == pictures
    assert (f"Test accuracy of {run.path.name}" in page) == ("test/accuracy" in curves)
    assert records.completion(run, Report.stage)


def test_networks_make_and_judge_images_of_the_asked_size(recipe: str) -> None:
    assert_networks_fit(small(RECIPES[recipe]()))


@pytest.mark.parametrize("recipe", sorted(RECIPES.keys() - set(OF_EMBEDDED_DATA)))
def test_other_recipes_are_valid_and_their_networks_build(recipe: str) -> None:
    """At their full size, which test_gan_variants_networks.py compares with the documents."""
    config = RECIPES[recipe]()
    data.check(config, info_of(config))
    assert_networks_fit(config)


def assert_networks_fit(config: RunConfig) -> None:
    info = info_of(config)
    variant = variants.build(config, info, CPU)
    assert (variant.sampler is not None) == config.generates
    assert variant.optimizers.keys() <= variant.networks.keys()
    assert len(set(variant.terms)) == len(variant.terms)
    size = config.data.image_size
    shape = info.channels, size, size
    if variant.sampler is not None:
        asked = variant.asked(3)
        noise = variant.noise(asked, rng.Stream.SAMPLE, rng.Draws(0, 0))
        images = evaluation.generate(variant.sampler, noise)
        assert images.shape == (3, size, size, info.channels)
    with evaluation.eval_mode(*variant.networks.values()):
        given = torch.rand(3, *shape) * 2 - 1
        if variant.classifies:
            assert variant.classify(given).shape == (3, len(info.classes))
        elif config.generates:
            assert variant.critic(given)[0].shape == (3,)


def test_every_recipe_says_what_it_is() -> None:
    for name, make in RECIPES.items():
        first = (make.__doc__ or "").strip().partition("\n")[0]
        assert first.endswith("."), name
        assert 20 < len(first) < 100, name


def test_recipes_differ_in_what_they_compute() -> None:
    identities: Iterable[str] = [configs.identity(make()) for make in RECIPES.values()]
    assert len(set(identities)) == len(RECIPES)
