"""How jobs wait for each other, and how many of them fit into one array."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def after(job_ids: Iterable[str]) -> str:
    """For sbatch --dependency: start once all of these jobs have succeeded."""
    found = sorted(set(job_ids))
    return f"afterok:{':'.join(found)}" if found else ""


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
    """For sbatch --array: 0-9, or 1,4,7."""
    if list(numbers) == list(range(numbers[0], numbers[0] + len(numbers))) and len(numbers) > 1:
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, numbers))
