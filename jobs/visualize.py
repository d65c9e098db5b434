"""The job that draws what the networks of a pipeline that look at images have learned."""

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints import files
from jobs import folders, records, trained, views
from jobs.drawing import maximising, perturbing
from jobs.drawing.subject import Drawn, Stop, Subject
from jobs.run import Run
from jobs.stage import Context, Result, StageJob
from jobs.trained import Trained
from jobs.views import Views


@dataclass(frozen=True)
class Visualize(StageJob):
    """Perturbation, maximisation and receptive fields, for each network as far as it can."""

    stage = "visualize"

    def work(self, context: Context) -> Result:
        run = context.run
        folders.require_writable(run.figures)
        models = {name: trained.load(member) for name, member in run.members().items()}
        wanted = views.of(run)
        require_layers(models, wanted)
        pictures, figures = Drawing(wanted, context.stop.reason, context.say).of(models)
        return Result(save(run, pictures), figures)


@dataclass(frozen=True)
class Drawing:
    """What is wanted, and whom to ask and tell on the way."""

    views: Views
    stop: Stop
    say: Callable[[str], None]

    def of(self, models: Mapping[str, Trained]) -> tuple[dict[str, bytes], dict[str, Any]]:
        """Pictures of all networks by the names of their files, and figures. Raises Stopped."""
        pictures, figures = {}, {}
        for name, model in models.items():
            drawn = draw(Subject(model, self.views, self.stop, self.say))
            figures[name] = drawn.facts
            for title, data in drawn.files.items():
                pictures[f"{name}-{title}" if name else title] = data
        return pictures, figures


def require_layers(models: Mapping[str, Trained], wanted: Views) -> None:
    """Raise RunError for layers that none of these networks has."""
    if not wanted.layers:
        return
    subjects = {name: Subject(m, wanted, lambda: None, print) for name, m in models.items()}
    known = {name: list(one.layers) for name, one in subjects.items() if one.sees_pictures}
    wanted.require_layers(known)


def draw(subject: Subject) -> Drawn:
    """All that can be drawn of one network; what cannot is left out, and said."""
    drawn = Drawn(facts={"weights_sha256": subject.model.checksum})
    if not subject.sees_pictures:
        drawn.facts |= {"layers": [], "points": True}
        subject.say(f"{subject.name}: sees points and no pictures; nothing is drawn")
        return drawn
    if subject.classifies:
        perturbing.draw(subject, drawn)
    maximising.draw(subject, drawn)
    if subject.layers:
        drawn.files["receptive.svg"] = _receptive(subject)
    if not drawn.files:
        subject.say(f"{subject.name}: names no classes and has no convolutions; nothing is drawn")
    return drawn


def _receptive(subject: Subject) -> bytes:
    """What the middle unit of every convolution sees of a test image."""
    from dataclasses import replace

    from gan.visual import layers, receptive, receptive_figure

    image = subject.images[subject.some(1)][0]
    with subject.heeding():
        seen = receptive.middle(subject.network, image)
    shown = [replace(one, layer=layers.shown_name(subject.network, one.layer)) for one in seen]
    return receptive_figure.plot(shown, image)


def save(run: Run, pictures: Mapping[str, bytes]) -> list[Path]:
    """Put pictures into a run's folder, and take those away that the stage drew before and not now.

    Raises Unwritable.
    """
    outputs = {run.figures / name: data for name, data in pictures.items()}
    before = (records.completion(run, Visualize.stage) or {"outputs": []})["outputs"]
    try:
        for path, data in outputs.items():
            files.write_bytes(path, data)
        for name in before:
            if run.path / name not in outputs:
                (run.path / name).unlink(missing_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise folders.Unwritable(f"{run.figures} cannot be written: {error}") from error
    return list(outputs)
