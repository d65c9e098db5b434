"""What a job asks of a cluster: typed, from flags and from profiles in a TOML file."""

import hashlib
import json
import os
import re
import stat
import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from slurm.errors import SchedulerError

Section = TypeVar("Section")
FILE = "clusters.toml"
DEFAULT_RETRIES = 2
_UNCARRIED = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
STAGES = ("train", "sample", "evaluate", "visualize", "report")
_TRAINING = "train"
_OURS = ("comment", "dependency", "array", "output", "job-name", "wrap", "no-requeue")
_WITHOUT_GPU = ("report",)


@dataclass(frozen=True)
class Resources:
    """What to book for each job; None: as the profile says, else the cluster's default."""

    partition: str | None = None
    """partition, or queue of PBS"""
    account: str | None = None
    """account that is charged"""
    project: str | None = None
    """project that is charged (qsub -P); for PBS"""
    qos: str | None = None
    """quality of service"""
    reservation: str | None = None
    """reservation to run in"""
    constraint: str | None = None
    """node features, as the cluster names them; for PBS resource=value of a chunk"""
    minutes: float | None = None
    """time limit of each job: it saves in time, is queued again and goes on"""
    nodes: int | None = None
    """nodes for training; follow-ups take one"""
    tasks_per_node: int | None = None
    """ranks on each node; one for each GPU if left out, else one"""
    gpus_per_node: int | None = None
    """GPUs on each node"""
    gpu_type: str | None = None
    """kind of GPU, as the cluster names it"""
    cpus_per_task: int | None = None
    """cores for each rank; threads are set to it"""
    mem_gb: float | None = None
    """memory on each node, in GiB"""
    exclusive: bool | None = None
    """share the nodes with nobody"""
    extra: tuple[str, ...] = ()
    """further options of sbatch, or of qsub, each as name or name=value, without dashes"""

    def __post_init__(self) -> None:
        for item in fields(self):
            _check_value(item.name, getattr(self, item.name))
        for option in self.extra:
            if not re.match(r"[A-Za-z]", option) or option.partition("=")[0] in _OURS:
                raise SchedulerError(
                    f"extra is {option!r}; allowed: name=value or name of a long option of sbatch, "
                    f"or letter=value of one of qsub, not {', '.join(_OURS)}"
                )
        if self.gpu_type and not re.fullmatch(r"[A-Za-z0-9._-]+", self.gpu_type):
            raise SchedulerError(f"gpu_type is {self.gpu_type!r}; allowed: A-Z a-z 0-9 . _ -")

    def over(self, below: "Resources") -> "Resources":
        """These, and where they say nothing, what `below` says."""
        chosen = asdict(below) | {k: v for k, v in asdict(self).items() if v not in (None, ())}
        return Resources(**chosen | {"extra": (*below.extra, *self.extra)})

    @property
    def ranks_per_node(self) -> int:
        return self.tasks_per_node or self.gpus_per_node or 1

    @property
    def ranks(self) -> int:
        return (self.nodes or 1) * self.ranks_per_node


