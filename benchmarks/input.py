"""Images per second into the update: the suite's way against torchvision's, image by image.

    python -m benchmarks.input [--batch 64] [--images 5000] [--compile]
        [--repeats 7] [--threads 2] [--json]

The same random images in memory, 32 x 32 in colour, and S0's augmentation: a random square crop
resized back, a mirror image, jitter of brightness, contrast, saturation and hue. The suite gathers
bytes by index and alters the whole batch at once on the device. The plain way is a DataLoader whose
workers do it with torchvision's transforms on PIL pictures, one by one, shuffled, as a float32
batch in [-1, 1]. --compile is the suite with `--train.compile on`. Both are timed in turn; while
the suite is, the workers have filled their queue and rest, and what they had ready is not counted.

Processor time is told too, which other users of the machine change less: microseconds an image, of
the suite's process, and of one plain transform without any loader.
"""

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks import measuring
from gan import numerics, recipes, rng
from gan.batches import Batches
from gan.config import DataConfig, RunConfig
from gan.data import DataInfo, ImageSet

_SIDE, _CLASSES, _WORKERS = 32, 10, 2
_READY_EACH = 2  # batches that a worker has ready: what DataLoader has them do
_REST_S = 0.2  # until they do
_PLAIN_BATCHES, _OWN_BATCHES = 12, 400  # timed in a round
_TRANSFORMS = 300  # for the processor time of one


class Pictures(Dataset[tuple[Tensor, int]]):
    """What a user writes: an image, altered by torchvision when it is asked for."""

    def __init__(
        self, images: NDArray[np.uint8], labels: NDArray[np.int64], config: DataConfig
    ) -> None:
        from torchvision import transforms

        strengths = [config.jitter] * 4
        self.images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        self.labels = labels
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(_SIDE, scale=(config.crop_scale_min, 1), ratio=(1, 1)),
                transforms.ColorJitter(*strengths),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize((0.5,) * 3, (0.5,) * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[place])), int(self.labels[place])


class Suite:
    """The batches of a run, step after step."""

    def __init__(self, images: ImageSet, config: RunConfig, device: torch.device) -> None:
        self.batches, self.device = Batches(images, config, device), device
        self.steps = itertools.count()

    def __call__(self, count: int = _OWN_BATCHES) -> None:
        for step in itertools.islice(self.steps, count):
            self.batches.at(step, rng.Draws(0, step, self.device))


class Plain:
    """A DataLoader's batches, epoch after epoch; its workers stay."""

    def __init__(self, images: ImageSet, config: RunConfig, device: torch.device) -> None:
        assert isinstance(images.train_images, np.ndarray)
        self.pictures = Pictures(images.train_images, images.train_labels, config.data)
        self.device = device
        self.loader = DataLoader(
            self.pictures,
            config.train.batch_size,
            shuffle=True,
            num_workers=_WORKERS,
            drop_last=True,
            persistent_workers=_WORKERS > 0,
            # Not forked: workers would share the memory of the process that is measured.
            multiprocessing_context="spawn" if _WORKERS else None,
            pin_memory=device.type == "cuda",
        )
        self.found = self._endless()

    def _endless(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from self.loader

    def use_up(self) -> None:
        """Take what is ready, so that what follows has to be made."""
        self(_READY_EACH * _WORKERS)

    def rest(self) -> None:
        """Let the workers fill their queue: until then they would disturb others."""
        time.sleep(_REST_S)

    def __call__(self, count: int = _PLAIN_BATCHES) -> None:
        for images, labels in itertools.islice(self.found, count):
            images.to(self.device, non_blocking=True)
            labels.to(self.device, non_blocking=True)


def make(images: int) -> ImageSet:
    """Random pictures."""
    generator = np.random.default_rng(0)
    shape = (images, 3, _SIDE, _SIDE)
    info = DataInfo("random", images, 1, 3, tuple(map(str, range(_CLASSES))), "")
    return ImageSet(
        info,
        generator.integers(0, 256, shape, dtype=np.uint8),
        generator.integers(0, _CLASSES, images),
        np.zeros((1, *shape[1:]), np.uint8),
        np.zeros(1, np.int64),
    )


def configured(batch: int, compiled: bool) -> RunConfig:
    config: RunConfig = recipes.acgan()
    train = replace(config.train, batch_size=batch, compile="on" if compiled else "off")
    return replace(config, train=train)


def measure(config: RunConfig, images: int, repeats: int, threads: int) -> dict[str, Any]:
    device, batch = numerics.configure(threads), config.train.batch_size
    held = make(images)
    suite, plain = Suite(held, config, device), Plain(held, config, device)
    settle = measuring.settle_on(device)
    suite(3)
    rates: dict[str, list[float]] = {"suite": [], "plain": []}
    own_cpu_s = 0.0
    for _ in range(repeats):
        plain.use_up()
        seconds = measuring.seconds_of(plain, settle)
        rates["plain"].append(_PLAIN_BATCHES * batch / seconds)
        plain.rest()
        before = time.process_time()
        seconds = measuring.seconds_of(suite, settle)
        rates["suite"].append(_OWN_BATCHES * batch / seconds)
        own_cpu_s += time.process_time() - before
    # As seconds of one image, for the ratios of the rounds.
    times = measuring.Times({name: [1 / rate for rate in own] for name, own in rates.items()})
    speedup, own_images = times.speedup("suite", "plain"), repeats * _OWN_BATCHES * batch
    own_us, plain_us = 1e6 * own_cpu_s / own_images, _transform_us(plain.pictures)
    return {
        "device": str(device),
        "threads": threads,
        "workers": _WORKERS,
        "batch": batch,
        "compile": config.train.compile,
        "rounds": repeats,
        "suite_images_per_s": 1 / times.median("suite"),
        "plain_images_per_s": 1 / times.median("plain"),
        "ratio_median": speedup.median,
        "ratio_min": speedup.least,
        "ratio_max": speedup.most,
        "suite_cpu_us_per_image": own_us,
        "plain_cpu_us_per_image": plain_us,
        "cpu_ratio": plain_us / own_us,
    }


def _transform_us(pictures: Pictures) -> float:
    """Processor time of one image's transforms, in microseconds."""
    before = time.process_time()
    for place in range(_TRANSFORMS):
        pictures[place % len(pictures)]
    return 1e6 * (time.process_time() - before) / _TRANSFORMS


def main() -> None:
    parser = measuring.arguments(__doc__)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    config = configured(options.batch, options.compile)
    result = measure(config, options.images, options.repeats, options.threads)
    measuring.tell(result, options.json)


if __name__ == "__main__":
    main()
