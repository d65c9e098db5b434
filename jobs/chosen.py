"""What a run's `auto` settings came to: chosen by its first attempt, kept by all that follow."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from checkpoints import files
from jobs.run import Run, RunError

if TYPE_CHECKING:
    import torch

    from gan.config import RunConfig, TrainConfig
    from jobs.stage import Context

_NAMES = "precision", "compile"


def choose(context: "Context", config: "RunConfig", device: "torch.device") -> dict[str, str]:
    """What an attempt trains with where that is open: rank 0's choice, to be told to all ranks.

    It chooses for its own machine, once for the whole run, and writes it down. A node that cannot
    compile says so and does without. Empty where nothing is open. Raises RunError if the record
    cannot be used.
    """
    from gan import arithmetic

    if not _is_open(config) and config.train.compile != "on":
        return {}
    known = of_run(config, context.run)
    train = arithmetic.settled(known.train, device)
    if _is_open(known):
        files.write_json(context.run.chosen_file, _settings(train))
        told = ", ".join(f"train.{name} {value}" for name, value in _settings(train).items())
        context.say(f"auto: {told}; it stays so for this run, wherever it goes on")
    if train.compile == "on" and (reason := arithmetic.cannot_compile(device)):
        context.say(
            f"train.compile is 'on', and this node cannot compile: {reason}; going on without"
        )
        train = replace(train, compile="off")
    return _settings(train)


def of_run(config: "RunConfig", run: Run) -> "RunConfig":
    """The config with what the run's first attempt chose, if it began already."""
    if not (_is_open(config) and run.chosen_file.exists()):
        return config
    try:
        found = files.read_json(run.chosen_file)
        return with_choice(config, {name: found[name] for name in _NAMES})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{run.chosen_file} cannot be used: {error}") from error


def _is_open(config: "RunConfig") -> bool:
    return "auto" in _settings(config.train).values()


def _settings(train: "TrainConfig") -> dict[str, str]:
    return {name: getattr(train, name) for name in _NAMES}


def with_choice(config: "RunConfig", found: dict[str, Any]) -> "RunConfig":
    """The config with what `choose` gave."""
    return replace(config, train=replace(config.train, **found))
