"""Figures of a GAN on the ring of Gaussians, whose modes are known: no judge is needed."""

from typing import Any

from gan.data.images import chosen
from jobs.measuring.judge import Stop
from jobs.measuring.sampled import generated
from jobs.trained import Trained


def count_modes(model: Trained, count: int | None, stop: Stop) -> dict[str, Any]:
    """How many modes the generated points lie in, and how near to them.

    `count` points on either side; all there are if left out. Raises Stopped.
    """
    from gan.data import ring

    fakes, _ = generated(model, count, stop)
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


def summary(figures: dict[str, Any]) -> str:
    """The figures of `count_modes` in a line."""
    return (
        f"{figures['modes_found']} of {figures['modes']} modes found; "
        f"{figures['high_quality']:.1%} of the points are of high quality "
        f"(of real ones {figures['floor_high_quality']:.1%})"
    )
