"""What a look at a cluster finds, and what that means for a run."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Whether a guarantee holds."""

    HOLDS = "holds"
    MIND = "mind"  # it holds, with a consequence that one should know
    FAILS = "fails"


@dataclass(frozen=True)
class Finding:
    """One fact: what was found, and what it means for a run."""

    name: str
    value: str
    meaning: str
    verdict: Verdict = Verdict.HOLDS
