"""Figures of a report that the job that samples has found: of diversity, and of the critic."""

from dataclasses import replace
from typing import Any

from jobs.reporting.figures import SHARE, Row, number, percent, reliable
from jobs.run import Run


def rows(run: Run) -> list[Row]:
    """Of each GAN of a run or pipeline that has been sampled."""
    found = []
    for name, member in run.members().items():
        record = reliable(member, "sample") if member.config().generates else None
        result = record["result"] if record else {}
        own = [_diversity(result["diversity"])] if "diversity" in result else []
        own += _critic(result["critic"]) if "critic" in result else []
        whole = "/".join(filter(None, [run.path.name, name]))
        found += [replace(row, run=whole, stage="sample") for row in own]
    return found


def _diversity(f: dict[str, Any]) -> Row:
    within = "of a class" if f["lowest_class"] else "of all"
    how = (
        f"mean distance between two images {within} ({f['unit']}) among those of the fixed noise "
        f"at step {f['step']}, as a share of that of held-out images"
    )
    if f["lowest_class"]:
        how += f"; lowest for class {f['lowest_class']}: {percent(f['lowest'])}"
    basis = f"{f['unit']}, {f['images']} images"
    return Row(
        "Diversity of generated images", percent(f["share"]), how, "diversity", f["share"], SHARE,
        basis=basis,
    )  # fmt: skip


def _critic(f: dict[str, Any]) -> list[Row]:
    """At the best threshold, at the loss's own, and the gap between the means."""
    sizes = f"{f['held_out']} held-out and {f['generated']} generated images"
    own = f["own_threshold"]
    middle = "the middle between the two mean scores" if own is None else f"{own:g}, its loss's own"
    shares = (
        (
            "critic_accuracy", "Critic: real and generated told apart", f["accuracy"],
            f"mean of both shares told right, of {sizes}; at the best threshold "
            f"({number(f['threshold'])}), found on one half of them and tried on the other; "
            "50 % is guessing",
        ),
        (
            "critic_told_apart", "Critic: told apart by its own threshold", f["told_apart"],
            f"the same at {middle}",
        ),
    )  # fmt: skip
    found = [
        Row(name, percent(value), how, key, value, SHARE, basis=sizes)
        for key, name, value, how in shares
    ]
    gap = f"mean score of {f['held_out']} held-out images less that of {f['generated']} generated"
    row = Row("Critic: score gap", number(f["gap"]), gap, "critic_gap", f["gap"], basis=sizes)
    return [*found, row]
