"""Real images that are altered until a classifier errs: grids, shares, a line through one image."""

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from jobs.drawing.subject import SHOWN, Drawn, Subject
from jobs.reporting.figures import SHARE

if TYPE_CHECKING:
    from torch import Tensor

    from gan.visual.attacks import Attack, Measured, Shown

_ITERATED = 256  # images that an attack of many steps is measured on, at most
_CLOSER = 10  # images that are looked at closely


def draw(subject: Subject, drawn: Drawn) -> None:
    """S0's three grids and shares; more attacks of more sizes; ten images closely; the line."""
    from gan.visual import attack_figures, attacks, perturbation

    classify, seed = subject.model.variant.classify, subject.seed
    some = subject.some(SHOWN)
    images, labels = subject.images[some], subject.labels[some]
    with subject.heeding():
        measured = _measure(subject)
        shown = attacks.show(classify, images, labels, attacks.Attack(seed=seed))
    drawn.add_images(subject, "real", shown.images, 10)
    drawn.add_images(subject, "gradients", perturbation.as_pictures(shown.gradients), 10)
    drawn.add_images(subject, "altered", shown.altered, 10)
    closer = _few(shown, _of_each_class(labels, _CLOSER))
    classes = subject.model.data.info.classes
    drawn.files["attacked.png"] = attack_figures.sheet(closer, classes, subject.notes("attacked"))
    drawn.files["attacks.svg"] = attack_figures.plot(measured)
    drawn.files["line.svg"] = _line(subject, closer)
    _tell(subject, drawn, measured)


def _measure(subject: Subject) -> "list[Measured]":
    """S0's single step on all test images; then a step off the true class, and projected steps."""
    from gan.visual import attacks

    def of(attack: "Attack", wanted: int) -> "Measured":
        places = subject.some(wanted)
        return attacks.measure(
            subject.model.variant.classify,
            subject.images[places],
            subject.labels[places],
            attack,
            attacks.EPSILONS,
            subject.stop,
        )

    seed, count = subject.seed, len(subject.images)
    single, away = attacks.Attack(seed=seed), attacks.Attack(targeted=False, seed=seed)
    return [of(single, count), of(away, count), of(attacks.iterated(seed=seed), _ITERATED)]


def _of_each_class(labels: "Tensor", wanted: int) -> list[int]:
    """Places of some images: one of each class in order, then a second one, and so on."""
    counts: dict[int, int] = {}
    turns = []
    for place, label in enumerate(labels.tolist()):
        counts[label] = counts.get(label, 0) + 1
        turns.append((counts[label], label, place))
    return [place for _, _, place in sorted(turns)[:wanted]]


def _few(shown: "Shown", places: list[int]) -> "Shown":
    return type(shown)(*(getattr(shown, item.name)[places] for item in fields(shown)))


def _line(subject: Subject, shown: "Shown") -> bytes:
    """Through the first image whose class is seen, or the first of all."""
    from gan.visual import line

    right = (shown.before == shown.labels).tolist()
    place = right.index(True) if any(right) else 0
    image, label = shown.images[place], int(shown.labels[place])
    traced = line.trace(subject.model.variant.classify, image, label, line.Line())
    return line.plot(traced, subject.model.data.info.classes)


def _tell(subject: Subject, drawn: Drawn, measured: "Sequence[Measured]") -> None:
    """The figures: those of S0's step by name, those of all attacks as a table."""
    from gan.visual.perturbation import DEFAULT_EPSILON

    single, away, iterated = measured
    steps = [
        {
            "epsilon": at.epsilon,
            "accuracy_before": single.accuracy,
            "accuracy_after": at.accuracy,
            "hit_rate": at.hit_rate,
            "control_accuracy": at.control_accuracy,
        }
        for at in single.by_epsilon
    ]
    (usual,) = (step for step in steps if step["epsilon"] == DEFAULT_EPSILON)
    drawn.facts |= usual | {"images": single.images, "iterated_images": iterated.images}
    drawn.facts["by_epsilon"] = [step for step in steps if step is not usual]
    often = f"{iterated.attack.iterations} steps"
    together = zip(single.by_epsilon, iterated.by_epsilon, away.by_epsilon, strict=True)
    drawn.add_table(
        title="Steps of several sizes",
        item="perturbation",
        columns=[
            "Every pixel moved by", "True class, 1 step", "Next class, 1 step",
            f"True class, {often}", f"Next class, {often}", "True class, 1 step off it",
            "True class, random signs",
        ],
        units=["", *[SHARE] * 6],
        rows=[
            [
                f"{one.epsilon:g}/255", one.accuracy, one.hit_rate, often_.accuracy,
                often_.hit_rate, off.accuracy, one.control_accuracy,
            ]
            for one, often_, off in together
        ],
        how=f"share of {single.images} test images seen as the true class, and as the one after "
        "it, towards which the steps go, or else just off the true class; "
        f"{often}, each projected back: of {iterated.images} images",
    )  # fmt: skip
    subject.say(
        f"{subject.name}: accuracy {usual['accuracy_before']:.3f}, perturbed "
        f"{usual['accuracy_after']:.3f}, target hit {usual['hit_rate']:.3f}, "
        f"random signs {usual['control_accuracy']:.3f}"
    )
