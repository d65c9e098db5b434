"""What a scheduler says of a job, in words that fit them all."""

import pytest

from slurm.scheduler import JobState, Phase, by_token


@pytest.mark.parametrize(
    ("phase", "live", "waiting", "ending"),
    [
        (Phase.WAITING, True, True, False),
        (Phase.RUNNING, True, False, False),
        (Phase.ENDING, True, False, True),
        (Phase.OVER, False, False, False),
    ],
)
def test_what_a_phase_means(phase: Phase, live: bool, waiting: bool, ending: bool) -> None:
    job = JobState("7", "as it says", "None", None, phase)
    assert (job.is_live, job.is_waiting, job.is_ending) == (live, waiting, ending)


def test_a_submission_is_found_by_its_token() -> None:
    single = JobState("7", "PENDING", "", "a", Phase.WAITING)
    task = JobState("8_3", "PENDING", "", "b", Phase.WAITING)
    strange = JobState("9", "PENDING", "", None, Phase.WAITING)
    states = [strange, single, task]
    assert by_token(states, "a") is single
    assert by_token(states, "b") is task
    assert by_token(states, "c") is None
