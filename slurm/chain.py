"""How jobs wait for each other, and how many of them fit into one array."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def after(job_ids: Iterable[str], kind: str = "afterok") -> str:
    """A dependency on several jobs, for sbatch and qsub; afterok: once all have succeeded."""
    found = sorted(set(job_ids))
    return f"{kind}:{':'.join(found)}" if found else ""


def after_corresponding(arrays: Iterable[str]) -> str:
    """Each task of an array starts once the task of the same index in these arrays succeeded."""
    found = sorted(set(arrays))
    return f"aftercorr:{':'.join(found)}" if found else ""


def split_id(job_id: str) -> tuple[str, int | None]:
    """A job's number, and its index if it is a task of an array."""
    number, _, index = job_id.partition("_")
    return number, int(index) if index else None


def chunks(items: Sequence[Item], largest: int) -> list[Sequence[Item]]:
    """Portions of at most `largest`: an array's indices run from 0 to MaxArraySize - 1."""
    return [items[start : start + largest] for start in range(0, len(items), largest)]


def indices(numbers: Sequence[int]) -> str:
    """For sbatch --array: 0-9, or 1,4-7. A run of numbers is written as its ends: sbatch reads
    no line of any length.
    """
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
