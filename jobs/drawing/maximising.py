"""Images that a network makes the most of: one for each class, and one for each channel.

By the documents' rule, and beside it by the refined one, compared where both have come as far.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from math import ceil, sqrt
from typing import TYPE_CHECKING

from jobs.drawing.subject import Drawn, Subject

if TYPE_CHECKING:
    from torch import Tensor

    from gan.visual.maximisation import Ascent, Channels, Course, Maximised, Rule
    from gan.visual.refined import Refined

_S0_LAYERS = ("conv2", "conv3", "conv4", "conv6", "conv8")
_IN_A_ROW = 10  # classes
_ROUGH = "Roughness is the mean difference of neighbouring pixels (total variation)"


def draw(subject: Subject, drawn: Drawn) -> None:
    """Classes, if there are any; then the channels of the layers that are asked for."""
    from gan.visual import maximisation

    plain, refined = _class_rules(subject)
    _, briefly = _channel_rules(subject)
    drawn.facts |= {
        "ascent": maximisation.facts(plain),
        "refined": maximisation.facts(refined),
        "refined_channels": maximisation.facts(briefly),
        "layers": layers_of(subject),
        "convolutions": list(subject.layers),
        "taken": "before" if subject.views.before_activation else "after",
    }
    if subject.classifies:
        _draw_classes(subject, drawn)
    rows = [_draw_channels(subject, drawn, layer) for layer in drawn.facts["layers"]]
    if rows:
        drawn.add_table(
            title="Responses of channels",
            columns=[
                "Layer", "Channels", "To the mean image", "After the plain rule",
                "After the refined", "Roughness, plain", "Roughness, refined",
            ],
            rows=rows,
            how=f"largest responses {drawn.facts['taken']} the activation, means over all channels "
            f"of a layer. {_ROUGH}",
        )  # fmt: skip


def _class_rules(subject: Subject) -> "tuple[Ascent, Refined]":
    """The documents' rule, and the refined one."""
    from gan.visual.maximisation import Ascent
    from gan.visual.refined import Refined

    return Ascent(), Refined(seed=subject.seed)


def _channel_rules(subject: Subject) -> "tuple[Ascent, Refined]":
    """The refined one goes as far in half the iterations of twice the step, which are nearly as
    good: there are many channels."""
    plain, refined = _class_rules(subject)
    return plain, replace(refined, iterations=refined.iterations // 2, step=2 * refined.step)


def layers_of(subject: Subject) -> list[str]:
    """Those that are asked for and that this network has; S0's, or all, if nothing is asked for."""
    of_s0 = bool(getattr(subject.network, "layers", ()))
    return chosen_layers(list(subject.layers), subject.views.layers, of_s0)


def chosen_layers(known: list[str], asked: Iterable[str], of_s0: bool) -> list[str]:
    """In the network's order. Of S0's networks, as far as they have S0's layers, and the last."""
    if asked := set(asked):
        return [layer for layer in known if layer in asked]
    return [layer for layer in known if not of_s0 or layer in _S0_LAYERS or layer == known[-1]]


def _draw_classes(subject: Subject, drawn: Drawn) -> None:
    from gan.visual import maximisation

    plain, refined = _class_rules(subject)

    def course(title: str, rule: "Rule") -> "Course":
        classify, stop = subject.model.variant.classify, subject.stop
        with subject.heeding():
            found = maximisation.course_of_logits(classify, subject.mean, rule, stop)
        drawn.add_images(subject, title, found.images, min(len(found.images), _IN_A_ROW))
        return found

    _compare(subject, drawn, course("max-class", plain), course("refined-class", refined))


def _compare(subject: Subject, drawn: Drawn, plain: "Course", refined: "Course") -> None:
    """How rough the images of both rules are where their logits are equal."""
    from gan.visual import maximisation

    level = maximisation.level_of_both(plain, refined)
    columns = (
        plain.scores[0], plain.scores[-1], refined.scores[-1], level,
        plain.variation_at(level), refined.variation_at(level),
    )  # fmt: skip
    values = zip(*(column.tolist() for column in columns), strict=True)
    classes = subject.model.data.info.classes
    drawn.add_table(
        title="Both rules, class by class",
        columns=[
            "Class", "Logit of the mean image", "After the plain rule", "After the refined",
            "Both come to", "Roughness there, plain", "Roughness there, refined",
        ],
        rows=[[name, *row] for name, row in zip(classes, values, strict=True)],
        how=f"{_ROUGH}, taken where an image first reaches the logit that both rules come to",
    )  # fmt: skip
    gained = (plain.scores[-1] - plain.scores[0]).mean()
    subject.say(f"{subject.name}: logits raised by {gained:.1f} in the mean")


def _draw_channels(subject: Subject, drawn: Drawn, layer: str) -> list[str | int | float]:
    """Contact sheets by both rules; returns the layer's row of figures."""
    from gan.visual.maximisation import Channels

    wanted = Channels(subject.layers[layer].name, subject.views.before_activation)
    plain, refined = (_rise(subject, wanted, rule) for rule in _channel_rules(subject))
    for title, found in (("max", plain), ("refined", refined)):
        columns = ceil(sqrt(len(found.images)))
        drawn.add_images(subject, f"{title}-{file_name(layer)}", found.images, columns)
    means = (plain.before, plain.after, refined.after, plain.variation, refined.variation)
    return [layer, len(plain.images), *map(_mean, means)]


def _rise(subject: Subject, wanted: "Channels", rule: "Rule") -> "Maximised":
    from gan.visual import maximisation

    with subject.heeding():
        return maximisation.maximise_channels(
            subject.network, wanted, subject.mean, rule, subject.stop
        )


def file_name(layer: str) -> str:
    """A layer's name, as a part of a file's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", layer)


def _mean(values: "Tensor") -> float:
    return float(values.mean())
