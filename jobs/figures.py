"""The figures of a report: rows of a name, a value, and how it was obtained."""

import functools
import operator
from dataclasses import dataclass
from typing import Any

from jobs import energy, records, trained
from jobs.run import Run
from jobs.selfsupervised import CLASSIFIERS, FROZEN

_LAST = {"test/accuracy": "Test accuracy", "test/knn_accuracy": "Accuracy of nearest neighbours"}


@dataclass(frozen=True)
class Row:
    """One figure, and how it was obtained."""

    name: str
    value: str
    how: str


def reliable(run: Run, stage: str) -> dict[str, Any] | None:
    """The completion record of a stage whose files are as it left them."""
    try:
        return records.require(run, stage)
    except records.Unfinished:
        return None


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def number(value: float) -> str:
    """Three significant digits, and all those before the point."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def rows(run: Run) -> list[Row]:
    """All that was measured."""
    return _of_networks(run) + _energy_rows(run)


def _energy_rows(run: Run) -> list[Row]:
    """What all attempts took, where that was tracked."""
    from jobs.pipeline import stages  # which has the report in it

    # Without the report, which may be what is asking.
    parts = (energy.spent(s.run, s.name) for s in stages(run) if s.name != "report")
    spent = functools.reduce(operator.add, parts)
    if not spent.measured:
        return []
    known = f"estimated by codecarbon; {spent.measured} of {spent.attempts} attempts were measured"
    return [
        Row(
            "Energy", f"{number(1000 * spent.kwh)} Wh", f"of all stages before the report, {known}"
        ),
        Row(
            "CO2 of that energy",
            f"{number(1000 * spent.co2_kg)} g",
            f"with the mean electricity of {energy.country_of(run) or 'the country given then'}",
        ),
    ]


def _of_networks(run: Run) -> list[Row]:
    """Figures of the evaluation, or of training where there was none."""
    if compared := reliable(run, "compare"):
        return _encoder_rows(compared["result"])
    f = _evaluation(run)
    if f is None:
        return [row for member in run.members().values() for row in _last_test_accuracy(member)]
    if "modes" in f:
        return _mode_rows(f)
    judge, tests = f["judge_sha256"][:12], f"{f['test_images']} held-out real images"
    found = [
        Row(
            "Test accuracy of the classifier",
            percent(f["classifier_test_accuracy"]),
            f"correct / all, on {tests}; trained without the generator, and the measure of it "
            f"(weights {judge})",
        )
    ]
    if "discriminator_test_accuracy" in f:
        found.append(
            Row(
                "Test accuracy of the discriminator",
                percent(f["discriminator_test_accuracy"]),
                f"of the GAN, trained with the generator; on the same {tests}",
            )
        )
    if "gan_test_accuracy" in f:
        found.append(_gan_test_row(f, judge))
    return found + _distance_rows(f, judge)


def _evaluation(run: Run) -> dict[str, Any] | None:
    """What was measured of the run's networks, unless they have been trained anew since."""
    record = reliable(run, "evaluate")
    figures: dict[str, Any] | None = record["result"] if record else None
    if figures and "" in run.members():
        try:
            known = trained.checksum(run)
        except records.Unfinished:
            return None
        return figures if figures["generator_sha256"] == known else None
    return figures


def _mode_rows(f: dict[str, Any]) -> list[Row]:
    points = f"{f['generated_images']} generated points"
    near = "within three standard deviations of the nearest mode"
    by_mode = ", ".join(map(str, f["points_by_mode"]))
    return [
        Row(
            "Modes found",
            f"{f['modes_found']} of {f['modes']}",
            f"modes with at least one of {points} {near}; points by mode: {by_mode}",
        ),
        Row(
            "Points of high quality",
            percent(f["high_quality"]),
            f"share of {points} {near}; of {f['test_images']} real ones it is "
            f"{percent(f['floor_high_quality'])}",
        ),
    ]


def _gan_test_row(f: dict[str, Any], judge: str) -> Row:
    weakest, share = min(f["gan_test_accuracy_by_class"].items(), key=lambda item: item[1])
    return Row(
        "GAN-test accuracy",
        percent(f["gan_test_accuracy"]),
        f"share of {f['generated_images']} generated images to which the classifier (weights "
        f"{judge}), trained on real images only, gives the label that was asked for; "
        f"lowest for class {weakest}: {percent(share)}",
    )


def _distance_rows(f: dict[str, Any], judge: str) -> list[Row]:
    """Generated against real, and beside it the floor: real against real, at the same size."""
    against = {
        "generated": ("generated", "generated images; not comparable with Inception FID"),
        "floor": (
            "held-out real, the floor",
            "held-out real images; the classifier was trained on the former and not on these, so "
            "that generated images may come out closer",
        ),
    }
    found = []
    for key, (title, what) in against.items():
        d = f[f"{key}_distance"]
        how = (
            f"on the features before the last layer of classifier {judge}: {d['first_count']} "
            f"training images against {d['second_count']} {what}"
        )
        kernel = f"{number(d['kernel'])} ± {number(d['kernel_spread'])}"
        over = "cubic kernel, unbiased: may fall below 0; mean ± deviation over 100 subsets,"
        found.append(Row(f"Frechet distance: {title}", f"{d['frechet']:.3f}", how))
        found.append(Row(f"Kernel distance: {title}", kernel, f"{over} {how}"))
    return found


def _encoder_rows(f: dict[str, Any]) -> list[Row]:
    """The comparison as a table, each figure with the labels that it took."""
    found = [
        Row(f"Test accuracy: {name}", percent(value), _how_trained(f, name))
        for name, value in f["accuracy"].items()
    ]
    if f["knn_accuracy"] is not None:
        tests = f"{f['pretrain_data']['test_count']} held-out images"
        how = f"vote of the nearest training images, on {tests}; no classifier was trained"
        found += [
            Row("Nearest neighbours: pre-trained encoder", percent(f["knn_accuracy"]), how),
            Row("Nearest neighbours: untrained", percent(f["knn_accuracy_untrained"]), how),
        ]
    loss, collapsed = f["contrastive_loss"], f["collapsed_loss"]
    how = (
        f"mean of the last epoch of pre-training (weights {f['pretrain_sha256'][:12]}); if all "
        f"images came to the same vector it would be ln(2N - 1) = {collapsed:.3f}"
    )
    return [*found, Row("Contrastive loss", f"{loss:.3f}", how)]


def _how_trained(f: dict[str, Any], name: str) -> str:
    data = f["data"][name]
    what = f"{CLASSIFIERS[name]}; {data['train_count']} labelled images of {data['name']}"
    if name in FROZEN:
        what += "; no bit of the encoder changed"
    return f"{what}; correct / all on {data['test_count']} held-out images"


def _last_test_accuracy(run: Run) -> list[Row]:
    """Of training; nothing for a network that names no classes."""
    from gan import scalars

    logged = scalars.read(run.scalars) if run.scalars.is_dir() else {}
    found = []
    for tag, what in _LAST.items():
        if tag in logged:
            steps, values = logged[tag]
            how = f"correct / all on the test images, after step {steps[-1]}"
            found.append(Row(f"{what} of {run.path.name}", percent(float(values[-1])), how))
    return found
