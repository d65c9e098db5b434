"""Curves as training logs them, of terms that a test makes up step by step."""

import numpy as np

from gan.scalars import Curves

STEPS_PER_EPOCH, LOG_EVERY = 100, 20


def log(terms: dict[str, np.ndarray], epoch: int = STEPS_PER_EPOCH) -> Curves:
    """Running means since each epoch began, at every mark and at every epoch's end."""
    curves: Curves = {}
    for name, values in terms.items():
        steps = [
            step
            for step in range(1, len(values) + 1)
            if step % epoch == 0 or step % epoch % LOG_EVERY == 0
        ]
        means = [values[(step - 1) // epoch * epoch : step].mean() for step in steps]
        curves[f"train/{name}"] = np.array(steps), np.array(means)
    return curves
