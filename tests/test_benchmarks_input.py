"""Both ways into the update are timed, and lead to batches of the same kind."""

import json
from dataclasses import replace

import pytest
import torch

from benchmarks import input as bench
from benchmarks import measuring
from gan import recipes


def test_both_ways_are_timed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "_OWN_BATCHES", 2)
    monkeypatch.setattr(bench, "_PLAIN_BATCHES", 2)
    monkeypatch.setattr(bench, "_TRANSFORMS", 3)
    monkeypatch.setattr(bench, "_WORKERS", 0)  # in this process: a worker takes seconds to start
    monkeypatch.setattr(bench, "_REST_S", 0)
    result = bench.measure(bench.configured(4, compiled=False), images=20, repeats=2, threads=1)
    measuring.tell(result, as_json=True)
    assert json.loads(capsys.readouterr().out) == result
    assert result["ratio_min"] <= result["ratio_median"] <= result["ratio_max"]
    assert result["suite_images_per_s"] > 0
    assert result["cpu_ratio"] > 0
    assert (result["batch"], result["compile"]) == (4, "off")


def test_both_make_batches_alike() -> None:
    config = recipes.acgan()
    config = replace(config, train=replace(config.train, batch_size=5))
    images = bench.make(10)
    own = bench.Suite(images, config, torch.device("cpu")).batches.at(0, bench.rng.Draws(0, 0))
    pictures = bench.Pictures(images.train_images, images.train_labels, config.data)
    plain = torch.utils.data.default_collate([pictures[k] for k in range(5)])
    for mine, theirs in zip(own, plain, strict=True):
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype)
    for batch in (own[0], plain[0]):
        assert -1 <= batch.min() < -0.9 < 0.9 < batch.max() <= 1
