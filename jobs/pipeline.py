"""Which job follows which, and what `run NAME` sets up."""

import functools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from checkpoints.files import ASIDE
from gan import config as configs
from gan import data, recipes
from gan.config import (
    FEWEST_COMPARED,
    ConfigError,
    GANConfig,
    RunConfig,
)
from gan.data import DataInfo
from gan.recipes import RECIPES
from jobs import energy, pretrained, records, together, views
from jobs.evaluate import Evaluate
from jobs.report import Report
from jobs.run import Run, RunError
from jobs.sample import Sample
from jobs.selfsupervised import SelfSupervised, simclr, simclr_digits, simclr_quick
from jobs.shared import Shared
from jobs.stage import StageJob
from jobs.sweep import Sweep
from jobs.train import Train
from jobs.views import Views
from jobs.visualize import Visualize
from jobs.worth import Compare


@dataclass(frozen=True)
class Comparison(Shared):
    """A classifier and a GAN side by side; then samples, figures, pictures and one report.

    Any two of the same images; on the command line each has the settings of its own kind.
    """

    kind: ClassVar[str] = "comparison"
    classifier: RunConfig
    gan: GANConfig
    views: Annotated[Views, tyro.conf.arg(name="")] = field(default_factory=Views)

    def members(self) -> dict[str, RunConfig]:
        return {"classifier": self.apply(self.classifier), "gan": self.apply(self.gan)}

    def divide(self, member: str, threads: int) -> int:
        """Of two that train side by side, the lighter classifier gets a quarter.

        On two cores that is one thread, and two for the GAN: measured there, two each slow both
        down tenfold, and one each leaves a core idle in the end.
        """
        quarter = threads // 4
        return threads - quarter if member == "gan" else max(1, quarter)


def demo() -> Comparison:
    """Both networks on the embedded digits, then everything else: minutes on two cores."""
    return Comparison(recipes.classifier_digits(), recipes.acgan_digits())


def ie534() -> Comparison:
    """S0: the classifier and the AC-WGAN-GP on CIFAR-10, what both see, and one report."""
    return Comparison(recipes.classifier(), recipes.acgan())


def ie534_quick() -> Comparison:
    """S0 in small: all of `ie534`, on the embedded digits unless --data says otherwise: minutes."""
    return demo()


def dcgan_lab_judged() -> Comparison:
    """S1: the DCGAN lab on MNIST, measured by a classifier above 99 %."""
    return Comparison(recipes.mnist_classifier(), recipes.dcgan_lab())


def dcgan_mnist_judged() -> Comparison:
    """S4: the convolutional GAN on MNIST, measured by a classifier above 99 %."""
    return Comparison(recipes.mnist_classifier(), recipes.dcgan_mnist())


def dcgan_digits_judged() -> Comparison:
    """S4: the convolutional GAN on the embedded digits, measured by a classifier: minutes."""
    return Comparison(recipes.dc_classifier_digits(), recipes.dcgan_digits())


_FUNCTIONS: tuple[Callable[[], Comparison | SelfSupervised], ...] = (
    demo, ie534, ie534_quick, dcgan_lab_judged, dcgan_mnist_judged, dcgan_digits_judged,
    simclr, simclr_quick, simclr_digits,
)  # fmt: skip
PIPELINES = {function.__name__.replace("_", "-"): function for function in _FUNCTIONS}
Plan = RunConfig | Comparison | SelfSupervised | Sweep


def plan(name: str) -> RunConfig | Comparison | SelfSupervised:
    """The default config of a recipe or pipeline. Raises RunError, listing the names."""
    known = RECIPES | PIPELINES
    if name not in known:
        raise RunError(f"no recipe or pipeline {name!r}; allowed: {', '.join(known)}")
    return known[name]()


@dataclass(frozen=True)
class Stage:
    """One job of a pipeline, and the stages that must be finished before it."""

    run: Run
    job: StageJob
    settings: dict[str, Any] = field(compare=False, repr=False)  # of its run, read once for all
    after: tuple["Stage", ...] = ()

    @property
    def name(self) -> str:
        return self.job.stage


def stages(run: Run) -> list[Stage]:
    """The stages of a run, pipeline or sweep, each after all that it needs."""
    settings = run.settings()
    members, path = run.members(settings), run.path.resolve()
    if settings.get("kind") == Sweep.kind:
        return [stage for member in members.values() for stage in stages(member)]
    training: dict[str, Stage] = {}
    sampling = []
    for name, member in members.items():
        known, place = (member.settings(), path / name) if name else (settings, path)
        config = member.config(known)
        job = Train(place, needs=pretrained.needs(config, place))
        source = training.get(pretrained.source_of(config) or "")
        training[name] = Stage(member, job, known, (source,) if source else ())
        if config.generates:
            sampling.append(_follow(Stage(member, Sample(place), known), training[name]))
    graph = [*training.values(), *sampling]
    if settings.get("kind") == SelfSupervised.kind:
        graph.append(_follow(Stage(run, Compare(path), settings), *graph))
    elif "" not in members:
        evaluate = _follow(Stage(run, Evaluate(path), settings), *graph)
        visualize = _follow(Stage(run, Visualize(path), settings), *training.values())
        graph += [evaluate, visualize]
    return [*graph, _follow(Stage(run, Report(path), settings), *graph)]


def _follow(stage: Stage, *after: Stage) -> Stage:
    """The stage, waiting for others; its job verifies them by itself."""
    needs = tuple((need.job.path, need.name) for need in after)
    return replace(stage, job=replace(stage.job, needs=needs), after=after)


