"""What S0 says of altering images: the size of a step, and how gradients are shown."""

from torch import Tensor

PIXEL = 2 / 255  # one step of an 8-bit pixel, for images in [-1, 1]
DEFAULT_EPSILON = 8.0  # pixels of 255 (S0's gain)


def as_pictures(gradients: Tensor) -> Tensor:
    """Gradients scaled to [-1, 1] over the whole batch (S0), for showing."""
    low, high = gradients.amin(), gradients.amax()
    return (gradients - low) / (high - low).clamp_min(1e-12) * 2 - 1
