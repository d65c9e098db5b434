"""What a start takes: real processes, whose parts add up to what the run's own record says."""

import json
from pathlib import Path

import pytest

from benchmarks import attempt, measuring, startup
from benchmarks.attempt import PARTS, Attempt, Size
from jobs import records
from jobs.records import Cause

TINY = Size(width=4, batch=2, threads=1)


def test_parts_of_a_start_add_up_to_what_the_attempt_recorded(tmp_path: Path) -> None:
    run = attempt.make_ready(tmp_path / "run", TINY)
    began = Attempt.start(run, "--once")
    told = began.told()
    record = records.latest(run, "train")
    assert record
    assert told["cause"] == record["cause"] == Cause.TERMINATED
    assert told["steps"] == {"from": 0, "first": 1, "last": 1}
    assert told["needless"] == []
    parts = attempt.parts(told, began.started)
    assert list(parts) == list(PARTS)
    assert all(seconds >= 0 for seconds in parts.values())
    assert sum(parts.values()) == pytest.approx(record["first_step_after_s"], abs=0.006)
    processor = attempt.parts(told, 0, "processor")
    assert all(seconds >= 0 for seconds in processor.values())
    assert processor["torch"] > 0


def test_a_training_that_fails_is_told_with_its_log(tmp_path: Path) -> None:
    run = attempt.make_ready(tmp_path / "run", TINY)
    run.config_file.write_text("nothing")
    with pytest.raises(RuntimeError, match=r"did not go on:(.|\n)*config"):
        Attempt.start(run, "--once").told()


def test_commands_that_must_answer_at_once_load_no_torch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = startup.measure(TINY, repeats=1, warm_ups=0)
    measuring.tell(result, as_json=True)
    assert json.loads(capsys.readouterr().out) == result
    asked = ["ganymede --help", "ganymede list", "ganymede status"]
    assert list(result["seconds"]) == ["python", "import torch", *asked, "job", "command"]
    assert all(seconds > 0 for seconds in result["seconds"].values())
    assert result["seconds"]["job"] == pytest.approx(sum(result["parts_s"].values()))
    assert result["loading_torch"] == result["needless"] == []
    assert list(result["imports_ms"]) == asked
    assert all(packages for packages in result["imports_ms"].values())
    assert "| import torch |" in startup.text(result)


def test_a_command_that_loads_torch_would_be_found_out() -> None:
    assert "torch" in startup.imports("-c", "import torch.version")
    assert "torch" not in startup.imports("-c", "import json")


def test_processor_time_needs_no_second_process(tmp_path: Path) -> None:
    bench = startup.Bench(tmp_path, TINY, cpu_time=True)
    assert "command" not in bench.tasks()
    before = bench.clock()
    startup.call("-c", "sum(range(10**6))")
    assert bench.clock() > before
