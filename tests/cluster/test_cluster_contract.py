"""What holds of a run wherever it runs: in the foreground, on Slurm, on PBS."""

import itertools
from collections.abc import Callable

import pytest
from person import EPOCH, STAGES, TOTAL_STEPS, Person
from places import CALLS_OF_A_SWEEP, LEAST_S, MARGIN_S, RANKS, STOPPED, TRIES, UNBEGUN
from states import assert_same_state

from jobs import records

Calm = Callable[[int], Person]
SMALL = (
    "acgan-digits", "--data.image-size", "8", "--model.width", "4", "--train.epochs", "1",
    "--train.passes-per-epoch", "1", "--train.final-samples", "20", "--train.grid-rows", "2",
    "--threads", "1",
)  # fmt: skip


def check_nothing_followed(person: Person, place: str, why: str) -> None:
    """What needs the training never began; where it was queued, it was cancelled and says why."""
    state, error = UNBEGUN[place]
    for stage in STAGES[1:]:
        row = person.rows("run")[stage]
        assert row["state"] == state
        assert error.format(why) in (row["error"] or "")
        assert person.attempts("run", stage) == []


def check_order(person: Person, name: str) -> None:
    """No stage began before the one that it needs was finished."""
    ends = [records.require(person.run(name), stage)["finished"] for stage in STAGES]
    begins = [person.attempts(name, stage)[0]["started"] for stage in STAGES]
    assert all(begin > end for begin, end in zip(begins[1:], ends[:-1], strict=True))


def test_stages_finish_one_after_the_other(calm: Calm) -> None:
    person = calm(1)
    assert {row["state"] for row in person.rows("run").values()} == {"finished"}
    assert [person.causes("run", stage) for stage in STAGES] == [["finished"]] * 3
    check_order(person, "run")


def test_what_fails_is_told_and_nothing_follows(person: Person, place: str) -> None:
    person.meet("crash@30", retries=1)
    person.launch("run")
    person.wait_for_attempts("run", TRIES[place])
    person.wait_for(lambda: not person.queue())
    assert person.causes("run") == ["crashed"] * TRIES[place]
    assert person.is_one_line(person.attempts("run"))
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


@pytest.mark.needs("scheduler")
def test_removed_from_the_queue_by_its_scheduler(person: Person, place: str) -> None:
    person.launch("run", *person.held)
    person.remove("run")
    person.wait_for(lambda: person.rows("run")["report"]["state"] == "cancelled")
    train = person.rows("run")["train"]
    assert (train["state"], train["cause"]) == ("cancelled", "cancelled")
    assert person.attempts("run") == []
    check_nothing_followed(person, place, "cancelled")


@pytest.mark.needs("scheduler")
def test_removed_from_its_nodes_by_its_scheduler(person: Person, place: str) -> None:
    person.launch("run")
    person.wait_for_step("run", 40)
    person.remove("run")
    person.wait_for_attempts("run", 1)
    person.wait_for(lambda: not person.queue())
    assert person.causes("run") == ["cancelled"]
    assert person.rows("run")["train"]["state"] == "cancelled"
    assert person.step("run") == person.run("run").store().latest().step, "it saved first"
    check_nothing_followed(person, place, "cancelled")


def test_sweep(person: Person, place: str) -> None:
    calls = person.count_submissions()
    sweep = ("--sweep", "seed=0..2", "--max-running", "3")
    person.launch("grid", *sweep, recipe=SMALL, environment=calls.environment)
    members = [f"grid/seed-{seed}" for seed in range(3)]
    person.wait_for(lambda: all(map(person.is_finished, members)), 300)
    assert calls.count() == CALLS_OF_A_SWEEP[place]
    rows = person.status("grid")
    assert len(rows) == 9
    assert {row["state"] for row in rows} == {"finished"}
    for member in members:
        check_order(person, member)


