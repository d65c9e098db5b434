import numpy as np
import pytest
import torch
from torch import nn

from gan.batches import to_unit
from gan.evaluation import (
    TOGETHER,
    Interrupted,
    accuracy,
    eval_mode,
    generate,
    predict,
    synthesise,
)

CPU = torch.device("cpu")


def test_accuracy_counts_a_short_last_batch_right() -> None:
    images = np.zeros((300, 1, 2, 2), np.uint8)  # more than a batch, and not a multiple
    images[:3] = 255
    labels = np.zeros(300, np.int64)

    def classify(batch: torch.Tensor) -> torch.Tensor:
        bright = batch.amax((1, 2, 3)) > 0
        return torch.stack([~bright, bright], 1).float()

    assert accuracy(predict(classify, images, CPU), labels) == 297 / 300


def test_predict_sees_the_images_scaled() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 2, 2), dtype=np.uint8)
    seen = predict(lambda batch: batch.flatten(1), images, CPU)
    assert torch.equal(seen, to_unit(torch.from_numpy(images)).flatten(1))


def test_modes_are_put_back() -> None:
    first, second = nn.Dropout(), nn.Dropout().eval()
    with pytest.raises(ZeroDivisionError), eval_mode(first, second):
        assert not first.training
        raise ZeroDivisionError
    assert first.training
    assert not second.training


def test_stop_breaks_off() -> None:
    answers = iter([False, True])
    with pytest.raises(Interrupted):
        predict(lambda b: b, np.zeros((600, 1, 2, 2), np.uint8), CPU, lambda: next(answers))
    with pytest.raises(Interrupted):
        generate(nn.Identity(), torch.zeros(3, 1, 2, 2), lambda: True)


def test_generated_bytes_do_not_depend_on_the_batch() -> None:
    noise = torch.rand(300, 1, 2, 2) * 2 - 1
    images = generate(nn.Identity(), noise)
    assert images.shape == (300, 2, 2, 1)
    assert np.array_equal(images[299], generate(nn.Identity(), noise[299:])[0])


def test_a_generator_always_sees_full_batches() -> None:
    seen: list[torch.Tensor] = []

    class Seeing(nn.Identity):
        def forward(self, noise: torch.Tensor) -> torch.Tensor:
            seen.append(noise)
            return noise

    noise = torch.rand(TOGETHER + 3, 1, 2, 2)
    images = generate(Seeing(), noise)
    assert [len(batch) for batch in seen] == [TOGETHER, TOGETHER]
    assert torch.equal(seen[1][:6], noise[TOGETHER:].repeat(2, 1, 1, 1))
    assert len(images) == TOGETHER + 3


def test_statistics_of_the_batch_do_not_refuse_a_single_image() -> None:
    norm = nn.BatchNorm1d(4, track_running_stats=False)
    with pytest.raises(ValueError, match="more than 1 value"):
        norm(torch.rand(1, 4))
    assert synthesise(norm, torch.rand(1, 4)).shape == (1, 4)
    assert norm.training
