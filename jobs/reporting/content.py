"""All that the report of one run has to show, put together once for its page, paper and table."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan.config import GANConfig, RunConfig, flatten
from jobs import records
from jobs.reporting import figures, gallery, page, recorded, warned
from jobs.reporting.figures import Row, percent
from jobs.reporting.page import PICTURES, Picture
from jobs.reporting.recorded import Reading, Record, Table
from jobs.reporting.warned import Looked
from jobs.run import Run

if TYPE_CHECKING:
    from gan.scalars import Curves

_PICTURES_OVER_TIME = 6
_TOLD = ("run", "stage", "state", "cause", "error", "step", "total_steps", "attempts", "seconds")
_SHOWN = ("member", "title", "label", "caption", "provenance")
CURVES = "curves"  # the title of those that the report draws itself
_FILMS = (".mp4",)  # linked, since they are large and a page of pictures cannot hold them


@dataclass
class Section:
    """A heading with what stands below it, in this order."""

    title: str
    text: str = ""
    tables: list[Table] = field(default_factory=list)
    pictures: list["Shown"] = field(default_factory=list)
    links: list[str] = field(default_factory=list)  # files beside the page, relative to it


@dataclass(frozen=True)
class Shown(Picture):
    """A picture of a run, and what it is."""

    item: str = ""  # of the paper, as the gallery says
    title: str = ""  # of the file, without member and ending
    member: str = ""


@dataclass(frozen=True)
class Content:
    name: str
    recipe: str
    data: list[str]  # the images that it learned from, in words
    generates: bool
    figures: list[Row]
    tables: list[Table]
    readings: list[Reading]
    looked: list[Looked]
    sections: list[Section]
    stages: list[dict[str, Any]]
    missing: list[str]
    left_out: list[str]
    configs: dict[str, dict[str, Any]]
    numerics: list[str]

    @property
    def without_warning(self) -> list[str]:
        """Which curves were read and gave none, or could not be read: a line for each outcome."""
        return warned.lines(self.looked)

    def as_json(self) -> dict[str, Any]:
        """Every figure and warning for programs, always in the same order."""
        tables = [*self.tables, *(table for section in self.sections for table in section.tables)]
        return {
            "format": 1,
            "made_by": "ganymede",
            "name": self.name,
            "recipe": self.recipe,
            "figures": [row.as_json() for row in self.figures],
            "tables": [table.as_json() for table in tables],
            "pictures": [
                {"section": section.title} | {key: getattr(shown, key) for key in _SHOWN}
                for section in self.sections
                for shown in section.pictures
            ],
            "warnings": [vars(reading) for reading in self.readings],
            "looked_for": [vars(looked) for looked in self.looked],
            "missing": self.missing,
            "left_out": self.left_out,
            "stages": [{key: stage[key] for key in _TOLD} for stage in self.stages],
        }


def gather(
    run: Run,
    curves: dict[str, bytes],
    folder: Path,
    logs: Mapping[str, "Curves"] | None = None,
) -> Content:
    """Whatever there is of a run, in whatever state it is, for a page in `folder`.

    `curves` are the members' as SVG, `logs` the same as numbers, which are read if they are not
    given. What is missing is said. Raises RunError if the run's own
    settings or attempts cannot be read.
    """
    members, rows = run.members(), stages(run)
    found = recorded.records_of(run)
    warnings = warned.of(run, found, logs)
    configs = {name or run.path.name: member.config() for name, member in members.items()}
    return Content(
        name=run.path.name,
        recipe=run.settings()["recipe"],
        data=list(dict.fromkeys(_data(member) for member in members.values())),
        generates=any(config.generates for config in configs.values()),
        figures=figures.rows(run),
        tables=recorded.tables(run, found),
        readings=warnings.readings,
        looked=warnings.looked,
        sections=_sections(run, found, curves, folder),
        stages=rows,
        missing=missing(run, rows),
        left_out=recorded.left_out(found),
        configs={name: flatten(config) for name, config in configs.items()},
        numerics=[_numerics(member) for member in members.values()],
    )


def stages(run: Run) -> list[dict[str, Any]]:
    """Where each stage is, the report's own left out."""
    from jobs.status import run_status

    rows = run_status(run, run.path.parent)
    return [vars(row) for row in rows if row.stage != "report"]


