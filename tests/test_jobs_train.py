import re
from dataclasses import replace
from pathlib import Path

import pytest

from gan import data
from gan.config import ClassifierConfig
from gan.divergence import Rollbacks
from jobs import closing, records
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


def test_training_that_diverges_is_recorded_as_that(
    tmp_path: Path, tiny_classifier: ClassifierConfig
) -> None:
    """With a learning rate that no network survives. The batch script does not try it again."""
    wild = replace(tiny_classifier, optim=replace(tiny_classifier.optim, learning_rate=1e30))
    run = Run(tmp_path / "run")
    run.write("classifier-digits", wild, data.inspect(wild.data), 1)
    told = []
    for _ in range(2):
        with pytest.raises(SystemExit) as left:
            Train(run.path)()
        assert left.value.code == 1
        record = records.latest(run, "train")
        assert (record["cause"], record["exit_status"]) == ("diverged", 1)
        told.append(record["error"])
        assert closing.decide(run, Train(run.path), record) == "failed"
    assert re.match(r"train/loss is (nan|inf) at step 5; .*resume comes to the same", told[0])
    assert told[0] == told[1]
    assert not run.store().steps()


def test_going_back_is_in_the_record_of_the_finished_training(
    run: Run, tiny_classifier: ClassifierConfig
) -> None:
    train = replace(tiny_classifier.train, on_nan="roll-back")
    rolling = replace(tiny_classifier, train=train)
    run.write("classifier-digits", rolling, data.inspect(rolling.data), 1)
    Rollbacks(run.store()).file.parent.mkdir()
    run.store().commit(0, b"")  # stands for a beginning; the list alone is read here
    Rollbacks(run.store()).go_back(5, "train/loss is nan at step 5", 22)
    run.store().drop_after(-1)
    assert Train(run.path)() == "finished"
    (entry,) = records.require(run, "train")["result"]["rollbacks"]
    assert entry == {"found_step": 5, "to_step": 0, "found": "train/loss is nan at step 5"}


def test_time_left_is_minutes_and_seconds() -> None:
    progress = {"steps_per_second": 2.0, "total_steps": 300, "step": 50}
    assert time_left(progress) == "2:05 left"
    assert time_left(progress | {"steps_per_second": 0.0}) == ""
