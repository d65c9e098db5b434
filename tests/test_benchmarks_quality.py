"""The benchmark of quality trains in each precision, and judges what comes of it."""

import json
import sys
from dataclasses import replace

import pytest

from benchmarks import quality
from gan import recipes
from gan.config import ACGANConfig


def test_each_precision_is_judged_for_every_seed(
    tiny_acgan: ACGANConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = recipes.classifier_digits()
    judge = replace(judge, data=tiny_acgan.data, model=replace(judge.model, width=4))
    monkeypatch.setitem(recipes.RECIPES, "acgan-digits", lambda: tiny_acgan)
    monkeypatch.setitem(recipes.RECIPES, "classifier-digits", lambda: judge)
    monkeypatch.setattr(quality, "_IMAGES", 40)
    words = ["quality", "--seeds", "2", "--passes", "1", "--threads", "1", "--json"]
    monkeypatch.setattr(sys, "argv", words)
    quality.main()
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["float32", "bfloat16"]
    for of_seeds in found.values():
        assert len(of_seeds) == 2
        assert all(one["frechet"] > 0 for one in of_seeds)
        assert all(0 <= one["gan_test_accuracy"] <= 1 for one in of_seeds)
    assert found["float32"] != found["bfloat16"]
    assert quality.table(found).count("\n") == 3
