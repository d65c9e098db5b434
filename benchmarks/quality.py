"""Whether a faster arithmetic makes worse images: the demo's GAN in each, over several seeds.

    python -m benchmarks.quality [--recipe acgan-digits] [--judge classifier-digits] [--seeds 3]
        [--precision float32,bfloat16] [--passes 0] [--threads 2] [--json]

A judge is trained once, in float32, and sees all generated images: how many it takes for the class
that was asked for (GAN-test accuracy), and how far its features of them lie from those of held-out
real images (Frechet distance on the judge's features, which is no FID). --passes trains for so many
passes over the data instead of the recipe's.
"""

import statistics
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import measuring
from gan import data, evaluation, metrics, numerics, recipes, rng, variants
from gan.batches import Batches
from gan.config import RunConfig
from gan.data import ImageSet
from gan.variants import Variant

_IMAGES = 1000


def trained(config: RunConfig, images: ImageSet, threads: int, passes: int = 0) -> Variant:
    """The system after all of its steps, at its learning rates."""
    device = numerics.configure(threads)
    variant, order = variants.build(config, images.info, device), Batches(images, config, device)
    epochs = config.train.epochs
    steps = passes * order.steps_per_pass if passes else epochs * order.steps_per_epoch
    for step in range(steps):
        drops = sum(drop <= step // order.steps_per_epoch for drop in config.optim.drop_epochs)
        variant.set_learning_rate(config.optim.learning_rate / 10**drops)
        draws = rng.Draws(config.seed, step, device)
        rng.seed_torch(config.seed, rng.Stream.DROPOUT, step)
        variant.update(*order.at(step, draws), draws)
    order.close()
    return variant


def judged(judge: Variant, variant: Variant, images: ImageSet) -> dict[str, float]:
    """GAN-test accuracy and Frechet distance of images that `variant` makes now."""
    assert variant.sampler is not None, "only a GAN makes images"
    asked = variant.asked(_IMAGES)
    noise = variant.noise(asked, rng.Stream.SAMPLE, rng.Draws(0, 0, variant.device))
    made = np.moveaxis(evaluation.generate(variant.sampler, noise), 3, 1)
    with evaluation.eval_mode(*judge.networks.values()):
        device = judge.device
        logits = evaluation.predict(judge.classify, made, device)
        seen = [
            evaluation.predict(judge.features, each, device) for each in (images.test_images, made)
        ]
    found = metrics.distances(*seen)
    right = evaluation.accuracy(logits, asked.cpu().numpy())
    return {"gan_test_accuracy": right, "frechet": found.frechet}


def measure(
    config: RunConfig, judge: Variant, images: ImageSet, seeds: int, options: tuple[int, int]
) -> list[dict[str, float]]:
    """What each seed ends in; `options` are threads and passes."""
    found = []
    for seed in range(seeds):
        found.append(judged(judge, trained(replace(config, seed=seed), images, *options), images))
        print(f"{config.train.precision}, seed {seed}: {found[-1]}", file=sys.stderr, flush=True)
    return found


def table(found: dict[str, list[dict[str, float]]]) -> str:
    rows: list[list[object]] = []
    for precision, of_seeds in found.items():
        cells = [precision]
        for name in ("gan_test_accuracy", "frechet"):
            values = [one[name] for one in of_seeds]
            each = ", ".join(f"{value:.3f}" for value in values)
            cells.append(f"{statistics.mean(values):.3f} ({each})")
        rows.append([*cells])
    heads = ["precision", "GAN-test accuracy, mean (each seed)", "Frechet distance, mean (each)"]
    return measuring.table(heads, rows)


def main() -> None:
    parser = measuring.arguments(__doc__)
    parser.add_argument("--recipe", default="acgan-digits")
    parser.add_argument("--judge", default="classifier-digits")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--precision", default="float32,bfloat16")
    parser.add_argument("--passes", type=int, default=0)
    options = parser.parse_args()
    config = recipes.RECIPES[options.recipe]()
    images = data.load(config.data)
    judge = trained(recipes.RECIPES[options.judge](), images, options.threads, options.passes)
    found: dict[str, Any] = {}
    for precision in options.precision.split(","):
        chosen = replace(config, train=replace(config.train, precision=precision))
        both = options.threads, options.passes
        found[precision] = measure(chosen, judge, images, options.seeds, both)
    measuring.tell(found, options.json, lambda: table(found))


if __name__ == "__main__":
    main()
