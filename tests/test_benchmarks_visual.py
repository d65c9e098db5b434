"""The timing of all that is drawn of a network runs, and adds up."""

import argparse

import pytest
import torch

from benchmarks import visual


def test_every_part_is_timed_and_drawn_many_channels_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    batches: list[int] = []
    forward = torch.nn.Conv2d.forward

    def noted(self: torch.nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
        batches.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(torch.nn.Conv2d, "forward", noted)
    ones = []
    for iterations in (2, 4):
        options = argparse.Namespace(width=6, iterations=iterations, images=20, threads=1)
        batches.clear()
        result = visual.measure(options)
        ones.append(batches.count(1))
        assert {6, 10, 20} < set(batches)  # channels, classes, images
    assert ones[0] == ones[1]  # for the names of layers and the like: no channel rises by itself
    assert (result["convolutions"], result["channels"]) == (8, 48)
    seconds = result["seconds"]
    assert {f"channels of conv{n}" for n in range(1, 9)} < seconds.keys()
    assert {f"channels of conv{n}, refined" for n in (2, 3, 4, 6, 8)} < seconds.keys()
    assert 0 < seconds["channels of S0's five layers"] < seconds["what `visualize` does"]
    assert seconds["what `visualize` does"] < seconds["all"]
    assert capsys.readouterr().out.count(" s\n") == 2 * len(seconds)
