"""The figures of each class as tables, for the report."""

from typing import Any

from jobs.reporting.figures import SHARE

_COLUMNS = {  # a column: where its figure stands in the record of a class, and its unit
    "Frechet distance": ("generated_distance", "frechet", ""),
    "of real images": ("floor_distance", "frechet", ""),
    "Precision": ("generated_support", "precision", SHARE),
    "of real ones": ("floor_support", "precision", SHARE),
    "Recall": ("generated_support", "recall", SHARE),
    "by real ones": ("floor_support", "recall", SHARE),
}


def tables(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Tables as a record keeps them, of what was measured; none of a GAN without classes."""
    if "gan_test_accuracy_by_class" not in figures:
        return []
    found = [_seen(figures)]
    if "classification_score" in figures:
        found.append(_taught(figures["classification_score"]))
    return found


def _seen(f: dict[str, Any]) -> dict[str, Any]:
    """What the judge sees of each class."""
    rows = []
    counts = set()
    for name, share in f["gan_test_accuracy_by_class"].items():
        own = f["by_class"].get(name)
        rows.append([name, share, *(own[a][b] if own else None for a, b, _ in _COLUMNS.values())])
        counts |= {own["generated_distance"]["second_count"]} if own else set()
    several = " to ".join(str(n) for n in sorted({min(counts), max(counts)})) if counts else "no"
    return {
        "title": "Generated images by class",
        "columns": ["Class", "Seen as asked for", *_COLUMNS],
        "units": ["", SHARE, *(unit for *_, unit in _COLUMNS.values())],
        "rows": rows,
        "how": (
            f"By classifier {f['judge_sha256'][:12]}. Seen as asked for: share of the images asked "
            "for as this class in which it sees the class. The others on its features, within the "
            f"class: {several} generated images, and beside them as many held-out real ones, "
            "against its training images. No FID; of so few images the Frechet distance is far "
            "above 0 for real ones too. A recall far below that by real ones: the class lacks "
            "variety."
        ),
    }


def _taught(f: dict[str, Any]) -> dict[str, Any]:
    """What each class was learned from."""
    generated, real = f["generated"], f["real"]
    return {
        "title": "Classification accuracy score by class",
        "columns": ["Class", "Learned from generated images", "From real ones"],
        "units": ["", SHARE, SHARE],
        "rows": [
            [name, generated["by_class"][name], share] for name, share in real["by_class"].items()
        ],
        "how": (
            f"share of a class's held-out images that a small classifier names rightly, taught on "
            f"{generated['train_count']} generated or {real['train_count']} real images"
        ),
    }
