"""The job that puts all of a run, or of a pipeline, into one file that opens anywhere."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints import files
from gan.config import GANConfig, flatten
from jobs import figures, page, records
from jobs.figures import percent
from jobs.page import Picture
from jobs.run import Run
from jobs.sample import INTERPOLATION
from jobs.stage import Context, Result, StageJob

_PICTURES_OVER_TIME = 6
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
    members = run.members()
    rows = _stages(run)
    return page.render(
        "report.html",
        name=run.path.name,
        recipe=run.settings()["recipe"],
        figures=figures.rows(run),
        over_time=[p for member in members.values() for p in _over_time(member)],
        strips=[p for member in members.values() for p in _strips(member)],
        curves=[_curves(member, curves[name]) for name, member in members.items()],
        visual=_visual(run),
        stages=rows,
        missing=_missing(run, rows),
        configs={name or run.path.name: flatten(m.config()) for name, m in members.items()},
        numerics=[_numerics(member) for member in members.values()],
    )


def _missing(run: Run, rows: list[dict[str, Any]]) -> list[str]:
    """What the page lacks, and why."""
    from jobs.pipeline import stages  # which has this job in it
    from jobs.verify import record_problems

    unfinished = [
        f"{r['run']} {r['stage']}: {r['state']}" for r in rows if r["state"] != "finished"
    ]
    earlier = [stage for stage in stages(run) if stage.name != Report.stage]
    return unfinished + [problem for stage in earlier for problem in record_problems(stage)]


def _over_time(run: Run) -> list[Picture]:
    """Five or six of the fixed grids, from the first epoch to the last."""
    grids = sorted(run.figures.glob("epoch-*.png"))
    if not grids:
        return []
    config = run.config()
    has_classes = isinstance(config, GANConfig) and config.game.auxiliary
    last = len(grids) - 1
    count = min(_PICTURES_OVER_TIME, len(grids))
    chosen = sorted({round(i * last / max(count - 1, 1)) for i in range(count)})
    return [_grid_picture(grids[place], has_classes) for place in chosen]


def _grid_picture(path: Path, has_classes: bool) -> Picture:
    epoch = int(path.stem.partition("-")[2])
    alt = f"Grid of generated images after epoch {epoch}"
    caption = f"After epoch {epoch}: the same noise every time"
    if has_classes:
        alt, caption = f"{alt}; each column is one class", f"{caption}, a class a column"
    return page.picture(path, alt, f"{caption}.")


def _strips(run: Run) -> list[Picture]:
    """The way from one noise vector to another, where the samples are made."""
    path = run.figures / INTERPOLATION
    if not path.exists() or figures.reliable(run, "sample") is None:
        return []
    alt = "Strips of generated images, each from one noise vector to another"
    caption = "Each row: images of noise on a straight line from one vector to another."
    return [page.picture(path, alt, caption)]


def _curves(run: Run, svg: bytes) -> Picture:
    name, config = run.path.name, run.config()
    caption = f"{name}: running means since the epoch began"
    if isinstance(config, GANConfig) and not config.game.auxiliary:
        caption += "."
    else:
        caption += ", and accuracy on the test images."
    if isinstance(config, GANConfig) and config.game.loss == "wasserstein":
        caption += " The critic's scores have no zero of their own: what counts is their gap."
    return Picture(page.embed(svg, "svg+xml"), f"Training curves of {name}", caption)


def _visual(run: Run) -> list[dict[str, Any]]:
    """A section for each discriminator: perturbation, classes, features, as far as it can."""
    record = figures.reliable(run, "visualize")
    if record is None:
        return []
    members = run.members()
    return [_seen(run, name, members[name], f) for name, f in record["result"].items()]


def _seen(run: Run, name: str, member: Run, f: dict[str, Any]) -> dict[str, Any]:
    """What one discriminator sees; `f` is what `visualize` has recorded of it."""
    who = "the discriminator trained with the generator"
    if not member.config().generates:
        alone = member.config().variant == "classifier"  # S0's, which is the GAN's discriminator
        who = "the discriminator trained without the generator" if alone else "the classifier"
    rows, told = [], []
    if "epsilon" in f:
        pixels = f"{f['epsilon']:g}/255"
        rows += [
            [
                ("real", "Real images", "Real test images."),
                ("gradients", "Gradients", "Gradient of the loss towards the next class, scaled."),
                ("altered", "Altered images", f"The same images, every pixel moved by {pixels}."),
            ],
            [("max-class", "Classes", "Largest logit of each class, in order.")],
        ]
        told.append(_perturbed(f, pixels))
    else:
        told.append("It names no classes: there is none to alter images towards, or to maximise.")
    if f["layers"]:
        caption = "Largest response of each channel of"
        rows.append([(f"max-{x}", f"Features of {x}", f"{caption} {x}.") for x in f["layers"]])
    else:
        told.append("Its layers cannot be looked into: features are drawn of S0's networks.")
    return {
        "title": f"What {who} sees",
        "summary": " ".join(told),
        "strengths": _strengths(f),
        "rows": [[_figure(run, name, who, *item) for item in items] for items in rows],
    }


def _perturbed(f: dict[str, Any], pixels: str) -> str:
    return (
        f"On {f['images']} test images its accuracy goes from {percent(f['accuracy_before'])} to "
        f"{percent(f['accuracy_after'])} when every pixel moves by {pixels} along the gradient's "
        f"sign; {percent(f['hit_rate'])} are then taken for the class after the true one. Random "
        f"signs of the same size leave {percent(f['control_accuracy'])}."
    )


def _strengths(f: dict[str, Any]) -> list[list[str]]:
    """What is left after steps of each size: the size, then a share for each column."""
    shown = [*f.get("by_epsilon", ()), f] if "epsilon" in f else []
    return [
        [
            f"{step['epsilon']:g}/255",
            *(percent(step[key]) for key in ("accuracy_after", "hit_rate", "control_accuracy")),
        ]
        for step in sorted(shown, key=lambda step: step["epsilon"])
    ]


def _figure(run: Run, name: str, who: str, title: str, alt: str, caption: str) -> Picture:
    path = run.figures / f"{name}-{title}.png"
    return page.picture(path, f"{alt}, {who}", caption)


def _stages(run: Run) -> list[dict[str, Any]]:
    from jobs.status import run_status

    rows = run_status(run, run.path.parent)
    return [vars(row) for row in rows if row.stage != "report"]


def _numerics(run: Run) -> str:
    known = (records.latest(run, "train") or {}).get("numerics", {})
    facts = ", ".join(f"{name} {value}" for name, value in known.items())
    return f"{run.path.name}: {facts or 'not started'}"
