"""The options of the command line's verbs, as typed dataclasses; `tyro` makes flags of them."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

import tyro

from gan.config import ConfigError
from jobs import sharing
from jobs.measuring import published
from jobs.measuring.published import Published
from jobs.run import Run, RunError, find
from jobs.views import Layers
from slurm import schedulers
from slurm.resources import Profile, Resources, load_profile

RunName = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
Flat = tyro.conf.arg(name="")
HDF5_SUFFIXES = (".h5", ".hdf5")
_LONGEST_CHAIN = 100
_MOST_IMAGES = 100_000
_MOST_IN_LINE = 100  # strips, and images in a strip


@dataclass(frozen=True)
class Place:
    """Where the runs are."""

    runs: Path = Path("runs")
    """folder that holds the runs"""

    def __post_init__(self) -> None:
        if self.runs.exists() and not self.runs.is_dir():
            raise ConfigError(f"runs is {str(self.runs)!r}; allowed: a folder, there or to be made")


@dataclass(frozen=True)
class Launch(Place):
    """How the jobs run; none of it changes a result."""

    on: Literal["local", "slurm", "pbs"] = "local"
    """where the jobs run: on this machine, in the foreground, or on a cluster of Slurm or PBS"""
    here: bool = False
    """run in the foreground although this machine has a scheduler"""
    profile: str | None = None
    """table of clusters.toml that says what to book, and how"""
    resources: Annotated[Resources, Flat] = field(default_factory=Resources)
    max_running: int | None = None
    """how many jobs of a sweep (of each of its arrays) run at the same time; 1 in the foreground"""

    group: str | None = None
    """share the run with this group, whose members may go on with it; logs stay private"""
    chain: int = 0
    """jobs to go on with a training, submitted beforehand: for PBS where jobs may not submit any"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_running is not None and self.max_running < 1:
            raise ConfigError(f"max_running is {self.max_running}; allowed: 1 or more")
        if not 0 <= self.chain <= _LONGEST_CHAIN:
            raise ConfigError(f"chain is {self.chain}; allowed: 0 to {_LONGEST_CHAIN}")

    def check(self) -> Profile:
        """The profile. Raises RunError for a place that does not go with the other options."""
        if self.group is not None:
            sharing.group_id(self.group)
        if self.chain and self.on != "pbs":
            raise RunError(f"--chain is for PBS; --on {self.on} goes on without")
        if self.on == "local":
            given = [
                item.name.replace("_", "-")
                for item in fields(Resources)
                if item.name != "minutes" and getattr(self.resources, item.name) not in (None, ())
            ]
            given += ["profile"] if self.profile else []
            if given:
                allowed = " or ".join(f"--on {name}" for name in schedulers.SCHEDULERS)
                raise RunError(f"--{given[0]} books on a cluster; it needs {allowed}")
            found = schedulers.here()
            if found and not self.here and not schedulers.inside():
                raise RunError(
                    f"this machine submits to {found.title}: give --on {found.name}, or --here to "
                    "run in the foreground all the same"
                )
        elif self.here:
            raise RunError(f"--here is the foreground, --on {self.on} is not; give one of them")
        else:
            schedulers.of(self.on)
        return load_profile(self.profile)


@dataclass(frozen=True)
class New(Launch):
    name: str | None = None
    """name of the run, and of its folder; the recipe's name if left out"""
    threads: int = 0
    """threads of each rank; 0: as the run had them, else --cpus-per-task, else all here"""
    sweep: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """setting=value,value or setting=first..last; may be given again: all combinations are run;
    setting,setting=value:value,value:value varies settings together"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threads < 0:
            raise ConfigError(f"threads is {self.threads}; allowed: 0 or more")


@dataclass(frozen=True)
class OfRun(Place):
    run: RunName = field(kw_only=True)
    """a run's name below the runs folder, as demo or demo/gan, or its path"""

    def find(self) -> Run:
        """The run; what is written there from now on is written for whoever shares it."""
        run = find(self.run, self.runs)
        sharing.adopt(run)
        return run


@dataclass(frozen=True)
class Verify(OfRun):
    deep: bool = False
    """also load every checkpoint, read all of every HDF5 file, and train again from the checkpoint
    before the last, to see that it ends in the same bits"""
    minutes: float = 5.0
    """how long training again may take for each run; Ctrl-C ends it too"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.minutes < float("inf"):
            raise ConfigError(f"minutes is {self.minutes}; allowed: 0 or more, finite")


@dataclass(frozen=True)
class Trial:
    """How to try out resuming; the recipe's settings stand beside it."""

    threads: int = 0
    """threads of each attempt; 0: all here"""
    keep: Path | None = None
    """empty folder, or one to be made, where both runs stay; nothing is kept if left out"""

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise ConfigError(f"threads is {self.threads}; allowed: 0 or more")


