"""How a setting is declared and checked."""

from dataclasses import field
from typing import Any


class ConfigError(ValueError):
    """A setting that cannot be; the message names the field, what was given and what is allowed."""


def operational(default: Any) -> Any:
    """A field that cannot change the result, and is no part of a run's identity."""
    return field(default=default, metadata={"identity": False})


def require(owner: Any, name: str, holds: bool, allowed: str) -> None:
    """Raise ConfigError for the field `name` of `owner` unless it holds."""
    if not holds:
        raise ConfigError(f"{owner.prefix}{name} is {getattr(owner, name)!r}; allowed: {allowed}")
