"""`ganymede sample` and `interpolate`: images on request, from a run or an exported folder.

What is written is a function of the weights and of what was asked for, to the last byte. So the
same request finds its own file and leaves it; a file with other content is never replaced.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from checkpoints import files
from gan import stored
from jobs.export import tell
from jobs.options import HDF5_SUFFIXES, Interpolate, OfModel, Sample
from jobs.run import RunError, find

if TYPE_CHECKING:
    from gan.generation import Request
    from gan.loading import Model

_PICTURE_CHANNELS = (1, 3)
Notes = dict[str, str | int | float]  # where images come from


def sample(options: Sample) -> str:
    """Write the images that were asked for; returns what was done.

    Raises RunError for what this run cannot give, and for a target that is something else.
    """
    import numpy as np

    from gan import samples

    folder = _folder(options)
    model = _model(folder, options)
    request = model.request(options.count, options.label, options.seed)
    target = options.out or Path(f"{folder.resolve().name}-samples.h5")
    notes = _notes(model, options)
    if target.suffix in HDF5_SUFFIXES:
        labels, step = request.labels(model.variant).numpy(), np.array([model.step])
        pictures = request.pictures(model.variant)
        _write(target, samples.pack_bytes(pictures[None], labels, step, notes))
    elif (channels := model.info.channels) not in _PICTURE_CHANNELS:
        raise RunError(f"images of {channels} channels are no pictures; allowed: --out FILE.h5")
    else:
        _fill(target, _pngs(model, request, notes))
    return f"{target}: {request.count} generated images, {_source(model)}"


def interpolate(options: Interpolate) -> str:
    """Draw the strips that were asked for; returns what was done. Raises RunError."""
    from gan.visual import grids, origin
    from gan.visual.interpolation import Walk

    folder = _folder(options)
    model = _model(folder, options)
    request = model.request(options.rows, options.label, options.seed)
    walk = Walk(
        rows=options.rows,
        steps=options.steps,
        path=options.path,
        seed=options.seed,
        label=request.label,
        to=None if options.to is None else model.class_number(options.to),
    )
    pictures = walk.pictures(model.variant)  # (rows, steps, H, W, C)
    notes = _notes(model, options) | {"path": options.path}
    if walk.to is not None:
        notes["to_class"] = model.classes[walk.to]
    target = options.out or Path(f"{folder.resolve().name}-interpolation.png")
    images = pictures.reshape(-1, *pictures.shape[2:])
    _write(target, grids.contact_sheet(images, options.steps, origin.GENERATED.notes(notes)))
    return f"{target}: {options.rows} strips of {options.steps} generated images, {_source(model)}"


def _folder(options: OfModel) -> Path:
    """The folder of the one run that is meant: of a pipeline, the one that has a generator."""
    path = Path(options.run)
    if stored.is_export(path):
        return path
    run = find(options.run, options.runs)
    generating = [member for member in run.members().values() if member.config().generates]
    if len(generating) == 1:
        return generating[0].path
    if not generating:
        raise RunError(f"{run.path} has no generator; allowed: a run of a GAN")
    names = ", ".join(str(member.path) for member in generating)
    raise RunError(f"{run.path} holds several runs; allowed: one of them, as {names}")


def _model(folder: Path, options: OfModel) -> "Model":
    """With the threads of the run's training, since the last bits depend on them."""
    from gan import loading, numerics

    device = numerics.configure(int(stored.read(folder).get("threads", 1)))
    return loading.load(folder, options.step, device, tell)


def _notes(model: "Model", options: OfModel) -> Notes:
    """Where the images come from: nothing of time, host or folder."""
    notes: Notes = {
        **stored.provenance(model.settings),
        "weights_sha256": model.checksum,
        "step": model.step,
        "sample_seed": options.seed,
    }
    if options.label is not None:
        notes["class"] = model.classes[model.class_number(options.label)]
    return notes


def _source(model: "Model") -> str:
    total = model.settings["total_steps"]
    unfinished = ", whose training is not finished" if model.step < total else ""
    return f"from the weights of step {model.step} of {total}{unfinished}"


def _pngs(model: "Model", request: "Request", notes: Notes) -> Iterator[tuple[str, bytes]]:
    """Name and content of a file for each image."""
    from gan import batches
    from gan.visual import grids, origin

    labels, number = request.labels(model.variant).tolist(), 0
    for images in request.images(model.variant):
        pictures = batches.to_bytes(images)
        for picture in pictures:
            name = f"{number:06d}"
            own = origin.GENERATED.notes(notes) | {"number": number}
            if model.classes:
                own["class"] = model.classes[labels[number]]
                name += "-" + re.sub(r"[^A-Za-z0-9._-]+", "-", str(own["class"]))
            yield f"{name}.png", grids.png(picture, notes=own)
            number += 1


def _write(target: Path, data: bytes) -> None:
    """Put a file in its place, unless another is there."""
    if target.is_dir():
        raise RunError(f"{target} is a folder; give another --out")
    try:
        files.create_bytes(target, data)
    except FileExistsError:
        if target.read_bytes() != data:
            raise _Taken(target) from None


def _fill(target: Path, pictures: Iterator[tuple[str, bytes]]) -> None:
    """Put a folder of files in its place, unless another is there."""
    if target.exists() and not target.is_dir():
        raise RunError(f"{target} is no folder; give another --out")
    left = {path.name for path in target.iterdir()} if target.is_dir() else set()
    if not left:
        with files.new_folder(target.resolve()) as aside:
            for name, data in pictures:
                files.write_new(aside / name, data)
        return
    for name, data in pictures:
        if name not in left or (target / name).read_bytes() != data:
            raise _Taken(target)
        left.remove(name)
    if left:
        raise _Taken(target)


class _Taken(RunError):
    def __init__(self, target: Path) -> None:
        super().__init__(f"{target} is there already, with other content; give another --out")
