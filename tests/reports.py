"""Runs for the tests of the report: finished by their records, with nothing trained."""

import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan.config import RunConfig
from gan.scalars import ScalarLog
from gan.visual import grids
from jobs import pipeline, records
from jobs.measuring import measure
from jobs.reporting import classes_table
from jobs.run import Run

JUDGE = "5ca1ab1e" * 8
EPOCHS = 9
_SHARES = {
    "accuracy_before": 0.995, "accuracy_after": 0.25, "hit_rate": 0.5, "control_accuracy": 0.97
}  # fmt: skip


def distances(frechet: float, kernel: float, spread: float) -> dict[str, Any]:
    sizes = {"first_count": 1438, "second_count": 359}
    return {"frechet": frechet, "kernel": kernel, "kernel_spread": spread} | sizes


def support(precision: float, recall: float) -> dict[str, Any]:
    sizes = {"real_count": 359, "other_count": 359}
    return {"precision": precision, "recall": recall, "density": 1.25, "coverage": 0.75} | sizes


def score(mean: float) -> dict[str, Any]:
    return {"mean": mean, "spread": 0.125, "parts": 3, "count": 359}


def _taught(accuracy: float) -> dict[str, Any]:
    by_class = {str(k): 1 - k / 32 for k in range(10)}
    counts = {"train_count": 1000, "test_count": 359}
    return {"accuracy": accuracy, "by_class": by_class} | counts


def _remembered(share: float, copies: bool = False) -> dict[str, Any]:
    excess = {"share": share, "expected": 0.01, "chance": 0.5}
    counts = {"training_count": 1438, "held_out_count": 359, "sample_count": 1000}
    told = {"statement": f"{share} are near. That is no sign.", "copies": copies}
    return {"median": 20.0, "held_out_median": 21.0, "nearer": excess, "alike": excess} | (
        counts | told
    )


def memorisation() -> dict[str, Any]:
    return {"pixels": _remembered(0.0), "features": _remembered(0.0625)}


def inception(**other: Any) -> dict[str, Any]:
    """What `evaluate` records of a file of Inception weights."""
    sides = {
        "generated": distances(35.5, 0.5, 0.25) | {"score": score(2.5)},
        "floor": distances(12.0, 0.25, 0.25) | {"score": score(3.0)},
    }
    return {"sha256": "6726825d" * 8, "published": True, "images": 0} | sides | other


def evaluation(**other: Any) -> dict[str, Any]:
    """What `evaluate` records, with some figures as given."""
    compared = {
        "generated_distance": distances(12.5, 0.25, 0.125),
        "floor_distance": distances(2.0, -0.0625, 0.125),
        "generated_support": support(0.875, 0.5),
        "floor_support": support(0.9375, 0.953125),
    }
    figures = {
        "form": measure.FORM,
        "classifier_test_accuracy": 0.9875,
        "discriminator_test_accuracy": 0.75,
        "gan_test_accuracy": 0.625,
        "gan_test_accuracy_by_class": {str(k): k / 16 for k in range(10)},
        "test_images": 359,
        "generated_images": 1000,
        "judge_sha256": JUDGE,
        "generator_sha256": "unknown",
        **compared,
        "generated_score": score(8.5),
        "floor_score": score(9.25),
        "by_class": {str(k): compared for k in range(9)},  # of the last there were too few
        "classification_score": {
            "generated": _taught(0.875), "real": _taught(0.9375), "guessing": 0.125,
            "lesson": {"steps": 200},
        },
    } | other  # fmt: skip
    return {"tables": classes_table.tables(figures)} | figures


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)


def draw(path: Path, count: int = 20, columns: int = 10) -> Path:
    grids.save(path, noise(count, zlib.crc32(path.name.encode())), columns)
    return path


def _short(config: RunConfig) -> RunConfig:
    return replace(
        config,
        data=replace(config.data, image_size=8),
        model=replace(config.model, width=4),
        train=replace(config.train, epochs=EPOCHS, final_samples=100),
    )


def prepared(path: Path) -> Run:
    """The demo's pipeline, small; nothing of it has begun."""
    chosen = pipeline.demo()
    chosen = replace(chosen, classifier=_short(chosen.classifier), gan=_short(chosen.gan))
    return pipeline.prepare("demo", chosen, path, 1)


def train(run: Run) -> None:
    """As if trained: a record, curves, and grids if it has a generator."""
    steps = run.settings()["total_steps"]
    state = run.store().path(steps) / "state.pt"
    state.parent.mkdir(parents=True)
    state.write_bytes(b"weights")
    config = run.config()
    log = ScalarLog(run.scalars, purge_step=0)
    for epoch in range(1, EPOCHS + 1):
        value = 1 / epoch
        values = {"train/accuracy": 1 - value / 2, "test/accuracy": 0.984375 - value / 4}
        values |= (
            {"train/real_source": value, "train/fake_source": -value}
            if config.generates
            else {"train/loss": value}
        )
        log.add(epoch * steps // EPOCHS, values)
        if config.generates:
            draw(run.figures / f"epoch-{epoch:04d}.png", 100)
    log.close()
    records.complete(run, "train", [state], {"steps": steps})


def sample(run: Run, *pictures: Path) -> None:
    run.generated_file.write_bytes(b"images")
    strips = draw(run.figures / "interpolation.png", 80)
    records.complete(run, "sample", [run.generated_file, strips, *pictures], {"generated": 100})


def seen(run: Run, name: str) -> tuple[list[Path], dict[str, Any]]:
    """Pictures of one network of a pipeline, and what `visualize` records of it."""
    titles = {"real": 100, "gradients": 100, "altered": 100, "max-class": 10}
    titles |= {"max-conv4": 4, "max-conv8": 4}
    paths = [draw(run.figures / f"{name}-{t}.png", count) for t, count in titles.items()]
    facts = {"epsilon": 8.0, "images": 359, "layers": ["conv4", "conv8"], "taken": "after"}
    table = {
        "title": "Steps of several sizes", "item": "perturbation", "how": "on 359 images",
        "columns": ["Every pixel moved by", "True class, 1 step"], "units": ["", "share"],
        "rows": [["2/255", 0.75], ["8/255", 0.25]],
    }  # fmt: skip
    return paths, facts | _SHARES | {"tables": [table]}


def visualize(run: Run, **more: Any) -> None:
    drawn = {name: seen(run, name) for name in run.members()}
    outputs = [path for paths, _ in drawn.values() for path in paths]
    facts = {name: facts for name, (_, facts) in drawn.items()}
    records.complete(run, "visualize", outputs, facts | more)


def finished(path: Path, **figures: Any) -> Run:
    """All that a pipeline leaves; some figures of `evaluate` as given."""
    run = prepared(path)
    for member in run.members().values():
        train(member)
    sample(run.members()["gan"])
    records.complete(run, "evaluate", [], evaluation(**figures))
    visualize(run)
    return run


def film(path: Path, frames: int = 3) -> Path:
    """An animation of grids."""
    images = [Image.fromarray(grids.grid(noise(4, seed), 2)[..., 0]) for seed in range(frames)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=200, loop=0)
    return path
