"""What a network sees, as the stage `visualize` has recorded it, in words for the report."""

from typing import Any

from gan.config import RunConfig
from jobs.reporting.figures import percent


def who(config: RunConfig) -> str:
    """A network in words: S0 compares its discriminator with the same one trained alone."""
    if config.generates:
        return "the discriminator trained with the generator"
    if config.variant == "classifier":
        return "the discriminator trained without the generator"
    return "the encoder" if config.variant == "simclr" else "the classifier"


def told(f: dict[str, Any]) -> str:
    """What one discriminator sees, in words; `f` is what `visualize` has recorded of it."""
    if f.get("points"):
        return "It sees points and no pictures: there is nothing to draw."
    parts = []
    if "epsilon" in f:
        parts.append(_perturbed(f))
    else:
        parts.append("It names no classes: there is none to alter images towards, or to maximise.")
    if not f.get("layers"):
        known = ", ".join(f.get("convolutions", ()))
        parts.append(
            f"It has none of the layers that were asked for, but {known}."
            if known
            else "It has no convolutions: there are no features to draw, and no receptive fields."
        )
    return " ".join(parts)


def _perturbed(f: dict[str, Any]) -> str:
    return (
        f"On {f['images']} test images its accuracy goes from {percent(f['accuracy_before'])} to "
        f"{percent(f['accuracy_after'])} when every pixel moves by {f['epsilon']:g}/255 along the "
        f"gradient's sign; {percent(f['hit_rate'])} are then taken for the class after the true "
        f"one. Random signs of the same size leave {percent(f['control_accuracy'])}."
    )
