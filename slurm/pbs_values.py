"""Reading the values of PBS's attributes: durations, sizes, flags, limits and access lists."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_LIMIT = re.compile(r"\[\s*([ugop]):\s*([^=\]]+?)\s*=\s*(\d+)\s*\]")
_UNITS = {"b": 0, "kb": 1, "mb": 2, "gb": 3, "tb": 4, "pb": 5}
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Attributes:
    """What PBS says of a server, a queue or a node: text, numbers, and tables of such."""

    values: Mapping[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.values)

    def words(self, name: str) -> str:
        """As it is printed; empty for none."""
        value = self.values.get(name, "")
        return "" if isinstance(value, dict) else str(value).strip()

    def table(self, name: str) -> "Attributes":
        """One that is a table itself, as resources_max; empty for none."""
        value = self.values.get(name)
        return Attributes(value if isinstance(value, dict) else {})

    def listed(self, name: str) -> list[str]:
        """The parts of a list with commas."""
        return [part.strip() for part in self.words(name).split(",") if part.strip()]

    def number(self, name: str) -> int | None:
        words = self.words(name)
        return int(words) if re.fullmatch(r"-?\d+", words) else None

    def flag(self, name: str) -> bool | None:
        """True or False, as PBS prints them or as JSON has them; None for anything else."""
        return _FLAGS.get(self.words(name).lower())

    def limit(self, name: str, kind: str, whom: str) -> int | None:
        """The limit on one user (u), group (g) or all (o) in a list as [u:PBS_GENERIC=10],[...]."""
        for a_kind, somebody, number in _LIMIT.findall(self.words(name)):
            if (a_kind, somebody.strip('"')) == (kind, whom):
                return int(number)
        return None

    def admits(self, name: str, whom: str) -> bool:
        """Whether a list as -bob,+alice@host,* lets somebody in; its first match decides."""
        for entry in self.listed(name):
            if entry.lstrip("+-").partition("@")[0] in (whom, "", "*"):
                return not entry.startswith("-")
        return False


def seconds(text: str) -> int | None:
    """A duration that PBS prints as [[hours:]minutes:]seconds; None for anything else."""
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text):
        return None
    total = 0.0
    for part in text.split(":"):
        total = 60 * total + float(part)
    return round(total)


def gibibytes(text: str) -> float:
    """A size that PBS prints as 24684084kb, in GiB; 0 for anything else."""
    found = re.fullmatch(r"(\d+)([kmgtp]?b)?", text.lower())
    return int(found[1]) * 1024.0 ** (_UNITS[found[2] or "b"] - 3) if found else 0.0
