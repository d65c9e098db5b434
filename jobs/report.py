"""The job that puts all of a run, or of a pipeline, into files that open anywhere: a page, a paper
to hand in, and a table for programs."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints import files
from jobs import records
from jobs.reporting import content, page, paper, warned
from jobs.reporting.content import Content
from jobs.run import Run
from jobs.stage import Context, Result, StageJob

if TYPE_CHECKING:
    from gan.scalars import Curves

_PANELS = {  # those whose curves a run has are drawn
    "Critic's scores": ["train/real_source", "train/fake_source"],
    "Generator's loss": ["train/generator_loss"],
    "Real and generated told apart": ["train/told_apart"],
    "Gradient penalty": ["train/gradient_penalty"],
    "Class losses": ["train/real_class", "train/fake_class"],
    "Length of the gradients": [
        f"train/gradient_norm_{player}"
        for player in ("generator", "discriminator", "classifier", "simclr")
    ],
    "Loss": ["train/loss"],
    "Contrastive loss": ["train/contrastive_loss"],
    "Cosine similarity of two views": ["train/pair_similarity"],
    "Accuracy": ["train/accuracy", "test/accuracy", "test/knn_accuracy"],
}


@dataclass(frozen=True)
class Report(StageJob):
    stage = "report"

    def work(self, context: Context) -> Result:
        outputs = write(context.run)
        context.say(f"report: {context.run.report_file}")
        return Result(outputs)


def write(run: Run, target: Path | None = None) -> list[Path]:
    """Write page, paper and table, whatever the state of the run; returns the files.

    Into the run's folder, with its curves; or as `target` (.html) and beside it.
    """
    page_file = target or run.report_file
    logs = warned.logged(run)
    curves = {name: _drawn(logs[name or run.path.name]) for name in run.members()}
    outputs = {}
    if target is None:
        for name, svg in curves.items():
            outputs[run.figures / (f"{name}-curves.svg" if name else "curves.svg")] = svg
    shown = content.gather(run, curves, page_file.parent, logs)
    outputs[page_file] = _page(shown).encode()
    outputs[page_file.with_suffix(".pdf")] = paper.draw(shown, logs, _PANELS)
    outputs[page_file.with_suffix(".json")] = table(shown.as_json())
    for path, data in outputs.items():
        files.write_bytes(path, data)
    return list(outputs)


def rewrite(run: Run) -> None:
    """Write the report anew; its completion record, if it has one, follows what it vouches for."""
    outputs = write(run)
    if records.completion(run, Report.stage):
        records.complete(run, Report.stage, outputs, {})


def draw_curves(run: Run) -> bytes:
    """The training curves of one run, as SVG."""
    (curves,) = warned.logged(run).values()
    return _drawn(curves)


def _drawn(logged: "Curves") -> bytes:
    from gan.visual import curves

    return curves.draw(logged, _PANELS)


def draw_together(runs: Mapping[str, Run]) -> bytes:
    """The training curves of several runs in common panels, as SVG."""
    from gan.visual import curves

    found = {name: warned.logged(run) for name, run in runs.items()}
    known = {
        name if len(own) == 1 else f"{name}/{member}": logs
        for name, own in found.items()
        for member, logs in own.items()
    }
    return curves.draw_together(known, _PANELS)


def render(run: Run, curves: dict[str, bytes]) -> str:
    """The whole page; `curves` are the members' as SVG. What is missing is said in it."""
    return _page(content.gather(run, curves, run.path))


def _page(shown: Content) -> str:
    return page.render("report.html", name=shown.name, content=shown, generates=shown.generates)


def table(value: Any) -> bytes:
    """As JSON, in which numbers that are none (an infinite loss) become null."""
    return (
        json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    ).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
