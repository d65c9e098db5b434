"""The run whose encoder another run begins with: found and checked before anything is queued."""

from dataclasses import dataclass, replace
from pathlib import Path

from gan import config as configs
from gan import stored
from gan.config import (
    ConfigError,
    EncoderClassifierConfig,
    EncoderModel,
    Pretrained,
    RunConfig,
)
from gan.data import DataInfo
from jobs import records
from jobs.run import Run, RunError, find


@dataclass(frozen=True)
class Source:
    """Where an encoder comes from, and what images it takes."""

    name: str
    config: RunConfig
    channels: int

    def check_fits(self, config: EncoderClassifierConfig, channels: int, prefix: str = "") -> None:
        """Raise ConfigError unless it is the encoder, and are the images, of these settings."""
        theirs = getattr(self.config, "model", None)
        if not isinstance(theirs, EncoderModel):
            raise ConfigError(
                f"{prefix}pretrained.run is {self.name}, which is a run of {self.config.variant} "
                "and has no encoder; allowed: runs of simclr or encoder_classifier"
            )
        size, their_size = config.data.image_size, self.config.data.image_size
        compared = (
            ("model.encoder", config.model.encoder, theirs.encoder),
            ("model.width", config.model.width, theirs.width),
            ("data.image_size", size, their_size),
            ("data.channels come to", channels, self.channels),
        )
        for setting, ours, wanted in compared:
            if ours != wanted:
                raise ConfigError(
                    f"{prefix}{setting} is {ours!r}; allowed: {wanted!r}, as in {self.name}, "
                    "whose encoder is used"
                )


def settle(config: RunConfig, info: DataInfo, run: Run, runs: Path) -> RunConfig:
    """`config` with the place and the identity of its pre-trained encoder, if it begins with one.

    `pretrained.run` may be a run's name below `runs`, or a path, of an exported one too; it must be
    finished and fit. If it is gone, `run` goes on with what it began with. Raises ConfigError,
    RunError.
    """
    if not isinstance(config, EncoderClassifierConfig):
        return config
    given = config.pretrained
    if not given.run:
        if given.identity:
            raise ConfigError(
                f"pretrained.identity is {given.identity!r} without pretrained.run; allowed: none"
            )
        return config
    try:
        source = _find(given.run, runs)
    except RunError as error:
        if begun := _as_begun(config, run, runs):
            return begun
        raise RunError(f'pretrained.run: {error}; "" is an untrained encoder') from None
    settings = stored.read(source)
    theirs = stored.config(settings, source)
    channels = stored.data_info(settings, source).channels
    Source(given.run, theirs, channels).check_fits(config, info.channels)
    require_finished(source)
    known = configs.identity(theirs)
    if given.identity not in ("", known):
        raise ConfigError(
            f"pretrained.identity is {given.identity!r}, {given.run} has {known!r}; allowed: the "
            "same, or none"
        )
    return replace(config, pretrained=Pretrained(str(source.resolve()), known))


def _find(name: str, runs: Path) -> Path:
    """The folder of a run, or of an exported one. Raises RunError, naming the runs that exist."""
    places = (runs / name, Path(name))
    return next(filter(stored.is_export, places), None) or find(name, runs).path


def _as_begun(
    config: EncoderClassifierConfig, run: Run, runs: Path
) -> EncoderClassifierConfig | None:
    """With the encoder that `run` began with, if it is the one of the same place, now gone."""
    begun = run.config() if run.exists else None
    if not isinstance(begun, EncoderClassifierConfig):
        return None
    places = [(place / config.pretrained.run).resolve() for place in (runs, Path())]
    same = Path(begun.pretrained.run) in places
    return replace(config, pretrained=begun.pretrained) if same else None


def placed(config: RunConfig, run: Run) -> RunConfig:
    """With the folder of a pre-trained run of the same pipeline as an absolute path."""
    if not isinstance(config, EncoderClassifierConfig) or not config.pretrained.run:
        return config
    folder = (run.path / config.pretrained.run).resolve()  # an absolute one stays as it is
    return replace(config, pretrained=replace(config.pretrained, run=str(folder)))


def require_finished(source: Path) -> None:
    """Raise RunError unless the training that the encoder comes from is on record, and whole."""
    if not stored.is_export(source):
        records.require(Run(source), "train")
        return
    settings = stored.read(source)
    if settings["step"] < settings["total_steps"]:
        raise RunError(
            f"{source} was exported after step {settings['step']} of {settings['total_steps']}; "
            "allowed: a finished run's"
        )


def require_source(config: RunConfig) -> None:
    """The same, for a run that is about to take its encoder over; `config` is `placed`."""
    if isinstance(config, EncoderClassifierConfig) and config.pretrained.run:
        require_finished(Path(config.pretrained.run))


def source_of(config: RunConfig) -> str | None:
    """Name of the member of the same pipeline whose encoder `config` begins with."""
    if isinstance(config, EncoderClassifierConfig):
        parent, _, name = config.pretrained.run.partition("/")
        return name if parent == ".." else None
    return None


def needs(config: RunConfig, path: Path) -> tuple[tuple[Path, str], ...]:
    """What must be finished before the run at `path` is trained, inside a pipeline or by itself."""
    source = source_of(config)
    return ((path.parent / source, "train"),) if source else ()
