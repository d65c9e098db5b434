"""What the benchmarks share times in turn, and compares within a round."""

import json

import pytest

from benchmarks import measuring


def test_every_round_times_all_and_begins_with_another() -> None:
    called: list[str] = []
    tasks = {name: lambda name=name: called.append(name) for name in "abc"}
    times = measuring.in_turn(tasks, repeats=4, warm_ups=1, settle=lambda: called.append("."))
    rounds = "".join(called).replace(".", "")
    assert rounds == "cab" + "abc" + "bca" + "cab" + "abc"
    assert called.count(".") == 2 * len(rounds)
    assert {name: len(taken) for name, taken in times.seconds.items()} == dict.fromkeys("abc", 4)
    assert all(taken > 0 for of_one in times.seconds.values() for taken in of_one)


def test_what_leads_into_a_turn_is_not_timed() -> None:
    clock, called = [0.0], []

    def task() -> None:
        clock[0] += 1 if called else 100  # the first call of all is slow
        called.append(None)

    times = measuring.in_turn({"a": task}, 3, warm_ups=0, clock=lambda: clock[0], lead_in=2)
    assert times.seconds == {"a": [1, 1, 1]}
    assert len(called) == 3 * (2 + 1)


def test_ratios_are_those_of_the_same_round() -> None:
    """The third round was disturbed: it slowed both down, and the ratio holds."""
    times = measuring.Times({"plain": [2.0, 2.2, 20.0, 2.0], "ours": [1.0, 1.0, 10.0, 0.5]})
    assert times.speedup("ours", "plain") == measuring.Ratio(median=2.1, least=2.0, most=4.0)
    assert times.median("plain") == pytest.approx(2.1)
    assert times.speedups("plain")["plain"] == {"median": 1.0, "least": 1.0, "most": 1.0}


def test_results_are_told_as_json_or_as_lines(capsys: pytest.CaptureFixture[str]) -> None:
    result = {"images": 3, "seconds": 1 / 3}
    measuring.tell(result, as_json=True)
    assert json.loads(capsys.readouterr().out) == result
    measuring.tell(result, as_json=False)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["images", "3"], ["seconds", "0.3333"],
    ]  # fmt: skip
    measuring.tell(result, as_json=False, text=lambda: measuring.table(["a", "b"], [["x", 0.5]]))
    assert capsys.readouterr().out == "| a | b |\n| --- | --- |\n| x | 0.5 |\n"