def test_preempted_three_times_ends_in_the_same_bits(
    person: Person, place: str, calm: Calm
) -> None:
    person.launch("run", ranks=RANKS[place])
    for attempt, step in enumerate((40, EPOCH // 2, EPOCH + 40), start=1):
        person.wait_for_step("run", step, attempt)
        person.preempt("run")
        person.wait_for_attempts("run", attempt)
        person.go_on("run")
    person.bring_to_end("run")
    attempts = person.attempts("run")
    assert person.causes("run") == [STOPPED[place]] * 3 + ["finished"]
    assert person.is_one_job(attempts)
    starts = [record["from_step"] for record in attempts]
    assert starts == sorted(set(starts)), "every attempt went on where the one before had stopped"
    assert all(step % EPOCH for step in starts[1:]), "it was in the middle of an epoch"
    assert "without progress" not in person.logs("run"), "no retry was spent"
    check_order(person, "run")
    assert_same_state(person.final_state("run"), calm(RANKS[place]).final_state("run"))


def test_time_limit_met_twice_ends_in_the_same_bits(
    person: Person, place: str, calm: Calm, capsys: pytest.CaptureFixture[str]
) -> None:
    loading_s = calm(RANKS[place]).attempts("run")[0]["first_step_after_s"]
    limit_s = max(MARGIN_S[place] + 3 * loading_s + 5, LEAST_S[place])
    person.meet(f"slow@{2.2 * (limit_s - MARGIN_S[place]) / TOTAL_STEPS:.3f}")
    person.launch("run", ranks=RANKS[place], minutes=limit_s / 60)
    person.bring_to_end("run", 900)
    attempts, causes = person.attempts("run"), person.causes("run")
    assert len(causes) >= 3
    assert causes == ["time limit"] * (len(causes) - 1) + ["finished"]
    assert person.is_one_line(attempts)
    assert len(person.attempts("run", "sample")) == 1
    check_order(person, "run")
    assert_same_state(person.final_state("run"), calm(RANKS[place]).final_state("run"))
    with capsys.disabled():
        for before, after in itertools.pairwise(attempts):
            print(
                f"\n{place}: hand-over at step {after['from_step']}: last step to saved "
                f"{before['saved_after_s']} s, job start to first new step "
                f"{after['first_step_after_s']} s"
            )


def test_killed_without_a_word_goes_on_by_resume(person: Person, calm: Calm) -> None:
    person.launch("run")
    person.wait_for_step("run", 60)
    person.kill_all("run")
    person.wait_for(lambda: not person.queue())
    assert person.rows("run")["train"]["state"] == "stopped"
    assert not person.is_finished("run")
    person.resume("run")
    person.bring_to_end("run")
    assert person.causes("run") == ["killed", "finished"]
    check_order(person, "run")
    assert_same_state(person.final_state("run"), calm(1).final_state("run"))


def test_same_command_submits_nothing_twice(person: Person) -> None:
    calls = person.count_submissions()
    for _ in range(2):
        person.launch("run", recipe=SMALL, environment=calls.environment)
    person.wait_until_finished("run")
    person.launch("run", recipe=SMALL, environment=calls.environment)
    person.wait_for(lambda: not person.queue())
    assert calls.count() == len(STAGES)
    assert [len(person.attempts("run", stage)) for stage in STAGES] == [1, 1, 1]


@pytest.mark.needs("scheduler")
def test_finishes_though_every_job_is_forgotten_at_once(person: Person) -> None:
    person.launch("run", recipe=SMALL)
    with person.forgetful_scheduler() as forget:

        def is_finished() -> bool:
            forget()
            states = {row["state"] for row in person.rows("run").values()}
            assert states <= {"queued", "running", "finished"}
            return states == {"finished"}

        person.wait_for(is_finished, 240)
        person.wait_for(lambda: forget() or not person.known_jobs())
    assert {row["state"] for row in person.rows("run").values()} == {"finished"}
    told = person.launch("run", recipe=SMALL)
    assert told.endswith("run: nothing to submit; 3 of 3 stages finished\n")
