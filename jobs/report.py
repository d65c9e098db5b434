"""The job that puts all of a run, or of a pipeline, into one file that opens anywhere."""

import base64
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints import files
from gan.config import GANConfig, flatten
from jobs import records
from jobs.run import Run
from jobs.stage import Context, Result, StageJob

_PICTURES_OVER_TIME = 6
_PANELS = {  # those whose curves a run has are drawn
    "Critic's scores": ["train/real_source", "train/fake_source"],
    "Generator's loss": ["train/generator_loss"],
    "Real and generated told apart": ["train/told_apart"],
    "Gradient penalty": ["train/gradient_penalty"],
    "Class losses": ["train/real_class", "train/fake_class"],
    "Loss": ["train/loss"],
    "Accuracy": ["train/accuracy", "test/accuracy"],
}


@dataclass(frozen=True)
class Picture:
    """An embedded picture with what one should see in it."""

    data: str  # data: URL
    alt: str
    caption: str


@dataclass(frozen=True)
class Row:
    """One figure, and how it was obtained."""

    name: str
    value: str
    how: str


@dataclass(frozen=True)
class Report(StageJob):
    stage = "report"

    def work(self, context: Context) -> Result:
        outputs = write(context.run)
        context.say(f"report: {context.run.report_file}")
        return Result(outputs)


def write(run: Run) -> list[Path]:
    """Write the page and the curves in it, whatever the state of the run; returns the files."""
    outputs = [run.report_file]
    curves = {name: draw_curves(member) for name, member in run.members().items()}
    for name, svg in curves.items():
        outputs.append(run.figures / (f"{name}-curves.svg" if name else "curves.svg"))
        files.write_bytes(outputs[-1], svg)
    files.write_bytes(run.report_file, render(run, curves).encode())
    return outputs


def rewrite(run: Run) -> None:
    """Write the page anew; its completion record, if it has one, follows what it vouches for."""
    outputs = write(run)
    if records.completion(run, Report.stage):
        records.complete(run, Report.stage, outputs, {})


def draw_curves(run: Run) -> bytes:
    """The training curves of one run, as SVG."""
    from gan import scalars
    from gan.visual import curves

    logged = scalars.read(run.scalars) if run.scalars.is_dir() else {}
    return curves.draw(logged, _PANELS)


def render(run: Run, curves: dict[str, bytes]) -> str:
    """The whole page; `curves` are the members' as SVG. What is missing is said in it."""
    import jinja2

    members = run.members()
    rows = _stages(run)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jobs"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html").render(
        name=run.path.name,
        recipe=run.settings()["recipe"],
        written=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        figures=_figures(run),
        over_time=[p for member in members.values() for p in _over_time(member)],
        curves=[_curves(member, curves[name]) for name, member in members.items()],
        visual=_visual(run),
        stages=rows,
        missing=_missing(run, rows),
        configs={name or run.path.name: flatten(m.config()) for name, m in members.items()},
        numerics=[_numerics(member) for member in members.values()],
    )


def _reliable(run: Run, stage: str) -> dict[str, Any] | None:
    """The completion record of a stage whose files are as it left them."""
    try:
        return records.require(run, stage)
    except records.Unfinished:
        return None


def _missing(run: Run, rows: list[dict[str, Any]]) -> list[str]:
    """What the page lacks, and why."""
    from jobs.pipeline import stages  # which has this job in it
    from jobs.verify import record_problems

    unfinished = [
        f"{r['run']} {r['stage']}: {r['state']}" for r in rows if r["state"] != "finished"
    ]
    earlier = [stage for stage in stages(run) if stage.name != Report.stage]
    return unfinished + [problem for stage in earlier for problem in record_problems(stage)]


