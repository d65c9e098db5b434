"""The same recipe many times: every combination of some settings' values."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from gan.config import ConfigError, RunConfig, flatten

_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MOST = 100_000
_LONGEST = 200  # a folder's name; file systems take 255 bytes


@dataclass(frozen=True)
class Sweep:
    """Runs by name, one for each combination."""

    kind: ClassVar[str] = "sweep"
    runs: dict[str, RunConfig]

    def members(self) -> dict[str, RunConfig]:
        return self.runs


def sweep(base: RunConfig, specifications: Sequence[str]) -> Sweep:
    """Every combination of `model.width=32,64` and `seed=0..3` (0, 1, 2, 3), applied to `base`.

    Settings that go together take their values together: of `model.width,model.latent=32:64,64:128`
    there are two, not four. A run is named after its values, as model.width-32_seed-0. Raises
    ConfigError for an unknown setting, a value of the wrong kind, or two combinations that are the
    same.
    """
    axes = [_axis(specification, base) for specification in specifications]
    settings = [name for axis in axes for name in axis.names]
    if repeated := [name for name in settings if settings.count(name) > 1]:
        raise ConfigError(f"sweep has {repeated[0]} twice; allowed: each setting once")
    runs: dict[str, RunConfig] = {}
    names: dict[RunConfig, str] = {}
    for values in itertools.product(*(axis.values for axis in axes)):
        point = list(zip(settings, itertools.chain(*values), strict=True))
        name = "_".join(f"{key}-{_UNSAFE.sub('-', value)}" for key, value in point)
        config = _apply(base, point)
        if name in runs or config in names:
            twice = names.get(config, name)
            raise ConfigError(f"sweep has {twice} twice; allowed: each combination once")
        if len(name) > _LONGEST:
            raise ConfigError(f"sweep has {name}; allowed: names of up to {_LONGEST} letters")
        runs[name], names[config] = config, name
    return Sweep(runs)


@dataclass(frozen=True)
class _Axis:
    """Settings that vary together, mostly one alone, and their values."""

    names: tuple[str, ...]
    values: list[tuple[str, ...]]


def _axis(specification: str, base: RunConfig) -> _Axis:
    left, equals, listed = specification.partition("=")
    names = tuple(name.replace("-", "_") for name in left.split(","))
    known = flatten(base)
    if not equals or not known.keys() >= set(names):
        raise ConfigError(
            f"sweep is {specification!r}; allowed: setting=value,value or setting=first..last or "
            "setting,setting=value:value,value:value, of " + ", ".join(sorted(known))
        )
    values = [tuple(v.split(":")) if len(names) > 1 else (v,) for v in _listed(listed)]
    if wrong := [":".join(value) for value in values if len(value) != len(names)]:
        raise ConfigError(
            f"sweep is {specification!r}, which has {wrong[0]!r}; allowed: {len(names)} values "
            "with : between them, one for each setting"
        )
    if not all(itertools.chain(*values)):
        raise ConfigError(f"sweep is {specification!r}; allowed: no empty values")
    return _Axis(names, values)


def _listed(values: str) -> list[str]:
    """`a,b` and `1..3` one by one."""
    span = _RANGE.fullmatch(values)
    if span is None:
        return values.split(",")
    first, last = int(span[1]), int(span[2])
    if not 0 <= last - first < _MOST:
        raise ConfigError(f"sweep has {values!r}; allowed: first..last, ascending")
    return [str(number) for number in range(first, last + 1)]


def _apply(base: RunConfig, point: list[tuple[str, str]]) -> RunConfig:
    tree: dict[str, Any] = msgspec.to_builtins(base)
    for name, value in point:
        *sections, last = name.split(".")
        node = tree
        for section in sections:
            node = node[section]
        node[last] = value
    try:
        return msgspec.convert(tree, type(base), strict=False)
    except msgspec.ValidationError as error:
        told = ", ".join(f"{name}={value}" for name, value in point)
        raise ConfigError(f"sweep {told}: {error}") from None