@dataclass(frozen=True)
class Evaluate(OfRun):
    judge: str | None = None
    """finished classifier of the same images, by its name below the runs folder, or its path"""
    count: int | None = None
    """images compared on either side; as many as there are generated and held-out if left out"""
    inception_weights: Path | None = None
    """file of the 1,008-class Inception network: FID and Inception score are measured too"""
    inception_images: int = 0
    """images of each kind that Inception sees at most; 0: all on a GPU, a thousand on a CPU"""

    def __post_init__(self) -> None:
        super().__post_init__()
        published.wanted(self.inception_weights, self.inception_images)

    def find_published(self) -> Published | None:
        """The network of FID, its file checked, if it is wanted. Raises ConfigError."""
        found = published.wanted(self.inception_weights, self.inception_images)
        if found:
            found.check()
        return found

    def find_judge(self) -> Run | None:
        return find(self.judge, self.runs) if self.judge else None


@dataclass(frozen=True)
class Visualize(OfRun):
    layers: Layers = ()
    """convolutions whose channels are maximised; those that the run was started with, else S0's
    five, or all of other networks, if left out"""
    before_activation: bool = False
    """maximise the channels before the activation that follows, and not after it"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """folder to fill with the pictures, which are then not recorded; the run's if left out"""


@dataclass(frozen=True)
class Report(Place):
    names: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(name="run", metavar="RUN [RUN ...]")
    ] = field(kw_only=True)
    """a run's name below the runs folder, or its path; several are compared"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.html")] = None
    """where to; the run's own report, or comparison.html in the runs folder, if left out"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.names:
            raise ConfigError("report needs a run; allowed: one or more")
        if self.out is not None and self.out.suffix != ".html":
            raise ConfigError(f"out is {str(self.out)!r}; allowed: a name that ends in .html")


@dataclass(frozen=True)
class OfModel(Place):
    """Of which networks images are wanted, and which ones."""

    run: RunName = field(kw_only=True)
    """a run's name below the runs folder, as mine or demo/gan, its path, or an exported folder"""
    label: Annotated[str | None, tyro.conf.arg(name="class", metavar="CLASS")] = None
    """class of the images, by name or number; every class in turn if left out"""
    seed: int = 0
    """other images for every seed, and the same ones for the same"""
    step: int | None = None
    """training step whose checkpoint is used; the latest good one if left out"""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require("seed", self.seed, 0, (1 << 63) - 1)


@dataclass(frozen=True)
class Sample(OfModel):
    count: int = 100
    """how many images; the first ones of many are the same as those of few"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.h5|FOLDER")] = None
    """where to: HDF5, or a folder that is filled with PNG files; RUN-samples.h5 if left out"""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require("count", self.count, 1, _MOST_IMAGES)
        if self.out is not None and self.out.suffix not in ("", *HDF5_SUFFIXES):
            raise ConfigError(
                f"out is {str(self.out)!r}; allowed: a name that ends in .h5, or a folder's, "
                "without an ending"
            )


@dataclass(frozen=True)
class Interpolate(OfModel):
    rows: int = 8
    """how many strips"""
    steps: int = 10
    """images in a strip, both ends among them"""
    path: Literal["linear", "spherical"] = "linear"
    """straight from one noise vector to the other, or along a great circle"""
    to: Annotated[str | None, tyro.conf.arg(metavar="CLASS")] = None
    """go from --class to this class, by name or number; the noise of a strip then stays"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None
    """where to; RUN-interpolation.png if left out"""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require("rows", self.rows, 1, _MOST_IN_LINE)
        _require("steps", self.steps, 2, _MOST_IN_LINE)
        if self.to is not None and self.label is None:
            raise ConfigError(f"to is {self.to!r} without a class to come from; give --class too")
        if self.out is not None and self.out.suffix != ".png":
            raise ConfigError(f"out is {str(self.out)!r}; allowed: a name that ends in .png")


def _require(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ConfigError(f"{name} is {value}; allowed: {least} to {most}")


@dataclass(frozen=True)
class Export(OfRun):
    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DEST")] = field(
        kw_only=True
    )
    """folder to make; one that holds anything is left alone"""
    step: int | None = None
    """training step whose checkpoint is exported; the latest good one if left out"""


@dataclass(frozen=True)
class Resume(Launch):
    run: RunName = field(kw_only=True)
    """a run's name below the runs folder, or its path"""
    take_over: bool = False
    """go on although another attempt seems to be alive; it will step back at its next save"""


@dataclass(frozen=True)
class Status(Place):
    run: Annotated[str | None, tyro.conf.Positional] = None
    """only this run"""
    json: bool = False
    """a list of objects, for programs"""


@dataclass(frozen=True)
class Logs(OfRun):
    lines: int = 50
    """how many lines of each job's latest log"""
    follow: Annotated[bool, tyro.conf.arg(aliases=["-f"])] = False
    """go on showing what is added, until all jobs have ended"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lines < 1:
            raise ConfigError(f"lines is {self.lines}; allowed: 1 or more")


@dataclass(frozen=True)
class Doctor(Place):
    on: Literal["slurm", "pbs"] = "slurm"
    """which scheduler to examine"""
    profile: str | None = None
    """table of clusters.toml that the rehearsal uses"""
    resources: Annotated[Resources, Flat] = field(default_factory=Resources)
    rehearse: bool = False
    """submit a small job: on Slurm a training that is really signalled, and watched as it goes on;
    on PBS one that tries what runs do on a node"""