def _check_value(name: str, value: Any) -> None:
    numbers = {"minutes", "mem_gb", "nodes", "tasks_per_node", "cpus_per_task"}
    if name in numbers and value is not None and not 0 < value < float("inf"):
        raise SchedulerError(f"{name} is {value}; allowed: above 0, finite")
    if name == "gpus_per_node" and value is not None and value < 0:
        raise SchedulerError(f"{name} is {value}; allowed: 0 or more")
    for text in (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ():
        if not text or not is_plain(text):
            raise SchedulerError(f"{name} is {text!r}; allowed: text without control characters")


def is_plain(text: str) -> bool:
    """Whether a batch script carries the text unaltered: no control characters, and UTF-8.

    (What is not UTF-8 on the command line or in a path reaches Python as lone surrogates.)
    """
    return not _UNCARRIED.search(text)


@dataclass(frozen=True)
class Profile:
    """One cluster, or one way to use it: a table of clusters.toml."""

    name: str = ""
    resources: Resources = field(default_factory=Resources)
    stages: dict[str, Resources] = field(default_factory=dict)
    """what a stage books instead, by its name: one of STAGES"""
    setup: tuple[str, ...] = ()
    """shell lines before the job: modules, conda; one that fails, fails the job"""
    prefix: tuple[str, ...] = ()
    """words put before the command, as apptainer exec image.sif"""
    python: str | None = None
    """Python on the nodes, or in the container; this one if left out"""
    gpu_form: Literal["gpus-per-node", "gres"] = "gpus-per-node"
    """how this cluster wants GPUs to be asked for"""
    interface: str | None = None
    """network interface for traffic between nodes, as ib0"""
    mail: str | None = None
    """address to tell when the chain has ended or failed"""
    retries: int = DEFAULT_RETRIES
    """how often a job that fails without progress is tried again"""

    def __post_init__(self) -> None:
        for name in ("setup", "prefix", "python", "interface", "mail"):
            _check_value(name, getattr(self, name))
        if self.interface and not re.fullmatch(r"[A-Za-z0-9._-]+", self.interface):
            raise SchedulerError(f"interface is {self.interface!r}; allowed: a name as ib0")
        if self.retries < 0:
            raise SchedulerError(f"retries is {self.retries}; allowed: 0 or more")
        for stage in self.stages:
            if stage not in STAGES:
                raise SchedulerError(f"stages has {stage!r}; allowed: {', '.join(STAGES)}")

    @property
    def hash(self) -> str:
        """SHA-256 of all its settings, for a run's records."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def for_stage(self, stage: str, flags: Resources) -> Resources:
        """What a stage books. Flags speak of training; a follow-up takes one node and one rank,
        a report no GPU, unless the profile says otherwise of that stage.
        """
        own = self.stages.get(stage, Resources())
        general = flags.over(self.resources)
        if stage == _TRAINING:
            return flags.over(own).over(self.resources)
        gpus = 0 if stage in _WITHOUT_GPU else min(general.gpus_per_node or 0, 1)
        single = Resources(nodes=1, tasks_per_node=1, gpus_per_node=gpus)
        return own.over(single).over(general)


def load_profile(name: str | None, folders: tuple[Path, ...] | None = None) -> Profile:
    """A profile of `./clusters.toml` or of the user's own file; without a name, an empty one.

    Raises SchedulerError for an unknown name, a wrong setting, or a file in the working folder that
    somebody else could have written: its set-up lines would run as this user.
    """
    if name is None:
        return Profile()
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "ganymede"
    files = [folder / FILE for folder in folders or (Path(), home)]
    known: dict[str, Path] = {}
    for file in files:
        if not file.is_file():
            continue
        table = _read(file)
        if name in table:
            return _profile(name, table[name], file)
        known |= dict.fromkeys(table, file)
    where = " or ".join(str(file) for file in files)
    raise SchedulerError(
        f"profile is {name!r}; allowed: {', '.join(known) or 'none yet'}, the tables of {where}"
    )


def _read(file: Path) -> dict[str, Any]:
    """The file's tables. Raises SchedulerError if anybody else could have written it."""
    with file.open("rb") as stream:
        found = os.fstat(stream.fileno())
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise SchedulerError(
                f"{file} is not read, since others may write it and its set-up lines would run as "
                "you; allowed: a file that you own, mode 600 or 644"
            )
        try:
            return tomllib.load(stream)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SchedulerError(f"{file} cannot be read: {error}") from None


def _profile(name: str, table: Any, file: Path) -> Profile:
    """Keys of Resources stand in the table itself, beside those of Profile."""
    where = f"[{name}] in {file}"
    booked = {item.name for item in fields(Resources)}
    own = {item.name for item in fields(Profile)} - {"name", "resources"}
    _check_keys(table, booked | own, where)
    stages = table.get("stages", {})
    _check_keys(stages, set(STAGES), f"{where}, stages")
    for stage, section in stages.items():
        _check_keys(section, booked, f"{where}, stages.{stage}")
    settings = {key: value for key, value in table.items() if key in own - {"stages"}}
    return replace(
        _convert(settings, Profile, where),
        name=name,
        resources=_convert({k: v for k, v in table.items() if k in booked}, Resources, where),
        stages={
            stage: _convert(section, Resources, f"{where}, stages.{stage}")
            for stage, section in stages.items()
        },
    )


def _check_keys(table: Any, allowed: set[str], where: str) -> None:
    told = ", ".join(sorted(allowed))
    if not isinstance(table, dict):
        raise SchedulerError(f"{where} is {table!r}; allowed: a table of {told}")
    for key in table:
        if key not in allowed:
            raise SchedulerError(f"{where} has {key!r}; allowed: {told}")


def _convert(table: dict[str, Any], kind: type[Section], where: str) -> Section:
    try:
        return msgspec.convert(table, kind)
    except (msgspec.ValidationError, SchedulerError) as error:
        raise SchedulerError(f"{where}: {error}") from None
