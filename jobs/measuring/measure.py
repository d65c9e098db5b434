"""Figures of a trained GAN: how its images look to a classifier that knows real ones only."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jobs.measuring import learned, remembered, snapshots
from jobs.measuring.judge import Applied, stoppable
from jobs.measuring.sampled import Sampled
from jobs.reporting import classes_table
from jobs.stage import Result

if TYPE_CHECKING:
    from gan.metrics import Beside, Comparison

FORM = 2  # of what is recorded; a record of another form is made anew


def measure(sampled: Sampled) -> Result:
    """All figures of a sampled GAN, with tables and warnings for the report, and its pictures.

    As many images are compared on either side as there are both generated and held-out real ones.
    What needs classes is left out of a GAN that knows none. Raises Stopped, and ConfigError for a
    file of Inception weights that cannot be used.
    """
    from gan import numerics

    # The bits depend on how many; of two networks that share a machine the judge has the fewer, and
    # the pictures of both are drawn at the same time.
    numerics.configure(sampled.judge.model.run.settings()["threads"])
    with stoppable(sampled.judge.stop):
        figures = _of_images(sampled)
        drawn = [snapshots.follow(sampled), remembered.look(sampled)]
        figures |= learned.teach(sampled)
        if sampled.published:
            fakes, stop = sampled.images[0], sampled.judge.stop
            figures["inception"] = sampled.published.figures(sampled.model, fakes, stop)
    for part in drawn:
        figures |= part.figures
    figures["tables"] = classes_table.tables(figures)
    return Result([path for part in drawn for path in part.outputs], figures)


def _of_images(sampled: Sampled) -> dict[str, Any]:
    judge, model = sampled.judge, sampled.model
    figures: dict[str, Any] = {
        "form": FORM,
        "count": sampled.count,
        "classifier_test_accuracy": judge.test_accuracy,
        "test_images": len(judge.held_out),
        "generated_images": len(sampled.seen),
        "judge": str(judge.model.run.path),
        "judge_sha256": judge.model.checksum,
        "generator_sha256": model.checksum,
    }
    if model.variant.classifies:
        figures["discriminator_test_accuracy"] = Applied(model, judge.stop).test_accuracy
    return figures | _gan_test(sampled) | _compared(sampled)


def _compared(sampled: Sampled) -> dict[str, Any]:
    """Against the training images, beside as many held-out ones of the same classes."""
    from gan import metrics

    judge, seed, stop = sampled.judge, sampled.seed, sampled.judge.stop
    sets = judge.training, judge.held_out, sampled.seen
    found: dict[str, Any] = _recorded(metrics.beside_floor(*sets, seed, stop))
    if sampled.classes:
        parts = metrics.by_class(*sets, sampled.classes, seed, stop)
        found["by_class"] = {name: _recorded(part) for name, part in parts.items()}
    return found


def _recorded(found: "Beside") -> dict[str, Any]:
    return _part("generated", found.generated) | _part("floor", found.floor)


def _part(key: str, found: "Comparison") -> dict[str, Any]:
    figures = {
        f"{key}_distance": asdict(found.distances),
        f"{key}_support": asdict(found.support),
    }
    return figures | ({f"{key}_score": asdict(found.score)} if found.score else {})


def _gan_test(sampled: Sampled) -> dict[str, Any]:
    """GAN-test accuracy: whether the judge sees the class that was asked for.

    Shmelkov et al., "How good is my GAN?" (2018), section 3.
    """
    if not sampled.classes:
        return {}
    labels = sampled.images[1]
    hits = sampled.seen.logits.argmax(1).cpu().numpy() == labels
    by_class = {
        name: float(hits[labels == k].mean())
        for k, name in enumerate(sampled.classes)
        if (labels == k).any()
    }
    return {"gan_test_accuracy": float(hits.mean()), "gan_test_accuracy_by_class": by_class}


def summary(figures: dict[str, Any]) -> str:
    """The figures of `measure` in a line."""
    named = {
        "classifier_test_accuracy": "test accuracy of the judge",
        "discriminator_test_accuracy": "of the GAN's discriminator",
        "gan_test_accuracy": "GAN-test accuracy",
    }
    told = [f"{title} {figures[key]:.4f}" for key, title in named.items() if key in figures]
    frechet, floor = (figures[f"{k}_distance"]["frechet"] for k in ("generated", "floor"))
    told.append(f"Frechet distance {frechet:.3f} (real against real {floor:.3f})")
    support, usual = (figures[f"{k}_support"] for k in ("generated", "floor"))
    for name in ("precision", "recall"):
        told.append(f"{name} {support[name]:.3f} ({usual[name]:.3f})")
    if "inception" in figures:
        found = figures["inception"]["generated"]
        told.append(f"FID {found['frechet']:.2f} of {found['second_count']} images")
    return "; ".join(told)
