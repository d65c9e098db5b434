"""Checkerboard energy of three ways to double a generator's maps, before and after training.

    python -m benchmarks.checkerboard [--recipe dcgan-digits] [--steps 300] [--seeds 3]
        [--threads 2] [--json]

The recipe's transposed convolutions against interpolation (nearest, bilinear) and a convolution 3
in their place, with everything else the same. Printed are the shares of spectral energy at the
periods of the strides (see gan/visual/checkerboard.py), means over the seeds, beside those of real
images and of white noise.
"""

import argparse
import dataclasses
import importlib
import json
import statistics
import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from gan import data, evaluation, numerics, recipes, rng
from gan.batches import Batches
from gan.blocks import Critic
from gan.config import GANConfig
from gan.data import DataInfo, ImageSet
from gan.variants.adversarial import Adversarial
from gan.visual import checkerboard
from gan.visual.checkerboard import UPSAMPLINGS, Checkerboard

_IMAGES = 512  # generated ones that are measured


@dataclass(frozen=True)
class Row:
    """What one way came to, after so many steps."""

    upsampling: str
    steps: int
    shares: dict[int, float]  # by period


def build(config: GANConfig, info: DataInfo, kind: str, device: torch.device) -> Adversarial:
    """The system of `config`, whose generator doubles its maps in another way."""
    module = importlib.import_module(f"gan.variants.{config.variant}")

    def networks(config: GANConfig, info: DataInfo) -> tuple[Critic, nn.Module]:
        critic, generator = module.networks(config, info)
        return critic, checkerboard.with_upsampling(generator, kind)

    return Adversarial(config, info, device, networks)


def train(variant: Adversarial, batches: Batches, seed: int, steps: int) -> None:
    for step in range(steps):
        draws = rng.Draws(seed, step, variant.device)
        rng.seed_torch(seed, rng.Stream.DROPOUT, step)
        variant.update(*batches.at(step, draws), draws)


def shares(variant: Adversarial, images: ImageSet) -> list[Checkerboard]:
    noise = variant.noise(variant.asked(_IMAGES), rng.Stream.SAMPLE, rng.Draws(0, 0))
    made = evaluation.generate(variant.sampler, noise.to(variant.device))
    return checkerboard.measure(made, np.moveaxis(images.test_images, 1, 3))


def measure(config: GANConfig, steps: int, seeds: int, threads: int = 1) -> dict[str, Any]:
    device, images = numerics.configure(threads), data.load(config.data)
    rows: list[Row] = []
    for kind in UPSAMPLINGS:
        found: dict[int, list[list[Checkerboard]]] = {0: [], steps: []}
        for seed in range(seeds):
            seeded = replace(config, seed=seed)
            variant = build(seeded, images.info, kind, device)
            found[0].append(shares(variant, images))
            train(variant, Batches(images, seeded, device), seed, steps)
            found[steps].append(shares(variant, images))
            print(f"{kind}, seed {seed}: done", file=sys.stderr, flush=True)
        for count, of_seeds in found.items():
            by_period = zip(*of_seeds, strict=True)
            means = {
                same[0].period: statistics.mean(c.generated for c in same) for same in by_period
            }
            rows.append(Row(kind, count, means))
    last = found[steps][0]
    return {
        "rows": [dataclasses.asdict(row) for row in rows],
        "real": {c.period: c.real for c in last},
        "noise": {c.period: c.noise for c in last},
        "seeds": seeds,
    }


def table(result: dict[str, Any]) -> str:
    periods = list(result["real"])
    lines = ["share of energy at period".ljust(36) + "".join(f"{p:>10}" for p in periods)]
    named = [("real images", result["real"]), ("white noise", result["noise"])]
    named += [(f"{r['upsampling']}, after {r['steps']} steps", r["shares"]) for r in result["rows"]]
    for name, found in named:
        lines.append(name.ljust(36) + "".join(f"{found[period]:>10.4%}" for period in periods))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="dcgan-digits")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    config = recipes.RECIPES[options.recipe]()
    assert isinstance(config, GANConfig), "only a GAN makes images"
    result = measure(config, options.steps, options.seeds, options.threads)
    print(json.dumps(result, indent=2) if options.json else table(result))


if __name__ == "__main__":
    main()
