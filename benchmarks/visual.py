"""What it takes to look into one S0 discriminator: all of `gan.visual`, each part by itself.

    python -m benchmarks.visual [--width 196] [--iterations 200] [--images 10000] [--json]

An untrained discriminator and images of random pixels: the arithmetic is that of trained ones.
Every channel of every convolution is maximised by S0's plain rule, those of S0's five layers by the
refined one too, and all images are altered, on the GPU if there is one: what the stage `visualize`
does, and the other layers. Each time includes the waiting for the device, and making the pictures.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gan import batches, numerics, rng
from gan.blocks import HeadOptions, S0Critic
from gan.visual import (
    attack_figures,
    attacks,
    grids,
    layers,
    line,
    maximisation,
    receptive,
    receptive_figure,
)
from gan.visual.maximisation import Ascent, Channels, Rule
from gan.visual.refined import Refined

_SIDE, _CHANNELS = 32, 3
_CLASSES = tuple(f"class {number}" for number in range(10))
_S0_LAYERS = ("conv2", "conv3", "conv4", "conv6", "conv8")
_SHOWN = 10  # images in a picture of them
_ITERATED = 256  # images that are attacked in many steps


class Bench:
    """A discriminator, images, and the seconds of each part so far."""

    def __init__(self, width: int, images: int, iterations: int, device: torch.device) -> None:
        self.plain, self.refined = Ascent(iterations), Refined(iterations)
        self.briefly = Refined(max(1, iterations // 2), 2 * self.refined.step)
        self.device = device
        rng.seed_torch(0, rng.Stream.INIT)
        options = HeadOptions(classes=len(_CLASSES))
        critic = S0Critic(_SIDE, _CHANNELS, width, options).to(device)
        self.critic = critic.eval().requires_grad_(False)
        draws = rng.Draws(0, 0, device)
        self.images = draws.uniform(rng.Stream.SAMPLE, images, _CHANNELS, _SIDE, _SIDE) * 2 - 1
        self.labels = draws.labels(rng.Stream.SAMPLE, images, len(_CLASSES))
        self.mean = self.images[:100].mean(0)
        self.seconds: dict[str, float] = {}

    def classify(self, images: Tensor) -> Tensor:
        logits: Tensor = self.critic(images)[1]
        return logits

    def part(self, name: str, work: Callable[[], object]) -> None:
        self._wait()
        started = time.perf_counter()
        work()
        self._wait()
        self.seconds[name] = time.perf_counter() - started
        print(f"{name:<34} {self.seconds[name]:>9.2f} s", flush=True)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def run(self) -> None:
        self.attack()
        for name, rule in (("classes", self.plain), ("classes, refined", self.refined)):
            self.part(name, lambda rule=rule: self.draw(self.classes(rule)))
        for stage in self.critic.layers:
            self.part(
                f"channels of {stage}",
                lambda stage=stage: self.draw(self.channels(stage, self.plain)),
            )
        for stage in _S0_LAYERS:
            if stage in self.critic.layers:
                self.part(
                    f"channels of {stage}, refined",
                    lambda stage=stage: self.draw(self.channels(stage, self.briefly)),
                )

    def attack(self) -> None:
        single, iterated = attacks.Attack(), attacks.iterated()
        away, count = attacks.Attack(targeted=False), len(self.images)
        some, labels = self.images[:_SHOWN], self.labels[:_SHOWN]
        for name, attack, images in (
            ("a step to the next class", single, count),
            ("a step off the true class", away, count),
            ("10 projected steps", iterated, _ITERATED),
        ):
            self.part(
                f"{name}, {len(attacks.EPSILONS)} epsilons",
                lambda attack=attack, images=images: attacks.measure(
                    self.classify,
                    self.images[:images],
                    self.labels[:images],
                    attack,
                    attacks.EPSILONS,
                ),
            )
        self.part(
            "altered images and saliency",
            lambda: attack_figures.sheet(
                attacks.show(self.classify, some, labels, single), _CLASSES
            ),
        )
        self.part(
            "line through an image",
            lambda: line.plot(
                line.trace(self.classify, some[0], int(labels[0]), line.Line()), _CLASSES
            ),
        )
        self.part(
            "receptive fields",
            lambda: receptive_figure.plot(receptive.middle(self.critic, some[0]), some[0]),
        )

    def classes(self, rule: Rule) -> Tensor:
        return maximisation.course_of_logits(self.classify, self.mean, rule).images

    def channels(self, stage: str, rule: Rule) -> Tensor:
        wanted = Channels(f"stages.{stage}.0")
        return maximisation.maximise_channels(self.critic, wanted, self.mean, rule).images

    def draw(self, images: Tensor) -> bytes:
        return grids.contact_sheet(batches.to_bytes(images), columns=10)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    device = numerics.configure(options.threads)
    bench = Bench(options.width, options.images, options.iterations, device)
    known = layers.convolutions(bench.critic, bench.mean)
    facts = numerics.fingerprint(device) | {
        "width": options.width,
        "iterations": options.iterations,
        "images": options.images,
        "convolutions": len(known),
        "channels": sum(layer.channels for layer in known.values()),
    }
    for name, value in facts.items():
        print(f"{name:<34} {value}", flush=True)
    bench.run()
    of_s0 = sum(bench.seconds[f"channels of {stage}"] for stage in _S0_LAYERS)
    others = sum(
        seconds
        for name, seconds in bench.seconds.items()
        if name.startswith("channels of ") and not any(stage in name for stage in _S0_LAYERS)
    )
    total = sum(bench.seconds.values())
    totals = {
        "channels of S0's five layers": of_s0,
        "what `visualize` does": total - others,
        "all": total,
    }
    for name, seconds in totals.items():
        print(f"{name:<34} {seconds:>9.2f} s")
    return facts | {"seconds": bench.seconds | totals}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=196)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--images", type=int, default=10_000, help="that are altered")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options)
    if options.json:
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
