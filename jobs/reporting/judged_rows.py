"""Rows of what `evaluate` measured of a GAN by a judge: each beside its floor, real against real.

They stand on records alone, so a record that lacks a figure has no row of it.
"""

from dataclasses import replace
from typing import Any

from jobs.reporting.row import Row, number, percent, share_row

_SUPPORT = {  # figures of `gan.metrics.overlap.Support`, and what each is
    "precision": "share of the generated images that lie where training images are",
    "recall": "share of the training images that lie where generated ones are",
    "density": "how many training images' neighbourhoods a generated image lies in, over 5: may "
    "exceed 1",
    "coverage": "share of the training images whose neighbourhood holds a generated image",
}
_NEIGHBOURS = {"precision": 3, "recall": 3, "density": 5, "coverage": 5}
_BESIDE = "beside it as many held-out real images"


def rows(f: dict[str, Any], images: str) -> list[Row]:
    """Of the record `f`; `images` names the held-out images, as a basis."""
    judge = f["judge_sha256"][:12]
    found = _accuracies(f, judge, images)
    found += _distance_rows(f, judge)
    if "generated_support" in f:
        found += _support_rows(f, judge)
        scores = f["generated_score"], f["floor_score"]
        found.append(_score_row("class_score", "Class score", *scores, f"classifier {judge}"))
    if "classification_score" in f:
        found.append(_learned_row(f["classification_score"], images))
    for way, known in f.get("memorisation", {}).items():
        basis = images if way == "pixels" else f"classifier {judge}"
        found.append(_remembered_row(way, known, basis))
    return found + (_inception_rows(f["inception"]) if "inception" in f else [])


def _accuracies(f: dict[str, Any], judge: str, images: str) -> list[Row]:
    tests = f"{f['test_images']} held-out real images"
    found = [
        share_row(
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
            share_row(
                "discriminator_test_accuracy",
                "Test accuracy of the discriminator",
                f["discriminator_test_accuracy"],
                f"of the GAN, trained with the generator; on the same {tests}",
                basis=images,
            )
        )
    return found + ([_gan_test_row(f, judge)] if "gan_test_accuracy" in f else [])


def _gan_test_row(f: dict[str, Any], judge: str) -> Row:
    weakest, share = min(f["gan_test_accuracy_by_class"].items(), key=lambda item: item[1])
    return share_row(
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


def _support_rows(f: dict[str, Any], judge: str) -> list[Row]:
    """Precision and recall, density and coverage."""
    found = []
    generated, floor = f["generated_support"], f["floor_support"]
    counts = f"{generated['real_count']} training against {generated['other_count']} images"
    for name, told in _SUPPORT.items():
        value, real = generated[name], floor[name]
        how = (
            f"{told}; {_BESIDE}; on the features of classifier {judge}, by the "
            f"{_NEIGHBOURS[name]} nearest neighbours, {counts}"
        )
        more: dict[str, Any] = {"basis": f"judge {judge}, {counts}"}
        if name == "density":
            text = f"{value:.3f} (real {real:.3f})"
            more |= {"better": "higher", "floor": real}
            found.append(Row(name.capitalize(), text, how, name, value, **more))
        else:
            found.append(_share_beside(name, name.capitalize(), value, real, how, **more))
    return found


def _share_beside(key: str, name: str, value: float, floor: float, how: str, **more: Any) -> Row:
    row = share_row(key, name, value, how, floor=floor, **more)
    return replace(row, value=f"{row.value} (real {percent(floor)})")


def _score_row(
    key: str, name: str, score: dict[str, Any], floor: dict[str, Any], judge: str
) -> Row:
    """Of a judge that is told in words; scores are means with their deviation."""
    mean, spread, real = score["mean"], score["spread"], floor["mean"]
    how = (
        "how sure a judge is of each image, and how many classes it sees in all of them: 1 to the "
        f"number of its classes; {_BESIDE}; by {judge}; mean ± deviation over {score['parts']} "
        f"parts of {score['count']} images"
    )
    text = f"{mean:.2f} ± {spread:.2f} (real {real:.2f})"
    basis = f"{judge}, {score['count']} images"
    more: dict[str, Any] = {"basis": basis, "better": "higher", "floor": real}
    return Row(name, text, how, key, mean, spread=spread, **more)


def _learned_row(f: dict[str, Any], images: str) -> Row:
    """Classification accuracy score, and what as many real images teach."""
    generated, real, steps = f["generated"], f["real"], f["lesson"]["steps"]
    how = (
        f"accuracy on {generated['test_count']} held-out real images of a small classifier taught "
        f"on {generated['train_count']} generated ones alone, in {steps} steps; beside it of one "
        f"taught on {real['train_count']} real training images; always naming the most frequent "
        f"class gives {percent(f['guessing'])}"
    )
    return _share_beside(
        "classification_score",
        "Classification accuracy score",
        generated["accuracy"],
        real["accuracy"],
        how,
        basis=f"{images}; {generated['train_count']} images, {steps} steps",
    )


def _remembered_row(way: str, m: dict[str, Any], basis: str) -> Row:
    counts = f"{m['sample_count']} samples, {m['training_count']} training images"
    by = "root mean square over all pixels" if way == "pixels" else f"on the features of {basis}"
    return _share_beside(
        f"nearer_{way}",
        f"Samples very near to a training image, in {way}",
        m["nearer"]["share"],
        m["nearer"]["expected"],
        f"nearer to one than the nearest hundredth of {m['held_out_count']} held-out real images "
        f"are; {by}; {counts}",
        better="lower",
        basis=f"{basis}; {counts}, {m['held_out_count']} held out",
    )


def _inception_rows(f: dict[str, Any]) -> list[Row]:
    """The figures that may be set beside those of others, if the file is the published one."""
    known = "the published one" if f["published"] else "not the published one, at least by name"
    judge = f"Inception of 2015 (file {f['sha256'][:12]}, {known})"
    d, real = f["generated"], f["floor"]["frechet"]
    counts = f"{d['first_count']} training images against {d['second_count']}"
    how = (
        f"Frechet Inception distance; {_BESIDE}; on the features of {judge}: {counts}; fewer "
        "images give a larger one, 50,000 are usual"
    )
    fid, basis = d["frechet"], f"{judge}, {counts}"
    row = Row("FID", f"{fid:.2f} (real {real:.2f})", how, "fid", fid, better="lower", basis=basis)
    score = _score_row("inception_score", "Inception score", d["score"], f["floor"]["score"], judge)
    return [replace(row, floor=real), score]
