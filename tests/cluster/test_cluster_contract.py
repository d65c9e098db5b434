"""What holds of a run wherever it runs: in the foreground, on Slurm, on PBS."""

from collections.abc import Callable

import pytest
from person import STAGES, Person
from places import TRIES, UNBEGUN

from jobs import records

Calm = Callable[[int], Person]
SMALL = (
    "acgan-digits", "--data.image-size", "8", "--model.width", "4", "--train.epochs", "1",
    "--train.passes-per-epoch", "1", "--train.final-samples", "20", "--train.grid-rows", "2",
)  # fmt: skip


def check_nothing_followed(person: Person, place: str, why: str) -> None:
    """What needs the training never began; where it was queued, it was cancelled and says why."""
    state, error = UNBEGUN[place]
    for stage in STAGES[1:]:
        row = person.rows("run")[stage]
        assert row["state"] == state
        assert error.format(why) in (row["error"] or "")
        assert person.attempts("run", stage) == []


def test_stages_finish_one_after_the_other(calm: Calm) -> None:
    person = calm(1)
    assert {row["state"] for row in person.rows("run").values()} == {"finished"}
    previous_end = 0.0
    for stage in STAGES:
        (attempt,) = person.attempts("run", stage)
        assert attempt["cause"] == "finished"
        assert attempt["started"] > previous_end
        done = records.completion(person.run("run"), stage)
        assert done
        previous_end = done["finished"]


def test_what_fails_is_told_and_nothing_follows(person: Person, place: str) -> None:
    person.meet("crash@30", retries=1)
    person.launch("run")
    person.wait_for_attempts("run", TRIES[place])
    person.wait_for(lambda: not person.queue())
    assert person.causes("run") == ["crashed"] * TRIES[place]
    for record in person.attempts("run"):
        assert "ValueError: a fault in the variant" in record["traceback"]
    train = person.rows("run")["train"]
    assert train["state"] == "failed"
    assert "a fault in the variant" in train["error"]
    check_nothing_followed(person, place, "failed")


@pytest.mark.needs("queue")
def test_cancelled_while_queued(person: Person, place: str) -> None:
    person.launch("run", *person.held)
    assert person.rows("run")["train"]["state"] == "queued"
    person.ganymede("cancel", "run")
    person.wait_for(lambda: not person.queue())
    assert person.rows("run")["train"]["state"] == "cancelled"
    assert person.attempts("run") == []
    check_nothing_followed(person, place, "cancelled")


def test_cancelled_while_running(person: Person) -> None:
    person.launch("run")
    person.wait_for_step("run", 40)
    person.ganymede("cancel", "run")
    person.wait_for(lambda: not person.queue())
    assert person.causes("run") == ["cancelled"]
    rows = person.rows("run")
    assert rows["train"]["step"] == person.run("run").store().latest().step, "it saved first"
    assert {row["state"] for row in rows.values()} == {"cancelled"}
    assert person.attempts("run", "sample") == []