def _embed(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _picture(path: Path, alt: str, caption: str) -> Picture:
    return Picture(_embed(path.read_bytes(), "png"), alt, caption)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _figures(run: Run) -> list[Row]:
    """Measured figures: of the evaluation, or of training where there was none."""
    record = _reliable(run, "evaluate")
    if record is None:
        return [row for member in run.members().values() for row in _last_test_accuracy(member)]
    f = record["result"]
    judge, tests = f["judge_sha256"][:12], f"{f['test_images']} held-out real images"
    rows = [
        Row(
            "Test accuracy, trained without generator",
            _percent(f["classifier_test_accuracy"]),
            f"correct / all, on {tests}; the classifier (weights {judge}) that is the measure",
        )
    ]
    if "discriminator_test_accuracy" in f:
        rows.append(
            Row(
                "Test accuracy, trained with generator",
                _percent(f["discriminator_test_accuracy"]),
                f"the GAN's discriminator on the same {tests}",
            )
        )
    if "gan_test_accuracy" in f:
        rows.append(_gan_test_row(f, judge))
    return rows + _distance_rows(f, judge)


def _gan_test_row(f: dict[str, Any], judge: str) -> Row:
    weakest, share = min(f["gan_test_accuracy_by_class"].items(), key=lambda item: item[1])
    return Row(
        "GAN-test accuracy",
        _percent(f["gan_test_accuracy"]),
        f"share of {f['generated_images']} generated images to which the classifier (weights "
        f"{judge}), trained on real images only, gives the label that was asked for; "
        f"lowest for class {weakest}: {_percent(share)}",
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
    rows = []
    for key, (title, what) in against.items():
        d = f[f"{key}_distance"]
        how = (
            f"on the features before the last layer of classifier {judge}: {d['first_count']} "
            f"training images against {d['second_count']} {what}"
        )
        kernel = f"{d['kernel']:.2f} ± {d['kernel_spread']:.2f}"
        over = "cubic kernel, unbiased: may fall below 0; mean ± deviation over 100 subsets,"
        rows.append(Row(f"Frechet distance: {title}", f"{d['frechet']:.3f}", how))
        rows.append(Row(f"Kernel distance: {title}", kernel, f"{over} {how}"))
    return rows


def _last_test_accuracy(run: Run) -> list[Row]:
    """Of training; nothing for a network that names no classes."""
    from gan import scalars

    curve = scalars.read(run.scalars).get("test/accuracy") if run.scalars.is_dir() else None
    if curve is None:
        return []
    steps, values = curve
    how = f"correct / all on the test images, after step {steps[-1]}"
    return [Row(f"Test accuracy of {run.path.name}", _percent(float(values[-1])), how)]


def _over_time(run: Run) -> list[Picture]:
    """Five or six of the fixed grids, from the first epoch to the last."""
    grids = sorted(run.figures.glob("epoch-*.png"))
    if not grids:
        return []
    last = len(grids) - 1
    count = min(_PICTURES_OVER_TIME, len(grids))
    chosen = sorted({round(i * last / max(count - 1, 1)) for i in range(count)})
    return [_grid_picture(grids[place]) for place in chosen]


def _grid_picture(path: Path) -> Picture:
    epoch = int(path.stem.partition("-")[2])
    alt = f"Grid of generated images after epoch {epoch}; each column is one class"
    return _picture(path, alt, f"After epoch {epoch}: the same noise every time, a class a column.")


def _curves(run: Run, svg: bytes) -> Picture:
    name = run.path.name
    caption = f"{name}: running means since the epoch began, and accuracy on the test images."
    config = run.config()
    if isinstance(config, GANConfig) and config.game.loss == "wasserstein":
        caption += " The critic's scores have no zero of their own: what counts is their gap."
    return Picture(_embed(svg, "svg+xml"), f"Training curves of {name}", caption)


def _visual(run: Run) -> list[dict[str, Any]]:
    """A section for each discriminator: perturbation, classes, features."""
    record = _reliable(run, "visualize")
    if record is None:
        return []
    sections = []
    for name, f in record["result"].items():
        trained_with = {"classifier": "without", "gan": "with"}.get(name, "as")
        who = f"the discriminator trained {trained_with} the generator"
        pixels = f"{f['epsilon']:g}/255"
        perturbed = [
            ("real", "Real images", "Real test images."),
            ("gradients", "Gradients", "Gradient of the loss towards the next class, scaled."),
            ("altered", "Altered images", f"The same images, every pixel moved by {pixels}."),
        ]
        layers = [
            (f"max-{x}", f"Features of {x}", f"Largest response of each channel of {x}.")
            for x in f["layers"]
        ]
        classes = [("max-class", "Classes", "Largest logit of each class, in order.")]
        sections.append(
            {
                "title": f"What {who} sees",
                "summary": f"On {f['images']} test images its accuracy falls from "
                f"{_percent(f['accuracy_before'])} to {_percent(f['accuracy_after'])} when every "
                f"pixel moves by {pixels} along the gradient's sign; {_percent(f['hit_rate'])} are "
                f"then taken for the class after the true one. Random signs of the same size leave "
                f"{_percent(f['control_accuracy'])}.",
                "rows": [
                    [_figure(run, name, who, *item) for item in items]
                    for items in (perturbed, classes, layers)
                ],
            }
        )
    return sections


def _figure(run: Run, name: str, who: str, title: str, alt: str, caption: str) -> Picture:
    path = run.figures / f"{name}-{title}.png"
    return _picture(path, f"{alt}, {who}", caption)


def _stages(run: Run) -> list[dict[str, Any]]:
    from jobs.status import run_status

    rows = run_status(run, run.path.parent)
    return [vars(row) for row in rows if row.stage != "report"]


def _numerics(run: Run) -> str:
    known = (records.latest(run, "train") or {}).get("numerics", {})
    facts = ", ".join(f"{name} {value}" for name, value in known.items())
    return f"{run.path.name}: {facts or 'not started'}"
