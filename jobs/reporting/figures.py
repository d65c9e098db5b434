"""The figures of a report: rows of a name, a value, and how it was obtained."""

import functools
import operator
from dataclasses import dataclass, replace
from typing import Any, Literal

from jobs import energy, records, trained
from jobs.run import Run, RunError
from jobs.selfsupervised import CLASSIFIERS, FROZEN

_LAST = {"test/accuracy": "Test accuracy", "test/knn_accuracy": "Accuracy of nearest neighbours"}
SHARE = "share"  # the unit of what goes from 0 to 1, shown in percent
Better = Literal["higher", "lower", ""]


@dataclass(frozen=True)
class Row:
    """One figure, and how it was obtained."""

    name: str
    value: str  # as it is shown
    how: str
    key: str  # the same for the same figure of another run
    number: float
    unit: str = ""
    spread: float | None = None  # standard deviation
    better: Better = ""  # which way, where that is known
    basis: str = ""  # what it was measured on: only values of one basis can be compared
    run: str = ""
    stage: str = ""

    def as_json(self) -> dict[str, Any]:
        """All but the text for readers; `spread` where there is one."""
        told = {
            "key": self.key, "name": self.name, "value": self.number, "unit": self.unit,
            "text": self.value, "how": self.how, "run": self.run, "stage": self.stage,
            "better": self.better, "basis": self.basis,
        }  # fmt: skip
        return told | ({} if self.spread is None else {"spread": self.spread})


