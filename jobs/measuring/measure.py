"""Figures of a trained GAN: how its images look to a classifier that knows real ones only."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gan.data.images import chosen
from jobs.sample import generate
from jobs.stage import Stopped
from jobs.trained import Trained

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from gan.data.sources import ImageSource
    from gan.metrics import Distances

Stop = Callable[[], str | None]  # why to stop, or None


@dataclass
class Applied:
    """A trained discriminator applied to arrays of images (N, C, S, S) uint8.

    Everything raises Stopped once `stop` gives a reason.
    """

    model: Trained
    stop: Stop

    def _apply(self, function: Any, images: "ImageSource") -> "Tensor":
        from gan import evaluation

        try:
            with evaluation.eval_mode(*self.model.variant.networks.values()):
                return evaluation.predict(function, images, self.model.device, self.stop)
        except evaluation.Interrupted:
            raise Stopped(self.stop()) from None

    def features(self, images: "ImageSource") -> "Tensor":
        return self._apply(self.model.variant.features, images)

    def logits(self, images: "np.ndarray") -> "Tensor":
        return self._apply(self.model.variant.classify, images)

    @cached_property
    def test_accuracy(self) -> float:
        from gan import evaluation

        data = self.model.data
        return evaluation.accuracy(self.logits(data.test_images), data.test_labels)


@dataclass
class Judge(Applied):
    """A finished classifier. What it says of real images is found once for all GANs it judges."""

    _floors: dict[int, "Distances"] = field(default_factory=dict)

    @cached_property
    def real(self) -> "Tensor":
        """Features of all training images."""
        return self.features(self.model.data.train_images)

    def distance(self, images: "np.ndarray") -> "Distances":
        """From the training images."""
        from gan import metrics

        return metrics.distances(self.real, self.features(images))

    def floor(self, count: int) -> "Distances":
        """How far so many held-out real images are from the training images."""
        if count not in self._floors:
            tests = self.model.data.test_images
            self._floors[count] = self.distance(tests[chosen(len(tests), count)])
        return self._floors[count]


def measure(model: Trained, judge: Judge, count: int | None = None) -> dict[str, Any]:
    """The figures of a sampled GAN.

    `count` images on either side are compared; left out, as many as there are both generated and
    held-out real ones. Accuracies need classes: the GAN's own where its discriminator names them,
    that of its images where it was asked for them. Raises Stopped.
    """
    tests = judge.model.data.test_images
    fakes, asked = _generated(model, count, judge.stop)
    figures: dict[str, Any] = {
        "classifier_test_accuracy": judge.test_accuracy,
        "test_images": len(tests),
        "generated_images": len(fakes),
        "judge_sha256": judge.model.checksum,
        "generator_sha256": model.checksum,
    }
    if model.variant.classifies:
        figures["discriminator_test_accuracy"] = Applied(model, judge.stop).test_accuracy
    if model.variant.conditions:
        figures |= _gan_test(judge, fakes, asked)
    # Both distances grow as the sets shrink: only sets of one size can be compared.
    compared = min(len(fakes), len(tests))
    figures["generated_distance"] = asdict(judge.distance(fakes[:compared]))
    figures["floor_distance"] = asdict(judge.floor(compared))
    return figures


def count_modes(model: Trained, count: int | None, stop: Stop) -> dict[str, Any]:
    """The figures of a GAN on the ring of Gaussians, whose modes are known: no judge is needed.

    `count` points on either side; all there are if left out. Raises Stopped.
    """
    from gan.data import ring

    fakes, _ = _generated(model, count, stop)
    tests = model.data.test_images
    real = tests[chosen(len(tests), count)]
    found, floor = (ring.coverage(ring.points_of(points)) for points in (fakes, real))
    return {
        "modes": ring.MODES,
        "modes_found": found.modes,
        "points_by_mode": list(found.per_mode),
        "high_quality": found.quality,
        "floor_high_quality": floor.quality,
        "generated_images": len(fakes),
        "test_images": len(real),
        "generator_sha256": model.checksum,
    }


def _generated(model: Trained, count: int | None, stop: Stop) -> tuple["np.ndarray", "np.ndarray"]:
    """Images (N, C, S, S) and the labels asked for: the run's own, or more of the same kind."""
    from gan import samples

    stored = samples.read(model.run.generated_file)
    images, labels = stored.images[0], stored.labels
    if count is not None and count > len(labels):
        images, labels = generate(model, count, stop)
    return images[:count].transpose(0, 3, 1, 2), labels[:count]


def _gan_test(judge: Judge, fakes: "np.ndarray", asked: "np.ndarray") -> dict[str, Any]:
    """GAN-test accuracy: whether the judge sees the class that was asked for.

    Shmelkov et al., "How good is my GAN?" (2018), section 3.
    """
    logits = judge.logits(fakes)
    hits = logits.argmax(1).cpu().numpy() == asked
    by_class = {
        name: float(hits[asked == k].mean())
        for k, name in enumerate(judge.model.data.info.classes)
        if (asked == k).any()
    }
    return {"gan_test_accuracy": float(hits.mean()), "gan_test_accuracy_by_class": by_class}


def summary(figures: dict[str, Any]) -> str:
    """The figures of `measure` or `count_modes` in a line."""
    if "modes" in figures:
        return (
            f"{figures['modes_found']} of {figures['modes']} modes found; "
            f"{figures['high_quality']:.1%} of the points are of high quality "
            f"(of real ones {figures['floor_high_quality']:.1%})"
        )
    named = {
        "classifier_test_accuracy": "test accuracy of the judge",
        "discriminator_test_accuracy": "of the GAN's discriminator",
        "gan_test_accuracy": "GAN-test accuracy",
    }
    told = [f"{title} {figures[key]:.4f}" for key, title in named.items() if key in figures]
    frechet, floor = (figures[f"{k}_distance"]["frechet"] for k in ("generated", "floor"))
    return "; ".join([*told, f"Frechet distance {frechet:.3f} (real against real {floor:.3f})"])