def missing(run: Run, rows: list[dict[str, Any]]) -> list[str]:
    """What a page lacks, and why; `rows` as `stages` tells them."""
    from jobs.pipeline import stages as graph  # which has the report in it
    from jobs.verify import record_problems

    unfinished = [
        f"{r['run']} {r['stage']}: {r['state']}" for r in rows if r["state"] != "finished"
    ]
    earlier = [stage for stage in graph(run) if stage.name != "report"]
    return unfinished + [problem for stage in earlier for problem in record_problems(stage)]


def _data(run: Run) -> str:
    settings = run.settings()
    info, size = settings["data"], settings["config"]["data"]["image_size"]
    kind = {1: "grey", 3: "colour"}.get(info["channels"], "")
    what = f"{kind} images of {size} x {size} pixels" if kind else "points"
    return (
        f"{info['name']}: {info['train_count']} {what} to learn from, {info['test_count']} held out"
    )


def _numerics(run: Run) -> str:
    known = (records.latest(run, "train") or {}).get("numerics", {})
    facts = ", ".join(f"{name} {value}" for name, value in known.items())
    return f"{run.path.name}: {facts or 'not started'}"


def _sections(
    run: Run, found: Iterable[Record], curves: dict[str, bytes], folder: Path
) -> list[Section]:
    """In the order of the gallery's headings; those of which there is nothing are left out."""
    made: dict[tuple[str, str], Section] = {}
    members = run.members()

    def section(heading: str, member: str = "") -> Section:
        who = _who(members[member].config()) if member in members else ""
        key = heading, member if "{who}" in heading else ""
        title = gallery.fill(heading, {"who": who})
        return made.setdefault(key, Section(title, gallery.SECTIONS[heading]))

    for name, member in members.items():
        if pictures := _over_time(run, name, member):
            section(gallery.OVER_TIME).pictures += pictures
        section(gallery.CURVES).pictures.append(_curves(member, name, curves[name]))
    for record in found:
        if record.stage == "visualize":
            for name, facts in _seen(record, members):
                sees = section(gallery.SEES, name)
                sees.text, table = _told(facts), recorded.strengths(facts, record.whole)
                sees.tables += [table] if table else []
        for shown in _pictures(run, record):
            section(gallery.kind_of(shown.title).section, shown.member).pictures.append(shown)
        for path in _paths(record, _FILMS):
            _, title = gallery.title_of(path.stem, tuple(members))
            links = section(gallery.kind_of(title).section).links
            links.append(os.path.relpath(path.resolve(), folder.resolve()))
    order = list(gallery.SECTIONS)
    return [made[key] for key in sorted(made, key=lambda key: order.index(key[0]))]


def _paths(record: Record, endings: tuple[str, ...]) -> list[Path]:
    """The figures among a stage's files; curves are drawn anew by the report itself."""
    paths = (record.run.path / name for name in record.outputs)
    return [p for p in paths if p.parent == record.run.figures and p.suffix in endings]


def _pictures(run: Run, record: Record) -> list[Shown]:
    return [_picture(run, record, path) for path in _paths(record, PICTURES)]


def _picture(run: Run, record: Record, path: Path) -> Shown:
    """A picture that a stage has drawn, described by the gallery."""
    members = run.members()
    name, title = gallery.title_of(path.stem, tuple(members))
    name = record.member or name or next(iter(members))
    kind, config = gallery.kind_of(title), members[name].config()
    own = record.result.get(name)
    facts = {
        **(own if isinstance(own, dict) else record.result),
        "who": _who(config),
        "rest": title.removeprefix(kind.prefix),
        "stage": record.stage,
    }
    steps = (records.completion(members[name], "train") or {}).get("result", {}).get("steps")
    return Shown(
        path.read_bytes(),
        page.KINDS[path.suffix],
        gallery.fill(kind.alt, facts),
        gallery.fill(kind.caption, facts),
        provenance=_provenance(_whole(run, name), record.stage, steps, config),
        label=kind.origin.label,
        span=kind.span,
        item=kind.item,
        title=title,
        member=name,
    )


