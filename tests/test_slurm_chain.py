import pytest

from slurm import chain


def test_jobs_wait_for_the_success_of_others() -> None:
    assert chain.after([]) == ""
    assert chain.after(["7"]) == "afterok:7"
    assert chain.after(["8", "7_3", "8"]) == "afterok:7_3:8"


def test_tasks_wait_for_the_tasks_of_the_same_index() -> None:
    assert chain.after_corresponding([]) == ""
    assert chain.after_corresponding(("8", "7", "8")) == "aftercorr:7:8"


def test_ids_are_a_number_and_perhaps_an_index() -> None:
    assert chain.split_id("7") == ("7", None)
    assert chain.split_id("7_0") == ("7", 0)
    assert chain.split_id("70_12") == ("70", 12)


@pytest.mark.parametrize(
    ("count", "largest", "sizes"),
    [
        (0, 3, []),
        (2, 3, [2]),
        (3, 3, [3]),
        (7, 3, [3, 3, 1]),
        (200, 101, [101, 99]),
        (2, 1, [1, 1]),
    ],
)
def test_chunks_are_no_larger_than_an_array_may_be(
    count: int, largest: int, sizes: list[int]
) -> None:
    chunks = chain.chunks(range(count), largest)
    assert [len(chunk) for chunk in chunks] == sizes
    assert [item for chunk in chunks for item in chunk] == list(range(count))


@pytest.mark.parametrize(
    ("numbers", "written"),
    [
        ([0], "0"),
        ([5], "5"),
        ([0, 1], "0-1"),
        (range(1000), "0-999"),
        ([1, 4, 7], "1,4,7"),
        ([0, 1, 2, 5, 7, 8], "0-2,5,7-8"),
        ([3, 2, 1], "3,2,1"),
        ([], ""),
    ],
)
def test_indices_as_sbatch_takes_them(numbers: list[int], written: str) -> None:
    assert chain.indices(numbers) == written
