"""How a setting is declared and checked."""

import functools
from dataclasses import field, fields
from typing import Any, Literal, get_args, get_origin


class ConfigError(ValueError):
    """A setting that cannot be; the message names the field, what was given and what is allowed."""


def operational(default: Any) -> Any:
    """A field that cannot change the result, and is no part of a run's identity."""
    return field(default=default, metadata={"identity": False})


def added(default: Any) -> Any:
    """A field that came when there were runs already: while it has its default, it is left out of
    the identity, so that they can be gone on with."""
    return field(default=default, metadata={"added": True})


def require(owner: Any, name: str, holds: bool, allowed: str) -> None:
    """Raise ConfigError for the field `name` of `owner` unless it holds."""
    if not holds:
        raise ConfigError(f"{owner.prefix}{name} is {getattr(owner, name)!r}; allowed: {allowed}")


def require_choices(owner: Any) -> None:
    """Raise ConfigError for a field of `owner` that is not one of the words of its Literal type."""
    for name, allowed in _choices(owner.__class__):
        require(owner, name, getattr(owner, name) in allowed, ", ".join(allowed))


@functools.cache
def _choices(kind: type) -> list[tuple[str, tuple[Any, ...]]]:
    """Names and words of the fields of a Literal type; looked up once, for thousands of configs."""
    literal = (item for item in fields(kind) if get_origin(item.type) is Literal)
    return [(item.name, get_args(item.type)) for item in literal]
