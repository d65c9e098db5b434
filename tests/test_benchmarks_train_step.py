"""The plain loop and the suite's update compute the same, so that their times may be compared."""

import json
import sys
from dataclasses import fields, replace
from typing import Any

import pytest
import torch

from benchmarks import plain, train_step
from gan import rng, variants
from gan.batches import Batches
from gan.config import RunConfig

CPU = torch.device("cpu")
TINY = {"width": 4, "critic_hidden": 8, "generator_hidden": 8, "latent": 14, "dropout": 0.0}


def tiny(recipe: str) -> RunConfig:
    """The recipe with a few channels, few images, and without masks, whose draws would differ."""
    side = 32 if recipe in ("cats", "progressive") else 28 if "mnist" in recipe else 16
    settings = train_step.Settings(width=4, batch_size=6, image_size=side)
    config = train_step.configured(recipe, settings)
    model: Any = config.model
    changes = {k: v for k, v in TINY.items() if k in {item.name for item in fields(model)}}
    return replace(config, model=replace(model, **changes))


@pytest.mark.parametrize("recipe", train_step.FAMILIES)
def test_plain_loop_and_suite_compute_the_same(recipe: str) -> None:
    config = tiny(recipe)
    images = train_step.random_images(config, 40)
    variant = variants.build(config, images.info, CPU)
    loop, order = plain.make(config, variant), Batches(images, config, CPU)
    draws = rng.Draws(config.seed, 0)
    batch, labels = order.at(0, draws)
    told = loop.step(batch.clone(), labels, draws)
    named = dict(zip(variant.terms, variant.update(batch, labels, draws).tolist(), strict=True))
    shared = named.keys() & told.keys()
    assert shared
    for name in shared:
        assert told[name] == pytest.approx(named[name], rel=1e-4, abs=1e-5), name
    compared = 0
    for name, network in variant.networks.items():
        for (which, ours), theirs in zip(
            network.named_parameters(), loop.networks[name].parameters(), strict=True
        ):
            if name == "generator_ema" or theirs.grad is None:
                continue
            compared += 1
            limit = 1e-3 * float(theirs.grad.abs().max()) + 1e-6
            assert float((ours.grad - theirs.grad).abs().max()) <= limit, (name, which)
    assert compared > 0


def test_the_loaders_batches_are_of_the_suites_shape_and_range() -> None:
    for recipe in ("acgan", "simclr-pretrain-quick", "gan-mnist"):
        config = tiny(recipe)
        images = train_step.random_images(config, 40)
        ours, _ = Batches(images, config, CPU).at(0, rng.Draws(0, 0))
        theirs, labels = next(plain.batches(config, images, workers=0))
        assert theirs.shape == ours.shape
        assert labels.shape == (6,)
        assert theirs.dtype == ours.dtype
        assert -1 <= theirs.min() < -0.8
        assert 0.8 < theirs.max() <= 1


def test_it_tells_ratios_of_what_was_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = "--recipe acgan,gan-mnist --width 4 --batch-size 8 --repeats 2 --threads 1 --memory"
    words = [*asked.split(), "--update-only", "--precision", "float32", "--json", "--steps", "2"]
    monkeypatch.setattr(sys, "argv", ["train_step", *words])
    train_step.main()
    found = json.loads(capsys.readouterr().out)
    assert [row["recipe"] for row in found["recipes"]] == ["acgan", "gan-mnist"]
    for row in found["recipes"]:
        assert set(row["times_as_fast"]) == {"plain", "plain, memory kept", "float32"}
        assert row["times_as_fast"]["plain"] == {"median": 1.0, "least": 1.0, "most": 1.0}
        assert row["images_per_second"]["float32"] == pytest.approx(8 / row["seconds"]["float32"])
    assert train_step.table(found).count("\n") == 3


def test_steps_of_a_turn_are_told_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[None] = []
    monkeypatch.setattr(train_step.Suite, "update", lambda self: done.append(None))
    monkeypatch.setattr(train_step.Plain, "update", lambda self: done.append(None))
    settings = train_step.Settings(
        4, 8, update_only=True, repeats=2, threads=1, precisions=("float32",), steps=5
    )
    turns = (1 + 2) * 2  # of both, the warm-up among them
    monkeypatch.setattr(train_step, "_LEAD_IN", 1)
    train_step.measure("gan-mnist", settings)
    assert len(done) == turns * 2 * 5
