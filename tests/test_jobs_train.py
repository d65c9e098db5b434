from pathlib import Path

import pytest

from gan import data
from gan.config import ClassifierConfig
from jobs import records
from jobs.run import Run
from jobs.train import Train, time_left
from jobs.version import version


@pytest.fixture
def run(tmp_path: Path, tiny_classifier: ClassifierConfig) -> Run:
    run = Run(tmp_path / "run")
    run.write("classifier-digits", tiny_classifier, data.inspect(tiny_classifier.data), 1)
    return run


def test_training_leaves_a_verified_record(run: Run) -> None:
    assert Train(run.path)() == "finished"
    record = records.require(run, "train")
    assert record["result"] == {"steps": 44}
    assert set(record["outputs"]) == {
        "checkpoints/step-00000044/state.pt",
        "checkpoints/step-00000044/manifest.json",
    }
    numerics = records.latest(run, "train")["numerics"]
    assert numerics["ganymede"] == version()
    assert numerics["threads"] == 1


def test_other_numerics_are_recorded_with_a_warning(
    run: Run, tiny_classifier: ClassifierConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    Train(run.path)()
    records.withdraw(run, "train")
    run.write("classifier-digits", tiny_classifier, data.inspect(tiny_classifier.data), 2)
    Train(run.path)()
    said = capsys.readouterr().out
    assert "not as in attempt 1: threads: 1 -> 2; the result may differ in its last bits" in said
    assert "threads: 1 -> 2" in records.latest(run, "train")["warning"]


def test_data_that_no_longer_fits_is_refused(run: Run) -> None:
    text = run.config_file.read_text().replace('"batch_size": 64', '"batch_size": 6400')
    run.config_file.write_text(text)
    with pytest.raises(SystemExit) as left:
        Train(run.path)()
    assert left.value.code == 2
    record = records.latest(run, "train")
    assert record["cause"] == "refused"
    assert record["error"].startswith("train.batch_size is 6400; allowed: 1 to 1438")


def test_time_left_is_minutes_and_seconds() -> None:
    progress = {"steps_per_second": 2.0, "total_steps": 300, "step": 50}
    assert time_left(progress) == "2:05 left"
    assert time_left(progress | {"steps_per_second": 0.0}) == ""