def prepare(name: str, chosen: Plan, path: Path, threads: int, shared: bool = True) -> Run:
    """Check everything, then create the run's folder, or find the one that is there.

    `threads` is how many to use, 0 for those that the run had, or all there are; `shared` among the
    networks that train at the same time, as on one machine. Raises ConfigError, DataError, or
    RunError for a folder made by another config, and has then written nothing.
    """
    run = Run(path)
    members = {"": chosen} if isinstance(chosen, RunConfig) else chosen.members()
    inspect = functools.cache(data.inspect)  # the runs of a sweep mostly use the same images
    infos = {}
    for member, config in members.items():
        infos[member] = inspect(config.data)
        data.check(config, infos[member])
    for country in sorted({config.train.energy_country for config in members.values()} - {""}):
        energy.check(country)
    if isinstance(chosen, Comparison):
        _check_comparable(chosen, infos)
        views.check(chosen.views, members, infos)
        if chosen.views.published:
            chosen.views.published.check()
    elif isinstance(chosen, SelfSupervised):
        chosen.check(infos)
    else:
        members = {
            member: pretrained.settle(config, infos[member], Run(path / member), path.parent)
            for member, config in members.items()
        }
    _check_existing(run, name, members, infos)

    def write(member: str) -> None:
        folder = Run(path / member)
        divide: Callable[[int], int] = int
        if shared and isinstance(chosen, Comparison | SelfSupervised):
            divide = functools.partial(chosen.divide, member)
        share = _threads(folder, threads, divide)
        folder.write(_recipe(name, member), _rooted(members[member]), infos[member], share)

    together.each(write, members)
    if not isinstance(chosen, RunConfig):
        more = views.settle(run, chosen.views) if isinstance(chosen, Comparison) else {}
        run.write_pipeline(name, list(members), chosen.kind, more)
    return run


def withdraw_damaged(graph: list[Stage], say: Callable[[str], None]) -> None:
    """Have every stage done again whose files are not as it left them, and all that used it.

    Training then goes on from the last good checkpoint and ends in the same bits.
    """
    withdrawn: set[int] = set()
    for stage in graph:
        record = records.completion(stage.run, stage.name)
        found = records.problems(stage.run, record) if record else []
        if found:
            say(f"{stage.run.path.name} {stage.name}: {found[0]}; it is done again")
        if found or any(id(need) in withdrawn for need in stage.after):
            withdrawn.add(id(stage))
            records.withdraw(stage.run, stage.name)


def _recipe(name: str, member: str) -> str:
    return f"{name}/{member}" if member else name


def _check_comparable(chosen: Comparison, infos: dict[str, DataInfo]) -> None:
    """Raise ConfigError if the classifier cannot judge the GAN's images."""
    ours, theirs = chosen.classifier.data, chosen.gan.data
    if ours.image_size != theirs.image_size or infos["classifier"] != infos["gan"]:
        raise ConfigError(
            f"classifier.data is {ours.name} at {ours.image_size} pixels, gan.data is "
            f"{theirs.name} at {theirs.image_size}; allowed: the same images for both"
        )
    fewest = min(chosen.gan.train.final_samples, infos["gan"].test_count)
    if fewest < FEWEST_COMPARED:
        raise ConfigError(
            f"gan.train.final_samples is {chosen.gan.train.final_samples}, test images are "
            f"{infos['gan'].test_count}; allowed: {FEWEST_COMPARED} or more of each, to measure"
        )


def _rooted(config: RunConfig) -> RunConfig:
    """With the data's folder as an absolute path, so that a job finds it from anywhere."""
    root = Path(config.data.root)
    if not root.exists():
        return config
    return replace(config, data=replace(config.data, root=str(root.resolve())))


def _threads(run: Run, threads: int, divide: Callable[[int], int]) -> int:
    """Threads of one network; the bits of its result depend on them, so a run keeps its own.

    `divide` takes its part of all threads, where others train at the same time.
    """
    if not threads and run.exists:
        return int(run.settings()["threads"])
    return divide(threads or len(os.sched_getaffinity(0)))


def _check_existing(
    run: Run, recipe: str, members: dict[str, RunConfig], infos: dict[str, DataInfo]
) -> None:
    if not run.exists and run.path.exists() and _strangers(run.path, members):
        raise RunError(f"{run.path} is not a run's folder; give another --name or --runs")
    if run.exists and set(run.members()) != set(members):
        made_by = _described(run.settings()["recipe"], run.members())
        raise RunError(
            f"{run.path} was made by {made_by}, given was {_described(recipe, members)}; "
            "give another --name"
        )
    found = []
    for member, config in members.items():
        stored = Run(run.path / member)
        if not stored.exists:
            continue  # a new run, or a start that was cut off
        made_by = stored.settings()["recipe"]
        if member and made_by != _recipe(recipe, member):
            raise RunError(f"{stored.path} was made by {made_by!r}; give another --name")
        prefix = f"{member}." if member else ""
        found += [f"  {prefix}{line}" for line in configs.differences(config, stored.config())]
        if not found:
            stored.check_data(infos[member])
    if found:
        raise RunError(
            f"{run.path} was made by another config; give its settings, or another --name:\n"
            + "\n".join(found)
        )


def _described(recipe: str, members: Iterable[str]) -> str:
    names = [name for name in members if name]
    shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    return f"{recipe!r} ({shown})" if names else repr(recipe)


def _strangers(path: Path, members: Iterable[str]) -> bool:
    """Whether `path` holds more than a start that was cut off before config.json was written."""
    own = set(members)
    return not path.is_dir() or any(
        entry.name not in own and not entry.name.startswith(ASIDE) for entry in path.iterdir()
    )
