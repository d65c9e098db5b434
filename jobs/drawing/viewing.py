"""Drawing what a finished run's networks learned, at once and in the foreground."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from checkpoints import files
from jobs import folders, records, report, trained, views
from jobs.run import Run, RunError
from jobs.stage import Stopped, say
from jobs.trained import Trained
from jobs.views import Views
from jobs.visualize import Drawing, Visualize, require_layers, save
from slurm.preemption import StopRequest


@dataclass(frozen=True)
class Viewing:
    """What is to be drawn; made by `plan`, which has checked all of it."""

    run: Run
    models: Mapping[str, Trained]
    views: Views
    out: Path | None  # none: into the run, and recorded

    def __call__(self) -> int:
        """Draw and tell; returns the exit status: 0, or 128 + signal if told to stop."""
        with StopRequest().listening() as request:
            try:
                pictures, figures = Drawing(self.views, request.reason, say).of(self.models)
            except Stopped as stopped:
                say(f"{stopped}; nothing was written")
                return 128 + request.signal if request.signal else 1
        if self.out:
            with files.new_folder(self.out.resolve()) as folder:
                for name, data in pictures.items():
                    files.write_new(folder / name, data)
        else:
            records.complete(self.run, Visualize.stage, save(self.run, pictures), figures)
            if self.run.report_file.exists():
                report.rewrite(self.run)
        say(f"{self.out or self.run.figures}: {len(pictures)} pictures")
        return 0


def plan(run: Run, asked: Views, out: Path | None) -> Viewing:
    """What there is to draw. Raises RunError or CheckpointError for what cannot be drawn so, and
    has then written nothing.
    """
    members = run.members()
    if run.is_sweep:
        names = ", ".join(str(member.path) for member in members.values())
        raise RunError(f"{run.path} is a sweep; allowed: one of its runs, as {names}")
    if out is None:
        _require_own_pictures(run)
    for member in members.values():
        records.require(member, "train")
    models = {name: trained.load(member) for name, member in members.items()}
    stored = views.of(run)
    wanted = Views(
        asked.layers or stored.layers, asked.before_activation or stored.before_activation
    )
    require_layers(models, wanted)
    if out:
        _require_free(out)
    folders.require_writable(out or run.figures)
    return Viewing(run, models, wanted, out)


def _require_own_pictures(run: Run) -> None:
    """Raise RunError for a part of a pipeline, whose pictures are drawn with those of the whole."""
    whole = Run(run.path.resolve().parent)
    if whole.exists and whole.settings().get("kind") == "comparison":
        raise RunError(
            f"{run.path} is drawn together with the other network of {whole.path.name}; allowed: "
            f"{whole.path}, or this one with --out FOLDER"
        )


def _require_free(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()):
        raise RunError(f"out is {out}, which holds files; allowed: a folder to be made, or empty")
