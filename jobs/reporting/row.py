"""One figure as a row: a name, a value, and how it was obtained."""

from dataclasses import dataclass
from typing import Any, Literal

SHARE = "share"  # the unit of what goes from 0 to 1, shown in percent
Better = Literal["higher", "lower", ""]


@dataclass(frozen=True)
class Row:
    """One figure, and how it was obtained."""

    name: str
    value: str  # as it is shown
    how: str
    key: str  # the same for the same figure of another run
    number: float
    unit: str = ""
    spread: float | None = None  # standard deviation
    better: Better = ""  # which way, where that is known
    basis: str = ""  # what it was measured on: only values of one basis can be compared
    run: str = ""
    stage: str = ""
    floor: float | None = None  # the same of real images, which `value` has beside it

    def as_json(self) -> dict[str, Any]:
        """All but the text for readers; `spread` and `floor` where there are any."""
        told = {
            "key": self.key, "name": self.name, "value": self.number, "unit": self.unit,
            "text": self.value, "how": self.how, "run": self.run, "stage": self.stage,
            "better": self.better, "basis": self.basis,
        }  # fmt: skip
        more = {"spread": self.spread, "floor": self.floor}
        return told | {name: value for name, value in more.items() if value is not None}


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def number(value: float) -> str:
    """Three significant digits, and all those before the point."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def share_row(key: str, name: str, value: float, how: str, **more: Any) -> Row:
    """Of something that is the better the more of it there is, unless `more` says otherwise."""
    known: dict[str, Any] = {"unit": SHARE, "better": "higher"} | more
    return Row(name, percent(value), how, key, float(value), **known)