def reliable(run: Run, stage: str) -> dict[str, Any] | None:
    """The completion record of a stage whose files are as it left them."""
    try:
        return records.require(run, stage)
    except RunError:  # unfinished, or its record cannot be read
        return None


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def number(value: float) -> str:
    """Three significant digits, and all those before the point."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _share(key: str, name: str, value: float, how: str, **more: Any) -> Row:
    """Of something that is the better the more of it there is, unless `more` says otherwise."""
    known: dict[str, Any] = {"unit": SHARE, "better": "higher"} | more
    return Row(name, percent(value), how, key, float(value), **known)


def rows(run: Run) -> list[Row]:
    """All that was measured."""
    from jobs import sample_figures  # made of the rows that are defined here

    return _of_networks(run) + sample_figures.rows(run) + _energy_rows(run)


def _energy_rows(run: Run) -> list[Row]:
    """What all attempts took, where that was tracked."""
    from jobs.pipeline import stages  # which has the report in it

    # Without the report, which may be what is asking.
    parts = (energy.spent(s.run, s.name) for s in stages(run) if s.name != "report")
    spent = functools.reduce(operator.add, parts)
    if not spent.measured:
        return []
    known = f"estimated by codecarbon; {spent.measured} of {spent.attempts} attempts were measured"
    how = f"of all stages before the report, {known}"
    mean = f"with the mean electricity of {energy.country_of(run) or 'the country given then'}"
    of_all: dict[str, Any] = {"run": run.path.name, "stage": "all"}
    wh, grams = 1000 * spent.kwh, 1000 * spent.co2_kg
    return [
        Row("Energy", f"{number(wh)} Wh", how, "energy", wh, "Wh", **of_all),
        Row("CO2 of that energy", f"{number(grams)} g", mean, "co2", grams, "g", **of_all),
    ]


def _of_networks(run: Run) -> list[Row]:
    """Figures of the evaluation, or of training where there was none."""
    if compared := reliable(run, "compare"):
        return _placed(_encoder_rows(compared["result"]), run, "compare")
    f = evaluation(run)
    if f is None:
        members = run.members().items()
        return [row for name, member in members for row in _last_accuracies(run, name, member)]
    found = _mode_rows(f) if "modes" in f else _judged_rows(run, f)
    return _placed(found, run, "evaluate")


def _placed(found: list[Row], run: Run, stage: str) -> list[Row]:
    return [replace(row, run=run.path.name, stage=stage) for row in found]


def evaluation(run: Run) -> dict[str, Any] | None:
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


def _judged_rows(run: Run, f: dict[str, Any]) -> list[Row]:
    judge, tests = f["judge_sha256"][:12], f"{f['test_images']} held-out real images"
    images = _images_of(next(iter(run.members().values())))
    found = [
        _share(
            "classifier_test_accuracy",
            "Test accuracy of the classifier",
            f["classifier_test_accuracy"],
            f"correct / all, on {tests}; trained without the generator, and the measure of it "
            f"(weights {judge})",
            basis=images,
        )
    ]
    if "discriminator_test_accuracy" in f:
        found.append(
            _share(
                "discriminator_test_accuracy",
                "Test accuracy of the discriminator",
                f["discriminator_test_accuracy"],
                f"of the GAN, trained with the generator; on the same {tests}",
                basis=images,
            )
        )
    if "gan_test_accuracy" in f:
        found.append(_gan_test_row(f, judge))
    return found + _distance_rows(f, judge)


def _images_of(run: Run) -> str:
    """Which held-out images a run has: accuracies on others are no comparison."""
    settings = run.settings()
    info, size = settings["data"], settings["config"]["data"]["image_size"]
    return f"{info['name']} {info['fingerprint']}: {info['test_count']} test images of {size}"


def _mode_rows(f: dict[str, Any]) -> list[Row]:
    points = f"{f['generated_images']} generated points"
    near = "within three standard deviations of the nearest mode"
    by_mode = ", ".join(map(str, f["points_by_mode"]))
    found = f["modes_found"]
    return [
        Row(
            "Modes found",
            f"{found} of {f['modes']}",
            f"modes with at least one of {points} {near}; points by mode: {by_mode}",
            "modes_found",
            found,
            f"of {f['modes']}",
            better="higher",
            basis=points,
        ),
        _share(
            "high_quality",
            "Points of high quality",
            f["high_quality"],
            f"share of {points} {near}; of {f['test_images']} real ones it is "
            f"{percent(f['floor_high_quality'])}",
        ),
    ]


def _gan_test_row(f: dict[str, Any], judge: str) -> Row:
    weakest, share = min(f["gan_test_accuracy_by_class"].items(), key=lambda item: item[1])
    return _share(
        "gan_test_accuracy",
        "GAN-test accuracy",
        f["gan_test_accuracy"],
        f"share of {f['generated_images']} generated images to which the classifier (weights "
        f"{judge}), trained on real images only, gives the label that was asked for; "
        f"lowest for class {weakest}: {percent(share)}",
        basis=f"judge {judge}",
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
        basis = f"judge {judge}, {d['first_count']} against {d['second_count']} images"
        more: dict[str, Any] = {"basis": basis, "better": "lower" if key == "generated" else ""}
        frechet, kernel, spread = d["frechet"], d["kernel"], d["kernel_spread"]
        over = "cubic kernel, unbiased: may fall below 0; mean ± deviation over 100 subsets,"
        found += [
            Row(
                f"Frechet distance: {title}", f"{frechet:.3f}", how,
                f"frechet_{key}", frechet, **more,
            ),
            Row(
                f"Kernel distance: {title}", f"{number(kernel)} ± {number(spread)}",
                f"{over} {how}", f"kernel_{key}", kernel, spread=spread, **more,
            ),
        ]  # fmt: skip
    return found


def _encoder_rows(f: dict[str, Any]) -> list[Row]:
    """The comparison as a table, each figure with the labels that it took."""
    found = [
        _share(
            f"test_accuracy {name}", f"Test accuracy: {name}", value, _how_trained(f, name),
            basis=_tests_of(f["data"][name]),
        )
        for name, value in f["accuracy"].items()
    ]  # fmt: skip
    if f["knn_accuracy"] is not None:
        basis = _tests_of(f["pretrain_data"])
        tests = f"{f['pretrain_data']['test_count']} held-out images"
        how = f"vote of the nearest training images, on {tests}; no classifier was trained"
        for key, title in (("", "pre-trained encoder"), ("_untrained", "untrained")):
            name, value = f"Nearest neighbours: {title}", f[f"knn_accuracy{key}"]
            found.append(_share(f"knn_accuracy{key}", name, value, how, basis=basis))
    loss, collapsed = f["contrastive_loss"], f["collapsed_loss"]
    how = (
        f"mean of the last epoch of pre-training (weights {f['pretrain_sha256'][:12]}); if all "
        f"images came to the same vector it would be ln(2N - 1) = {collapsed:.3f}"
    )
    basis = f"batches whose collapsed loss is {collapsed:.3f}"
    row = Row(
        "Contrastive loss", f"{loss:.3f}", how, "contrastive_loss", loss,
        better="lower", basis=basis,
    )  # fmt: skip
    return [*found, row]


def _tests_of(info: dict[str, Any]) -> str:
    return f"{info['name']} {info['fingerprint']}: {info['test_count']} test images"


def _how_trained(f: dict[str, Any], name: str) -> str:
    data = f["data"][name]
    what = f"{CLASSIFIERS[name]}; {data['train_count']} labelled images of {data['name']}"
    if name in FROZEN:
        what += "; no bit of the encoder changed"
    return f"{what}; correct / all on {data['test_count']} held-out images"


def _last_accuracies(run: Run, name: str, member: Run) -> list[Row]:
    """Of training; nothing for a network that names no classes."""
    from gan import scalars

    logged = scalars.read(member.scalars) if member.scalars.is_dir() else {}
    found = []
    for tag, what in _LAST.items():
        if tag in logged:
            steps, values = logged[tag]
            how = f"correct / all on the test images, after step {steps[-1]}"
            key = " ".join(filter(None, [tag.replace("/", "_"), name]))
            title = f"{what} of {member.path.name}"
            row = _share(key, title, float(values[-1]), how, basis=_images_of(member))
            whole = "/".join(filter(None, [run.path.name, name]))
            found.append(replace(row, run=whole, stage="train"))
    return found