def _whole(run: Run, member: str) -> str:
    return "/".join(filter(None, [run.path.name, member]))


def _provenance(whole: str, stage: str, step: int | None, config: RunConfig) -> str:
    at = "" if step is None else f"step {step:,}"
    return " · ".join(filter(None, [whole, stage, at, f"seed {config.seed}"]))


def _over_time(run: Run, name: str, member: Run) -> list[Shown]:
    """Five or six of the fixed grids, from the first epoch to the last."""
    grids = sorted(member.figures.glob("epoch-*.png"))
    last, count = len(grids) - 1, min(_PICTURES_OVER_TIME, len(grids))
    chosen = sorted({round(i * last / max(count - 1, 1)) for i in range(count)})
    return [_grid(run, name, grids[place]) for place in chosen]


def last_grids(run: Run) -> list["Shown"]:
    """The newest fixed grid of each generator."""
    return [shown for name, m in run.members().items() for shown in _over_time(run, name, m)[-1:]]


def _grid(run: Run, name: str, path: Path) -> Shown:
    """The picture of one epoch."""
    member = run.members()[name]
    config, epoch = member.config(), int(path.stem.partition("-")[2])
    kind = gallery.kind_of(path.stem)
    alt, caption = (gallery.fill(text, {"epoch": epoch}) for text in (kind.alt, kind.caption))
    if isinstance(config, GANConfig) and config.game.auxiliary:
        alt, caption = f"{alt}; each column is one class", f"{caption}, a class a column"
    step = epoch * member.settings()["total_steps"] // config.train.epochs
    return Shown(
        path.read_bytes(),
        "png",
        alt,
        f"{caption}.",
        provenance=_provenance(_whole(run, name), "train", step, config),
        label=kind.origin.label,
        item=kind.item,
        title=path.stem,
        member=name,
    )


def _curves(run: Run, name: str, svg: bytes) -> Shown:
    config, title = run.config(), run.path.name
    caption = f"{title}: running means since the epoch began"
    if isinstance(config, GANConfig) and not config.game.auxiliary:
        caption += "."
    else:
        caption += ", and accuracy on the test images."
    if isinstance(config, GANConfig) and config.game.loss == "wasserstein":
        caption += " The critic's scores have no zero of their own: what counts is their gap."
    return Shown(
        svg, "svg+xml", f"Training curves of {title}", caption, span=3, title=CURVES,
        provenance=_provenance(title, "train", None, config), member=name,
    )  # fmt: skip


def _seen(record: Record, members: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
    """What `visualize` found of each network."""
    return [(name, record.result[name]) for name in members if name in record.result]


def _who(config: RunConfig) -> str:
    """A network in words: S0 compares its discriminator with the same one trained alone."""
    if config.generates:
        return "the discriminator trained with the generator"
    alone = config.variant == "classifier"
    return "the discriminator trained without the generator" if alone else "the classifier"


def _told(f: dict[str, Any]) -> str:
    """What one discriminator sees, in words; `f` is what `visualize` has recorded of it."""
    told = []
    if "epsilon" in f:
        told.append(_perturbed(f))
    else:
        told.append("It names no classes: there is none to alter images towards, or to maximise.")
    if not f.get("layers"):
        told.append("Its layers cannot be looked into: features are drawn of S0's networks.")
    return " ".join(told)


def _perturbed(f: dict[str, Any]) -> str:
    return (
        f"On {f['images']} test images its accuracy goes from {percent(f['accuracy_before'])} to "
        f"{percent(f['accuracy_after'])} when every pixel moves by {f['epsilon']:g}/255 along the "
        f"gradient's sign; {percent(f['hit_rate'])} are then taken for the class after the true "
        f"one. Random signs of the same size leave {percent(f['control_accuracy'])}."
    )
